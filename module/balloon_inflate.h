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
 * struct balloon_target - the size that the host wants (balloon_target.c)
 * @work: moves the size of the balloon towards the target
 * @pages: the target when it was last read, in the device's pages
 * @awake: @work keeps the guest from suspending
 * @logged: the log has a message that the target is out of reach
 * @retry_ms: backoff between two tries to inflate, ms; 0 if the last one did not fail
 * @retry: time of the next try, jiffies
 * @free: free pages after the last try, or the guest's watermarks if they are higher
 *
 * Not locked: owned by @work; while @work is stopped, by balloon_target_stop() and
 * balloon_target_destroy().
 */
struct balloon_target {
	struct delayed_work work;
	u32 pages;
	bool awake;
	bool logged;
	unsigned int retry_ms;
	unsigned long retry;
	u64 free;
};

/**
 * struct balloon - the pages that were given to the host
 * @a: the device
 * @lock: protects both queues, and the fields below up to @split_chains; see
 *	balloon_inflate.c
 * @pages: the pages
 * @size: number of @pages; @lock to write
 * @running: the queues may be used
 * @closed: the balloon is being emptied, and does not grow any more; without @lock
 * @numbers: page frame numbers that the device reads
 * @chain: most @numbers in one chain
 * @trial: whether the host discards memory in such chains, enum trial_result
 * @split_chains: a longer chain led to a reset of the device: do not try one again
 * @oom_deflated: the guest ran out of memory: the balloon does not grow until the host sets
 *	another target; atomic
 * @oom: OOM notifier
 * @emptying: empties the balloon before a suspend
 * @emptied: completed at the end of @emptying
 * @target: the size that the host wants
 */
struct balloon {
	struct aerator *a;
	struct mutex lock;	/* see above */
	struct compat_balloon pages;
	unsigned long size;
	bool running;
	bool closed;
	__virtio32 *numbers;
	unsigned int chain;
	int trial;
	bool split_chains;
	int oom_deflated;	/* int: not every architecture has xchg() of a byte */
	struct notifier_block oom;
	struct work_struct emptying;
	struct completion emptied;
	struct balloon_target target;
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
int balloon_inflate_shrink(struct balloon *b, unsigned long want);
bool balloon_inflate_can_tell(const struct balloon *b);
int balloon_inflate_tell_block(struct balloon *b, struct virtqueue *vq, struct page *block);

/* balloon_trial.c: does the host discard inflated memory? */
void balloon_trial_inflate(struct balloon *b);

#endif /* AERATOR_BALLOON_INFLATE_H */
