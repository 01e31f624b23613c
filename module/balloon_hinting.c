// SPDX-License-Identifier: GPL-2.0
/*
 * The hinting queue: react and settle.
 *
 * A batch becomes one chain of device-writable buffers, which are the free
 * pages themselves (virtio 1.2, 5.5.6.7). The device drops what is in them and
 * gives the chain back. Indirect descriptors are not negotiated, so that nothing
 * here allocates: a guest that is short of memory can still return some.
 *
 * Runs in the intake's one work item. The interrupt only wakes it; the queue is
 * touched by nobody else, and needs no lock.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include "balloon.h"
#include "compat/compat.h"

/**
 * hinting_acked - interrupt of the hinting queue
 * @vq: the queue
 *
 * Context: hard interrupt.
 */
void hinting_acked(struct virtqueue *vq)
{
	struct aerator *a = vq->vdev->priv;

	wake_up(&a->answered);
}

/* Put the batch on the queue. The device is not told yet. */
static int hinting_submit(struct aerator *a)
{
	struct reactor *r = &a->reactor;
	unsigned int i;

	sg_init_table(a->sg, r->nr_runs);
	for (i = 0; i < r->nr_runs; i++)
		sg_set_page(&a->sg[i], pfn_to_page(r->runs[i].pfn),
			    r->runs[i].pages << PAGE_SHIFT, 0);
	return virtqueue_add_inbuf(a->hinting, a->sg, r->nr_runs, a, GFP_NOWAIT);
}

/* Take what the device answered. True when nothing is awaited any more. */
static bool hinting_answered(struct aerator *a)
{
	unsigned int unused;

	while (virtqueue_get_buf(a->hinting, &unused))
		reactor_answer(&a->reactor);
	return !a->reactor.chains;
}

/* Only a reset makes it usable again, which recovery does from another work. */
static void hinting_lose(struct aerator *a, const char *why)
{
	dev_warn_ratelimited(&a->vdev->dev, "%s, resetting the device; will try again\n",
			     why);
	WRITE_ONCE(a->lost, true);
	statistics_stop(a);
	virtio_reset_device(a->vdev);
	balloon_recover_soon(a);
}

/*
 * The device did not answer. Only a reset ends its access to the pages, so that
 * they can be given back. An answer that came before the reset counts.
 */
static int hinting_give_up(struct aerator *a)
{
	struct reactor *r = &a->reactor;

	reactor_expire(r);
	if (virtqueue_is_broken(a->hinting)) {
		hinting_lose(a, "the hinting queue broke");
	} else {
		atomic64_inc(&a->stats.settle_timeouts);
		hinting_lose(a, "the host did not answer within settle_timeout_ms");
	}
	if (hinting_answered(a))
		return reactor_decant(r, ktime_get_ns());
	reactor_abort(r, ktime_get_ns());
	return -EIO;
}

/* From the kick on the pages are the device's, until it answers or is reset. */
static int hinting_settle(struct aerator *a)
{
	unsigned int timeout = READ_ONCE(aerator_params.settle_timeout_ms);

	reactor_settle(&a->reactor, ktime_get_ns(), 1);
	atomic64_inc(&a->stats.chains);
	atomic64_inc(&a->stats.kicks);
	/* Should it fail then the queue is marked broken, which is seen below. */
	virtqueue_kick(a->hinting);
	if (!wait_event_timeout(a->answered,
				hinting_answered(a) ||
				virtqueue_is_broken(a->hinting),
				msecs_to_jiffies(timeout)) ||
	    !hinting_answered(a))
		return hinting_give_up(a);
	a->retry_ms = 0;
	return reactor_decant(&a->reactor, ktime_get_ns());
}

/**
 * hinting_treat - hand the batch to the host and wait until it has it
 * @owner: the &struct aerator; its reactor is in fill, and not empty
 *
 * Context: the intake's work; sleeps for settle_timeout_ms at most, and for as
 * long as a reset of the device takes after that.
 *
 * Return: 0 if the blocks are treated. -EIO if the host did not answer and was
 * reset, -ENODEV if it has not come back since: they are raw then.
 */
int hinting_treat(void *owner)
{
	struct aerator *a = owner;
	struct reactor *r = &a->reactor;
	int err = reactor_react(r, ktime_get_ns());

	if (WARN_ON_ONCE(err))
		return err;
	err = READ_ONCE(a->lost) ? -ENODEV : hinting_submit(a);
	if (err)
		reactor_abort(r, ktime_get_ns());
	else
		err = hinting_settle(a);
	if (err && !READ_ONCE(a->lost))
		hinting_lose(a, "the hinting queue takes nothing");

	atomic64_inc(&a->stats.cycles);
	if (err) {
		atomic64_inc(&a->stats.errors);
		return err;
	}
	atomic64_add(r->blocks, &a->stats.reported_blocks);
	atomic64_add(r->pages << PAGE_SHIFT, &a->stats.reported_bytes);
	return 0;
}
