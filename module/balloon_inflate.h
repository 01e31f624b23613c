/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_BALLOON_INFLATE_H
#define AERATOR_BALLOON_INFLATE_H

#include <linux/bits.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/sizes.h>
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
 * @yielded: the guest ran out of memory: no growing before the host sets another target
 *	than @wanted; @lock, or atomic as a whole
 * @numbers: what the device reads; @lock
 * @chain: how many of them one chain has; @lock
 * @trial: whether the device then drops what it is told of, enum trial_result; @lock
 * @timid: it had to be reset over a longer chain: none is tried again; @lock
 * @work: goes towards the target; has all below but @oom
 * @wanted: that target when it was last read, in the device's pages
 * @awake: it keeps the guest from going to sleep
 * @said: the log says that it is out of reach
 * @retry_ms: time between two tries to reach it, ms; 0 while none fell short
 * @retry: when the next one is due, jiffies
 * @free: pages that were free after the last one, or that the kernel keeps free
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
	unsigned int chain;
	int trial;
	bool timid;
	struct delayed_work work;
	u32 wanted;
	bool awake;
	bool said;
	unsigned int retry_ms;
	unsigned long retry;
	u64 free;
	struct notifier_block oom;
};

/* The device's pages in one of ours. */
#define INFLATE_UNITS		(PAGE_SIZE >> VIRTIO_BALLOON_PFN_SHIFT)

/* What a host can drop as a whole, on every architecture that matters. */
#define INFLATE_BLOCK_ORDER	(ilog2(SZ_2M) - PAGE_SHIFT)
#define INFLATE_BLOCK_PAGES	BIT(INFLATE_BLOCK_ORDER)

/* Numbers of one chain that every device takes: Firecracker's reads no longer one. */
#define INFLATE_CHAIN_MIN	256
/* Of a whole block: a device that drops all of it at once has to see it in one chain. */
#define INFLATE_CHAIN_MAX	512

/* A page is being moved: it will be back by then. */
#define INFLATE_MOVE_MS		1

/* balloon_inflate.c: what is in it */
int balloon_inflate_grow(struct balloon *b, unsigned long want);
int balloon_inflate_give(struct balloon *b, unsigned long want);
bool balloon_inflate_can_tell(const struct balloon *b);
int balloon_inflate_tell_block(struct balloon *b, struct virtqueue *vq, struct page *block);

/* balloon_trial.c: does the host drop it? */
void balloon_trial_inflate(struct balloon *b);

#endif /* AERATOR_BALLOON_INFLATE_H */
