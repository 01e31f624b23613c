// SPDX-License-Identifier: GPL-2.0
/*
 * The reporting queue: react and settle.
 *
 * A batch becomes chains of device-writable buffers, which are the free pages themselves
 * (virtio 1.2, 5.5.6.7). The device discards the pages and returns the chains, in any
 * order; the token of a chain is its reactor. Entries that the ring has no room for are
 * put on it when there is room, during the wait for any batch.
 *
 * No function here sleeps for an allocation. With indirect descriptors, if negotiated, a
 * chain takes one slot of the ring, and its table is allocated. If the allocation fails,
 * the chain takes one slot per entry, once so many are free: a guest under memory
 * pressure can still return memory.
 *
 * All functions run in the intake's work item. The interrupt only wakes it. No other task
 * uses the queue, so that the queue needs no lock.
 */
#include <linux/bits.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include "balloon.h"
#include "compat/compat.h"
#include "trace.h"

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
	wake_up(&a->reporting.acked);
	wake_up_all(&a->requests.acked);	/* balloon_trial_report() waits on it */
}

/**
 * balloon_reporting_left - the reactors' observer: counts the time in a stage, and traces
 * @r: one of the device's reactors
 * @stage: the stage that its batch left
 * @ns: time in @stage, nanoseconds
 *
 * A fill that found no block is no batch, and does not count.
 *
 * Context: the intake's work.
 */
void balloon_reporting_left(struct reactor *r, enum reactor_stage stage, u64 ns)
{
	struct balloon_reporting *reporting =
		container_of(r - r->index, struct balloon_reporting, reactors[0]);

	if (stage != REACTOR_FILL || r->blocks) {
		atomic64_inc(&reporting->times[stage].batches);
		atomic64_add(ns, &reporting->times[stage].ns);
	}
	trace_stage_left(r, stage, ns);
}

/* Number of unanswered chains, of all batches. */
static unsigned int balloon_reporting_chains(const struct aerator *a)
{
	unsigned int i, chains = 0;

	for (i = 0; i < a->intake->nr_reactors; i++)
		chains += a->reporting.reactors[i].chains;
	return chains;
}

/*
 * Build the scatterlist of a chain, with at least one entry. A chain must not be longer
 * than the ring, indirect or not (virtio 1.2, 2.7.5.3.1), and not have more than 2^32
 * bytes (2.7.5.1): with blocks of 512 MiB, a batch of the kernel's own page reporting has
 * more. Returns the number of entries.
 */
static unsigned int balloon_reporting_write(struct aerator *a, const struct reactor *r)
{
	unsigned int entries = reactor_chain(r, a->intake->ring, BIT_ULL(32) >> PAGE_SHIFT);
	const struct reactor_run *run = &r->runs[r->sent];
	unsigned int i;

	sg_init_table(a->reporting.sg, entries);
	for (i = 0; i < entries; i++, run++)
		sg_set_page(&a->reporting.sg[i], pfn_to_page(run->pfn),
			    run->pages << PAGE_SHIFT, 0);
	return entries;
}

/* Put one chain on the queue. */
static int balloon_reporting_chain(struct aerator *a, struct reactor *r)
{
	unsigned int entries = balloon_reporting_write(a, r);
	int err;

	err = virtqueue_add_inbuf(a->reporting_vq, a->reporting.sg, entries, r,
				  GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		return err;
	atomic64_inc(&a->stats.chains);
	reactor_sent(r, entries);
	return 0;
}

/*
 * Put on the queue as many chains as it has room for, without a kick. A failure is no
 * error while answers are still to come: an answer makes room, or the wait for it detects
 * a broken device.
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
	/* A device that was reset must not be kicked (virtio 1.2, 3.1.1). */
	if (balloon_has_failed(a))
		return;
	atomic64_inc(&a->stats.kicks);
	/* A failed kick marks the queue as broken, see balloon_reporting_over(). */
	virtqueue_kick(a->reporting_vq);
}

/* Take the used buffers off the queue, of any batch. */
static void balloon_reporting_take(struct aerator *a)
{
	struct reactor *r;
	unsigned int unused;

	while ((r = virtqueue_get_buf(a->reporting_vq, &unused))) {
		reactor_answer(r);
		a->reporting.last_answer = jiffies;
	}
}

