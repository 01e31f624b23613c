// SPDX-License-Identifier: GPL-2.0
/*
 * The reporting queue: react and settle.
 *
 * A batch becomes chains of device-writable buffers, which are the free pages
 * themselves (virtio 1.2, 5.5.6.7). The device drops what is in them and gives
 * the chains back, in whichever order; each has its reactor as token. What the
 * ring has no room for goes on it as room comes, whoever waits at that time.
 *
 * Nothing here sleeps for memory. With indirect descriptors, if negotiated, a
 * chain takes one slot of the ring, and its table is allocated. If that fails
 * the chain takes as many slots as it has entries, once they are free: a guest
 * that is short of memory can still return some.
 *
 * All of it runs in the intake's one work item. The interrupt only wakes it; the
 * queue is touched by nobody else, and needs no lock.
 */
#include <linux/bits.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include "balloon.h"
#include "compat/compat.h"

/**
 * struct balloon_reporting_wait - a wait for one batch
 * @wait: the wait
 * @r: the batch
 */
struct balloon_reporting_wait {
	struct balloon_vq_wait wait;
	struct reactor *r;
};

/**
 * balloon_reporting_acked - interrupt of the reporting queue
 * @vq: the queue
 *
 * Context: hard interrupt.
 */
void balloon_reporting_acked(struct virtqueue *vq)
{
	struct aerator *a = vq->vdev->priv;

	atomic64_inc(&a->stats.interrupts);
	wake_up(&a->answered);
	wake_up_all(&a->told);	/* a trial waits there */
}

/* Chains that the device has, of all batches. */
static unsigned int balloon_reporting_chains(const struct aerator *a)
{
	unsigned int i, chains = 0;

	for (i = 0; i < a->intake->nr_reactors; i++)
		chains += a->reactors[i].chains;
	return chains;
}

/*
 * Write down a chain, at least one entry. It must not be longer than the ring, indirect
 * or not (virtio 1.2, 2.7.5.3.1), nor be of more than 2^32 bytes (2.7.5.1), which
 * half a batch of the kernel's own reporting is where a block has 512 MiB. Return
 * the entries.
 */
static unsigned int balloon_reporting_write(struct aerator *a, const struct reactor *r)
{
	unsigned int most = min(reactor_unsent(r), a->intake->ring);
	const struct reactor_run *run = &r->runs[r->sent];
	unsigned int entries;
	u64 bytes = 0;

	sg_init_table(a->sg, most);
	for (entries = 0; entries < most; entries++, run++) {
		bytes += run->pages << PAGE_SHIFT;
		if (entries && bytes > BIT_ULL(32))
			break;
		sg_set_page(&a->sg[entries], pfn_to_page(run->pfn),
			    run->pages << PAGE_SHIFT, 0);
	}
	sg_mark_end(&a->sg[entries - 1]);
	return entries;
}

/* Put it on the queue. */
static int balloon_reporting_chain(struct aerator *a, struct reactor *r)
{
	unsigned int entries = balloon_reporting_write(a, r);
	int err;

	err = virtqueue_add_inbuf(a->reporting_vq, a->sg, entries, r,
				  GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		return err;
	atomic64_inc(&a->stats.chains);
	reactor_sent(r, entries);
	return 0;
}

/*
 * Put on the queue what there is room for. The device is not told yet. Whatever
 * is in the way is no error as long as answers are to come: they bring room, or
 * the device is found broken.
 */
static int balloon_reporting_put(struct aerator *a, struct reactor *r)
{
	int err = 0;

	while (!err && reactor_unsent(r)) {
		err = balloon_reporting_chain(a, r);
		cond_resched();	/* a long batch has many chains */
	}
	return balloon_reporting_chains(a) ? 0 : err;
}

static void balloon_reporting_kick(struct aerator *a)
{
	/* A device that was reset is not to be kicked (virtio 1.2, 3.1.1). */
	if (balloon_has_failed(a))
		return;
	atomic64_inc(&a->stats.kicks);
	/* Should it fail then the queue is marked broken, which is seen later. */
	virtqueue_kick(a->reporting_vq);
}

/* Take what the device answered, to any batch. */
static void balloon_reporting_take(struct aerator *a)
{
	struct reactor *r;
	unsigned int unused;

	while ((r = virtqueue_get_buf(a->reporting_vq, &unused))) {
		reactor_answer(r);
		a->heard = jiffies;
	}
}

/* Room may have come. Batches are served in turn, from the one that waits on. */
static void balloon_reporting_refill(struct aerator *a, const struct reactor *first)
{
	unsigned int nr = a->intake->nr_reactors;
	bool sent = false;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct reactor *r = &a->reactors[(first->index + i) % nr];
		unsigned int unsent = reactor_unsent(r);

		if (r->stage != REACTOR_SETTLE || !unsent)
			continue;
		balloon_reporting_put(a, r);
		sent |= reactor_unsent(r) != unsent;
	}
	if (sent)
		balloon_reporting_kick(a);
}

/*
 * Ask for an interrupt: for the answer if the batch has one to come, or else when
 * most of what is on the queue is answered. False if that is so already.
 */
static bool balloon_reporting_arm(struct aerator *a, const struct reactor *r)
{
	if (r->chains == 1 && !reactor_unsent(r))
		return virtqueue_enable_cb(a->reporting_vq);
	return virtqueue_enable_cb_delayed(a->reporting_vq);
}

/*
 * Nothing more to wait for. With no chain at the device none will be answered:
 * then it takes nothing, as room there is.
 */
static bool balloon_reporting_over(struct aerator *a, const struct reactor *r)
{
	return reactor_answered(r) || virtqueue_is_broken(a->reporting_vq) ||
	       balloon_has_failed(a) || !balloon_reporting_chains(a);
}

