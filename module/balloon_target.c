// SPDX-License-Identifier: GPL-2.0
/*
 * The target: how large the host wants the balloon, and the way there.
 *
 * One work item goes there, a batch at a time, and reads the target before each.
 */
#include <linux/kernel.h>
#include <linux/workqueue.h>
#include "balloon_inflate.h"

/* The guest has nothing left to give: look again after that long. */
#define TARGET_RETRY_MS		200

/* Pages to go: more than 0 to inflate, less to deflate. */
static long target_missing(struct balloon *b)
{
	u32 target;

	virtio_cread_le(b->a->vdev, struct virtio_balloon_config, num_pages, &target);
	/* Up, or the last page of ours would come and go for ever. */
	return (long)DIV_ROUND_UP(target, INFLATE_UNITS) - (long)READ_ONCE(b->size);
}

/* One step. Return what comes next: 0 for the next one, or an error. */
static int target_step(struct balloon *b, long missing)
{
	if (missing < 0)
		return inflate_give(b, -missing);
	return READ_ONCE(b->yielded) ? -EAGAIN : inflate_grow(b, missing);
}

static void target_again(struct balloon *b, unsigned int ms)
{
	queue_delayed_work(system_freezable_wq, &b->work, msecs_to_jiffies(ms));
}

static void target_work(struct work_struct *work)
{
	struct balloon *b = container_of(to_delayed_work(work), struct balloon, work);
	long missing;

	/* Cleared, and this work waited for, before the queues go. */
	if (!READ_ONCE(b->running) || balloon_is_lost(b->a))
		return;
	missing = target_missing(b);
	if (!missing)
		return;
	switch (target_step(b, missing)) {
	case 0:
		target_again(b, 0);
		break;
	case -EBUSY:
		target_again(b, INFLATE_MOVE_MS);
		break;
	case -ENOMEM:
		dev_info_ratelimited(&b->a->vdev->dev,
				     "no memory for the balloon: %ld pages to go\n",
				     missing);
		target_again(b, TARGET_RETRY_MS);
		break;
	}
}

/**
 * target_changed - the host may have changed its mind
 * @a: the device
 *
 * Context: any.
 */
void target_changed(struct aerator *a)
{
	WRITE_ONCE(a->balloon->yielded, 0);
	mod_delayed_work(system_freezable_wq, &a->balloon->work, 0);
}

/**
 * target_init - before there is a device to listen to
 * @b: the balloon
 */
void target_init(struct balloon *b)
{
	INIT_DELAYED_WORK(&b->work, target_work);
}

/**
 * target_start - go there from now on
 * @b: the balloon, @b->running
 *
 * Context: balloon_mutex held.
 */
void target_start(struct balloon *b)
{
	target_again(b, 0);
}

/**
 * target_stop - go no further
 * @b: the balloon, not @b->running
 *
 * A late change of the configuration may still queue the work, which does nothing then.
 *
 * Context: may sleep, for as long as a batch takes to settle.
 */
void target_stop(struct balloon *b)
{
	cancel_delayed_work_sync(&b->work);
}