/* Put more chains on the queue, batch after batch, beginning with the one waited for. */
static void balloon_reporting_refill(struct aerator *a, const struct reactor *first)
{
	unsigned int nr = a->intake->nr_reactors;
	bool sent = false;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct reactor *r = &a->reporting.reactors[(first->index + i) % nr];
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
 * Enable the interrupt: for the next answer if the batch needs only one more, or else
 * after most of the buffers are used. Returns false if there are answers already.
 */
static bool balloon_reporting_arm(struct aerator *a, const struct reactor *r)
{
	if (r->chains == 1 && !reactor_unsent(r))
		return virtqueue_enable_cb(a->reporting_vq);
	return virtqueue_enable_cb_delayed(a->reporting_vq);
}

/*
 * Is the wait over? Without a chain in flight no answer will come: the queue then takes
 * no chain although it has room.
 */
static bool balloon_reporting_over(struct aerator *a, const struct reactor *r)
{
	return reactor_answered(r) || virtqueue_is_broken(a->reporting_vq) ||
	       balloon_has_failed(a) || !balloon_reporting_chains(a);
}

/*
 * Process the queue, and enable the interrupt only if the wait goes on. Answers that come
 * before the interrupt is enabled are taken in another round. Returns true if the wait
 * for the batch is over.
 */
static bool balloon_reporting_poll(struct aerator *a, struct balloon_vq_wait *wait)
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
 * Wait until the batch is answered, or the timeout. The timeout begins anew with each
 * answer to any batch, and with a batch that is sent while none is in flight: a slow host
 * may take long for all of them, and a silent one blocks the work for settle_timeout_ms
 * at most. Returns true if the batch is answered.
 */
static bool balloon_reporting_await(struct aerator *a, struct reactor *r)
{
	struct balloon_reporting_wait reporting = {
		.wait = {
			.vq = a->reporting_vq,
			.acked = &a->reporting.acked,
			.last_answer = &a->reporting.last_answer,
			.poll = balloon_reporting_poll,
		},
		.r = r,
	};

	balloon_vq_await(a, &reporting.wait);
	return reactor_answered(r);
}

static void balloon_reporting_fail(struct aerator *a)
{
	balloon_fail(a, virtqueue_is_broken(a->reporting_vq) ? "the reporting queue is broken" :
		     "the reporting queue accepts no buffer");
}

/*
 * The device did not answer. Only a reset ends its access to the pages, so that they can
 * be freed. Answers from before the reset are valid, also those to other batches, which
 * are settled later.
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
	/* If the device could not be reset, the timeout begins anew. */
	a->reporting.last_answer = jiffies;
}

/* Count a batch, which is in decant. */
static int balloon_reporting_count(struct aerator *a, const struct reactor *r, int err)
{
	atomic64_inc(&a->stats.cycles);
	if (err) {
		atomic64_inc(&a->stats.errors);
		return err;
	}
	atomic64_add(r->blocks, &a->stats.reported_blocks);
	atomic64_add(r->pages << PAGE_SHIFT, &a->stats.reported_bytes);
	atomic64_set(&a->stats.last_report, ktime_get_real_seconds());
	return 0;
}

/* The blocks go back raw; balloon_quiesce_*() may wait for this. */
static void balloon_reporting_abort(struct aerator *a, struct reactor *r)
{
	reactor_abort(r, ktime_get_ns());
	wake_up_all(&a->requests.acked);
}

/**
 * balloon_reporting_send - send a batch to the host
 * @owner: the &struct aerator
 * @r: one of its reactors, in fill, and not empty
 *
 * Puts as many chains on the queue as it has room for, and kicks once. From then on the
 * device owns the pages, until it answers or is reset.
 *
 * Context: the intake's work. Sleeps for a trial, see balloon_trial_report(), and if the
 * device has to be reset.
 *
 * Return: 0 with @r in settle. With @r in decant and its blocks raw: -ESHUTDOWN if
 * pacing was halted meanwhile, -ENODEV if the device was reset and is not recovered yet,
 * or another error if the queue takes no chain.
 */
int balloon_reporting_send(void *owner, struct reactor *r)
{
	struct aerator *a = owner;
	int err;

	if (!reactor_react(r, ktime_get_ns()))
		return -EPROTO;
	/* Pairs with quiesce_halt(): write the stage before reading the halt. */
	smp_mb();
	if (intake_pacing_is_off(&a->intake->pacing)) {
		balloon_reporting_abort(a, r);
		return -ESHUTDOWN;
	}
	if (!balloon_reporting_chains(a)) {
		/* In react: a stop of the intake waits for the trial's block too. */
		balloon_trial_report(a);
		a->reporting.last_answer = jiffies;
	}
	err = balloon_has_failed(a) ? -ENODEV : balloon_reporting_put(a, r);
	if (err) {
		/* No chain of the batch reached the device. */
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
 * balloon_reporting_settle - wait for the answer to a batch
 * @owner: the &struct aerator
 * @r: one of its reactors, in settle
 *
 * Context: the intake's work. Sleeps for as long as the host answers, also to earlier
 * batches; for at most settle_timeout_ms without an answer, and then for as long as a
 * reset of the device takes. Without limit if the device does not answer and cannot be
 * reset, since the device owns the pages.
 *
 * Return: 0 if the blocks are treated, -EIO if they are raw since the device was reset
 * before it answered the whole batch. @r is in decant.
 */
int balloon_reporting_settle(void *owner, struct reactor *r)
{
	struct aerator *a = owner;

	while (!balloon_has_failed(a) && !balloon_reporting_await(a, r)) {
		balloon_reporting_give_up(a, r);
		if (!r->chains)	/* no chain of the batch is in flight */
			break;
	}
	if (reactor_answered(r))
		balloon_answered(a);
	/* The batch is answered, or the device was reset, by this task or another one. */
	if (!reactor_decant(r, ktime_get_ns())) {
		balloon_reporting_abort(a, r);
		return balloon_reporting_count(a, r, -EIO);
	}
	wake_up_all(&a->requests.acked);
	return balloon_reporting_count(a, r, 0);
}