/*
 * Look at the queue, and be interrupted again only while there is something to
 * wait for. An answer that comes before the interrupt is asked for is taken in
 * another round. True when the batch's wait is over.
 */
static bool balloon_reporting_look(struct aerator *a, struct balloon_vq_wait *wait)
{
	struct reactor *r = container_of(wait, struct balloon_reporting_wait, wait)->r;

	do {
		virtqueue_disable_cb(a->reporting_vq);
		balloon_reporting_take(a);
		balloon_reporting_refill(a, r);
		if (balloon_reporting_over(a, r))
			return true;
	} while (!balloon_reporting_arm(a, r));
	return false;
}

/*
 * Until the batch is answered, or that cannot be expected any more. What counts
 * is the time since the device answered anything, or was sent something while it
 * had nothing: a slow host may take its time for what it has, a silent one
 * holds up nobody for longer than settle_timeout_ms. Return true if it is answered.
 */
static bool balloon_reporting_await(struct aerator *a, struct reactor *r)
{
	struct balloon_reporting_wait reporting = {
		.wait = { a->reporting_vq, &a->answered, &a->heard, balloon_reporting_look },
		.r = r,
	};

	balloon_vq_await(a, &reporting.wait);
	return reactor_answered(r);
}

static void balloon_reporting_fail(struct aerator *a)
{
	balloon_fail(a, virtqueue_is_broken(a->reporting_vq) ? "the reporting queue broke" :
		     "the reporting queue takes nothing");
}

/*
 * The device did not answer. Only a reset ends its access to the pages, so that
 * they can be given back. Answers that came before the reset count, also those
 * to other batches, whose turn comes later.
 */
static void balloon_reporting_give_up(struct aerator *a, struct reactor *r)
{
	reactor_expire(r);
	if (virtqueue_is_broken(a->reporting_vq) || !balloon_reporting_chains(a)) {
		balloon_reporting_fail(a);
	} else if (!balloon_has_failed(a)) {
		atomic64_inc(&a->stats.settle_timeouts);
		balloon_fail(a, "the host did not answer within settle_timeout_ms");
	}
	balloon_reporting_take(a);
	/* Could it not be reset, then it has as long again. */
	a->heard = jiffies;
}

/* The end of a batch, in decant. */
static int balloon_reporting_count(struct aerator *a, const struct reactor *r, int err)
{
	atomic64_inc(&a->stats.cycles);
	if (err) {
		atomic64_inc(&a->stats.errors);
		return err;
	}
	atomic64_add(r->blocks, &a->stats.reported_blocks);
	atomic64_add(r->pages << PAGE_SHIFT, &a->stats.reported_bytes);
	return 0;
}

/* Its blocks go back raw. What stops the device waits for that. */
static void balloon_reporting_abort(struct aerator *a, struct reactor *r)
{
	reactor_abort(r, ktime_get_ns());
	wake_up_all(&a->told);
}

/**
 * balloon_reporting_send - hand a batch to the host
 * @owner: the &struct aerator
 * @r: one of its reactors, in fill, and not empty
 *
 * Puts as much on the queue as there is room for, and kicks once. From then on
 * the pages are the device's, until it answers or is reset.
 *
 * Context: the intake's work. Sleeps only if the device has to be reset.
 *
 * Return: 0 with @r in settle. With @r in decant and its blocks raw -ESHUTDOWN if
 * pacing was halted meanwhile, -ENODEV if the device was reset and has not come back
 * since, or another error if it takes nothing.
 */
int balloon_reporting_send(void *owner, struct reactor *r)
{
	struct aerator *a = owner;
	int err;

	if (!reactor_react(r, ktime_get_ns()))
		return -EPROTO;
	/* Pairs with quiesce_close(): it sees the stage, or we see the halt. */
	smp_mb();
	if (intake_pacing_is_off(&a->intake->pacing)) {
		balloon_reporting_abort(a, r);
		return -ESHUTDOWN;
	}
	if (!balloon_reporting_chains(a)) {
		/* In react: what stops the intake waits for the trial's block as well. */
		balloon_trial_report(a);
		a->heard = jiffies;
	}
	err = balloon_has_failed(a) ? -ENODEV : balloon_reporting_put(a, r);
	if (err) {
		/* Nothing of it reached the device. */
		balloon_reporting_abort(a, r);
		balloon_reporting_fail(a);
		return balloon_reporting_count(a, r, err);
	}
	reactor_settle(r, ktime_get_ns());
	if (r->chains)
		balloon_reporting_kick(a);
	return 0;
}

/**
 * balloon_reporting_settle - wait until the host has a batch
 * @owner: the &struct aerator
 * @r: one of its reactors, in settle
 *
 * Context: the intake's work. Sleeps as long as the host answers, be it other
 * batches that it got before; no longer than settle_timeout_ms when it is
 * silent, and for as long as a reset of the device takes after that. Without bound
 * if it is silent and cannot be reset: the pages are its own.
 *
 * Return: 0 if the blocks are treated, -EIO if they are raw: the device was
 * reset before it answered all. @r is in decant.
 */
int balloon_reporting_settle(void *owner, struct reactor *r)
{
	struct aerator *a = owner;

	while (!balloon_has_failed(a) && !balloon_reporting_await(a, r)) {
		balloon_reporting_give_up(a, r);
		if (!r->chains)	/* the device has none of it */
			break;
	}
	if (reactor_answered(r))
		balloon_answered(a);
	/* Answered, or the device was reset, by whom ever, and will never be. */
	if (!reactor_decant(r, ktime_get_ns())) {
		balloon_reporting_abort(a, r);
		return balloon_reporting_count(a, r, -EIO);
	}
	wake_up_all(&a->told);
	return balloon_reporting_count(a, r, 0);
}
