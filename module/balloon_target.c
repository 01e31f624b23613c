// SPDX-License-Identifier: GPL-2.0
/*
 * The target: the size of the balloon that the host wants.
 *
 * One work item inflates or deflates towards the target, batch by batch, and reads the
 * target before each batch.
 *
 * A target may be out of reach, and each try to get closer reclaims memory that the guest
 * could still use: its page cache. After a try that fails, the next one waits, with an
 * exponential backoff, unless memory becomes free above the watermarks to which kswapd
 * reclaims. This check costs a few loads, at most every TARGET_CHECK_MS. A new target is
 * tried at once.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include "balloon_inflate.h"
#include "mm_free.h"

/* Exponential backoff of inflating: shortest and longest delay. */
#define TARGET_RETRY_MIN_MS	200U
#define TARGET_RETRY_MAX_MS	60000U
/* Interval at which free memory is checked during the backoff. */
#define TARGET_CHECK_MS		3000U
/* Free pages above @free that end the backoff. */
#define TARGET_FREED		(SZ_4M >> PAGE_SHIFT)

/* A new target: reset the state that belongs to the old one. */
static void target_renew(struct balloon *b, u32 wanted)
{
	b->target.pages = wanted;
	b->target.logged = false;
	b->target.retry_ms = 0;
	WRITE_ONCE(b->oom_deflated, 0);
}

/* Pages up to the target: positive to inflate, negative to deflate. */
static long target_missing(struct balloon *b)
{
	u32 wanted;

	virtio_cread_le(b->a->vdev, struct virtio_balloon_config, num_pages, &wanted);
	if (wanted != b->target.pages)
		target_renew(b, wanted);
	/* Round up: otherwise the last page would be inflated and deflated repeatedly. */
	return (long)DIV_ROUND_UP(wanted, INFLATE_UNITS) - (long)READ_ONCE(b->size);
}

/* May the balloon grow now: no backoff, its end, or enough memory was freed? */
static bool target_may_grow(const struct balloon *b)
{
	if (READ_ONCE(b->oom_deflated))
		return false;
	return !b->target.retry_ms || time_after_eq(jiffies, b->target.retry) ||
	       mm_free_guest_pages() >= b->target.free + TARGET_FREED;
}

/*
 * Begin or double the backoff. After a try kswapd reclaims up to the watermarks again;
 * this does not count as freed memory.
 */
static void target_fell_short(struct balloon *b, long missing)
{
	b->target.retry_ms = clamp(b->target.retry_ms * 2, TARGET_RETRY_MIN_MS,
				   TARGET_RETRY_MAX_MS);
	b->target.retry = jiffies + msecs_to_jiffies(b->target.retry_ms);
	b->target.free = max(mm_free_guest_pages(), mm_free_guest_watermark());
	if (!b->target.logged)
		dev_info(&b->a->vdev->dev,
			 "no memory to inflate the balloon: %ld pages are missing\n", missing);
	b->target.logged = true;
}

static int target_grow(struct balloon *b, long missing)
{
	int err;

	if (missing >= INFLATE_BLOCK_PAGES)
		balloon_trial_inflate(b);
	err = balloon_inflate_grow(b, missing);
	if (!err)
		b->target.retry_ms = 0;
	if (err == -ENOMEM)
		target_fell_short(b, missing);
	return err;
}

/* Inflate or deflate by one batch. Returns 0, or an error that target_work() handles. */
static int target_step(struct balloon *b, long missing)
{
	if (missing < 0)
		return balloon_inflate_shrink(b, -missing);
	if (target_may_grow(b))
		return target_grow(b, missing);
	return READ_ONCE(b->oom_deflated) ? -EAGAIN : -ENOMEM;
}

static void target_again(struct balloon *b, unsigned int ms)
{
	queue_delayed_work(system_freezable_wq, &b->target.work, msecs_to_jiffies(ms));
}

/*
 * A guest that is about to suspend stays awake until the balloon has reached its target,
 * or cannot reach it. A request for statistics replaces this by a wakeup event of a
 * limited time: so pm_stay_awake() is called again with each batch.
 */
static void target_stay_awake(struct balloon *b, bool stay)
{
	struct device *dev = &b->a->vdev->dev;

	if (stay)
		pm_stay_awake(dev);
	else if (b->target.awake)
		pm_wakeup_event(dev, BALLOON_AWAKE_MS);
	b->target.awake = stay;
}

static void target_work(struct work_struct *work)
{
	struct balloon *b = container_of(to_delayed_work(work), struct balloon, target.work);
	long missing;
	int err;

	/* balloon_target_stop() clears it and waits for this work. */
	if (!READ_ONCE(b->running) || balloon_has_failed(b->a)) {
		target_stay_awake(b, false);
		return;
	}
	missing = target_missing(b);
	if (missing < 0 || (missing > 0 && target_may_grow(b)))
		target_stay_awake(b, true);
	err = missing ? target_step(b, missing) : -EALREADY;
	if (err && err != -EBUSY)
		target_stay_awake(b, false);
	switch (err) {
	case 0:
		target_again(b, 0);
		break;
	case -EBUSY:
		target_again(b, INFLATE_MOVE_MS);
		break;
	case -ENOMEM:
		target_again(b, min(b->target.retry_ms, TARGET_CHECK_MS));
		break;
	}
}

/**
 * balloon_target_changed - the host may have changed the target
 * @a: the device
 *
 * Queues the work, which reads the configuration.
 *
 * Context: any.
 */
void balloon_target_changed(struct aerator *a)
{
	mod_delayed_work(system_freezable_wq, &a->balloon->target.work, 0);
}

/**
 * balloon_target_create - create an empty balloon, and its work
 * @a: the device, its features negotiated
 *
 * Context: may sleep.
 *
 * Return: 0 or a negative errno.
 */
int balloon_target_create(struct aerator *a)
{
	int err = balloon_inflate_create(a);

	if (err)
		return err;
	INIT_DELAYED_WORK(&a->balloon->target.work, target_work);
	return 0;
}

/**
 * balloon_target_start - start to follow the target
 * @a: the device, ready, after balloon_inflate_start()
 *
 * Context: balloon_mutex held.
 */
void balloon_target_start(struct aerator *a)
{
	target_again(a->balloon, 0);
}

static void target_cancel(struct balloon *b)
{
	cancel_delayed_work_sync(&b->target.work);
	target_stay_awake(b, false);
}

/**
 * balloon_target_stop - stop following the target, and using the queues
 * @a: the device, before it is reset
 *
 * A late change of the configuration may still queue the work, which does nothing then.
 *
 * Context: balloon_mutex held; sleeps for as long as a batch takes to settle.
 */
void balloon_target_stop(struct aerator *a)
{
	balloon_inflate_stop(a);
	target_cancel(a->balloon);
}

/**
 * balloon_target_destroy - undo balloon_target_create()
 * @a: the device, stopped, its balloon empty; or balloon_target_create() failed
 *
 * Context: may sleep.
 */
void balloon_target_destroy(struct aerator *a)
{
	if (!a->balloon)
		return;
	/* A last change of the configuration may have queued the work. */
	target_cancel(a->balloon);
	balloon_inflate_destroy(a);
}
