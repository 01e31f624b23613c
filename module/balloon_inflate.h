/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_BALLOON_INFLATE_H
#define AERATOR_BALLOON_INFLATE_H

#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/balloon.h"

/**
 * struct balloon - the pages that were given to the host
 * @a: the device
 * @lock: see balloon_inflate.c
 * @pages: the pages
 * @size: number of @pages; @lock to write
 * @running: the queues may be used; @lock
 * @closed: the balloon is being emptied, and does not grow any more; @lock
 * @emptying: empties the balloon before a suspend
 * @emptied: completed at the end of @emptying
 * @yielded: the guest ran out of memory: the balloon does not grow until the host sets
 *	a target other than @wanted; @lock, or atomic as a whole
 * @numbers: page frame numbers that the device reads; @lock
 * @chain: most @numbers in one chain; @lock
 * @trial: whether the host discards memory in such chains, enum trial_result; @lock
 * @timid: a longer chain led to a reset of the device: do not try one again; @lock
 * @work: moves the size towards the target; owns the fields below, except @oom
 * @wanted: the target when it was last read, in the device's pages
 * @awake: @work keeps the guest from suspending
 * @said: the log has a message that the target is out of reach
 * @retry_ms: backoff between two tries to inflate, ms; 0 if the last one did not fail
 * @retry: time of the next try, jiffies
 * @free: free pages after the last try, or the guest's watermarks if they are higher
 * @oom: OOM notifier
 */
struct balloon {
	struct aerator *a;
	struct mutex lock;	/* both queues, the size, and the buffer of numbers */
	struct compat_balloon pages;
	unsigned long size;
	bool running;
	bool closed;
	struct work_struct emptying;
	struct completion emptied;
	int yielded;	/* int: not every architecture has xchg() of a byte */
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

/* Number of device pages, of 4 KiB, in a page of the guest. */
#define INFLATE_UNITS		(PAGE_SIZE >> VIRTIO_BALLOON_PFN_SHIFT)

/* Size of a huge page, which a host can discard as a whole, on the usual architectures. */
#define INFLATE_BLOCK_ORDER	(ilog2(SZ_2M) - PAGE_SHIFT)
#define INFLATE_BLOCK_PAGES	BIT(INFLATE_BLOCK_ORDER)

/* Numbers in a chain that every device takes: Firecracker's reads no longer chain. */
#define INFLATE_CHAIN_MIN	256
/* Numbers of a whole block, in one chain: some hosts discard only whole blocks. */
#define INFLATE_CHAIN_MAX	512

/* Delay of a retry if all pages of the balloon are being migrated. */
#define INFLATE_MOVE_MS		1

/* balloon_inflate.c: inflate and deflate */
int balloon_inflate_grow(struct balloon *b, unsigned long want);
int balloon_inflate_give(struct balloon *b, unsigned long want);
bool balloon_inflate_can_tell(const struct balloon *b);
int balloon_inflate_tell_block(struct balloon *b, struct virtqueue *vq, struct page *block);

/* balloon_trial.c: does the host discard inflated memory? */
void balloon_trial_inflate(struct balloon *b);

#endif /* AERATOR_BALLOON_INFLATE_H */
