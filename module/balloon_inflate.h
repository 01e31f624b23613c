/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_BALLOON_INFLATE_H
#define AERATOR_BALLOON_INFLATE_H

#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/balloon.h"

/**
 * struct balloon - the pages that the host has
 * @a: the device
 * @lock: see balloon_inflate.c
 * @pages: those pages
 * @size: how many they are; @lock to write
 * @running: the queues may be used; @lock
 * @closed: it is being emptied for good; @lock
 * @yielded: the guest ran out of memory: no growing before the host says how large
 *	it wants the balloon now; @lock, or atomic as a whole
 * @numbers: what the device reads; @lock
 * @work: goes towards the target
 * @oom: called when the guest is out of memory
 */
struct balloon {
	struct aerator *a;
	struct mutex lock;	/* both queues, the size, and what is told */
	struct compat_balloon pages;
	unsigned long size;
	bool running;
	bool closed;
	int yielded;	/* not all can exchange a byte */
	__virtio32 *numbers;
	struct delayed_work work;
	struct notifier_block oom;
};

/* The device's pages in one of ours. */
#define INFLATE_UNITS		(PAGE_SIZE >> VIRTIO_BALLOON_PFN_SHIFT)

/* A page is being moved: it will be back by then. */
#define INFLATE_MOVE_MS		1

/* balloon_inflate.c: what is in it */
int inflate_grow(struct balloon *b, unsigned long want);
int inflate_give(struct balloon *b, unsigned long want);

/* balloon_target.c: how much the host wants in it */
void target_init(struct balloon *b);
void target_start(struct balloon *b);
void target_stop(struct balloon *b);

#endif /* AERATOR_BALLOON_INFLATE_H */
