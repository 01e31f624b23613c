// SPDX-License-Identifier: GPL-2.0
/*
 * The gate: what all intakes have in common about when a pass runs.
 *
 * An intake has one work item, in which everything that takes memory out of the
 * allocator runs, and which never runs twice at a time. The gate belongs to that
 * work. It brings the policy the clock, the amount of free memory and the user's
 * settings, none of which the policy knows of, and carries word to those who
 * wait for a pass:
 *
 *	work: begin --> wait --(not yet: queue it again)
 *	                  |
 *	                (now)--> the pass --> passed --> rest --> watch
 *
 * After a release a second work, the watch, looks a few times whether memory is
 * taken back, which nothing else would tell before the next free. Then nothing
 * runs until that free.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/vmstat.h>
#include "gate.h"
#include "params.h"

/*
 * While a pass is held, free memory is looked at this often in each window, but
 * not so seldom that a fall and rise in between goes unseen. Bounds in ms.
 */
#define GATE_SAMPLES		8
#define GATE_SAMPLE_MIN		10
#define GATE_SAMPLE_MAX		125

/* Memory goes up and down by this much all the time in a guest that rests. */
#define GATE_SLACK_MIB		16

/* A flush that takes longer than this fails; unbinding has to wait for it. */
#define GATE_FLUSH_MS		60000

static u64 gate_free_pages(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

static u64 gate_ms(void)
{
	return ktime_to_ms(ktime_get());
}

static u64 mib_to_pages(unsigned int mib)
{
	return (u64)mib << (20 - PAGE_SHIFT);
}

static struct policy_limits gate_limits(void)
{
	return (struct policy_limits) {
		.window_ms = READ_ONCE(aerator_params.window_ms),
		.reserve = mib_to_pages(READ_ONCE(aerator_params.reserve_mb)),
		.rate = mib_to_pages(READ_ONCE(aerator_params.rate_mb)),
	};
}

/**
 * gate_sample_ms - how soon to look again while a pass is held
 *
 * Context: any.
 *
 * Return: milliseconds.
 */
unsigned int gate_sample_ms(void)
{
	return clamp_t(unsigned int,
		       READ_ONCE(aerator_params.window_ms) / GATE_SAMPLES,
		       GATE_SAMPLE_MIN, GATE_SAMPLE_MAX);
}

/**
 * gate_dry - is no pass wanted, not even the rest of a running one?
 * @g: the gate
 *
 * Context: any.
 *
 * Return: true if it is closed or the user paused everything.
 */
bool gate_dry(const struct gate *g)
{
	return !READ_ONCE(g->running) || !READ_ONCE(aerator_params.enabled);
}

/**
 * gate_noticed - the first block since the last rest was freed
 * @g: the gate
 *
 * Context: any, also under zone->lock with interrupts off.
 */
void gate_noticed(struct gate *g)
{
	WRITE_ONCE(g->noticed_free, gate_free_pages());
}

static void gate_look_back(struct work_struct *work)
{
	struct gate *g = container_of(to_delayed_work(work), struct gate, watch);
	u64 free = gate_free_pages();

	if (free < READ_ONCE(g->watch_floor)) {
		WRITE_ONCE(g->fall_free, free);
		/* Pairs with the acquire in gate_look(). */
		smp_store_release(&g->fall_at, gate_ms());
	} else if (--g->watches) {
		queue_delayed_work(g->wq, &g->watch,
				   msecs_to_jiffies(READ_ONCE(g->watch_ms)));
	}
}

/**
 * gate_watch - what was released on a guess is watched while it is judged
 * @g: the gate
 *
 * Context: the intake's work, after gate_rest() when nothing is asked for. May
 * sleep for the moment that a look takes.
 */
void gate_watch(struct gate *g)
{
	struct policy_limits limits = gate_limits();
	const struct policy *p = &g->policy;

	if (!p->released || !p->guessed || p->peak <= p->slack)
		return;
	cancel_delayed_work_sync(&g->watch);
	g->watches = POLICY_REGRET;
	g->watch_ms = policy_hold(p, &limits);
	g->watch_floor = p->peak - p->slack;
	g->fall_at = 0;
	queue_delayed_work(g->wq, &g->watch, msecs_to_jiffies(g->watch_ms));
}

/* Let the policy see what happened since it was last asked. */
static void gate_look(struct gate *g, u64 now, const struct policy_limits *limits)
{
	u64 noticed = READ_ONCE(g->noticed_free);
	/* Pairs with the release in gate_look_back(). */
	u64 fall_at = smp_load_acquire(&g->fall_at);

	if (fall_at) {
		policy_sample(&g->policy, fall_at, READ_ONCE(g->fall_free), limits);
		WRITE_ONCE(g->fall_at, 0);
	}
	if (!g->waiting) {
		policy_request(&g->policy, now,
			       noticed ?: gate_free_pages(), limits);
		WRITE_ONCE(g->noticed_free, 0);
		g->waiting = true;
	}
	policy_sample(&g->policy, now, gate_free_pages(), limits);
}

/**
 * gate_begin - the intake's work begins
 * @g: the gate
 *
 * Context: the intake's work, before all else.
 *
 * Return: false if no pass is wanted; the work ends then, without being queued
 * again, and whoever ends that state queues it.
 */
bool gate_begin(struct gate *g)
{
	if (gate_dry(g)) {
		g->waiting = false;
		wake_up_all(&g->passed);
		return false;
	}
	WRITE_ONCE(g->begun, g->begun + 1);
	return true;
}

/**
 * gate_wait - how long the pass has to wait
 * @g: the gate
 *
 * What comes back is the policy's word, not a time to sleep for: gate_hold() has
 * the work ask again after gate_sample_ms(), or sooner if that is less.
 *
 * Context: the intake's work, after gate_begin().
 *
 * Return: milliseconds, 0 for now, POLICY_NEVER if only another free can help.
 */
unsigned int gate_wait(struct gate *g)
{
	struct policy_limits limits = gate_limits();
	u64 now = gate_ms();
	unsigned int wait;

	gate_look(g, now, &limits);
	wait = policy_wait(&g->policy, now, &limits);
	if (wait != POLICY_NEVER && atomic_read(&g->flushes))
		return 0;
	return wait;
}

/**
 * gate_passed - a pass ran
 * @g: the gate
 * @pages: what the host took in it
 *
 * Context: the intake's work, after a gate_wait() that said 0.
 */
void gate_passed(struct gate *g, u64 pages)
{
	struct policy_limits limits = gate_limits();

	policy_passed(&g->policy, gate_ms(), pages, &limits);
}

/**
 * gate_rest - nothing is left to do, which some may be waiting for
 * @g: the gate
 * @err: 0, or why the last pass ended before it was done
 *
 * Context: the intake's work. A free from here on is a new request.
 */
void gate_rest(struct gate *g, int err)
{
	g->waiting = false;
	WRITE_ONCE(g->noticed_free, 0);
	g->drained_err = err;
	/* Pairs with the acquire in gate_flushed(). */
	smp_store_release(&g->drained, g->begun);
	wake_up_all(&g->passed);
}

/*
 * Only a new free can help (the reserve): let the allocator believe that all is
 * done, so that it tells of one. It changes the amount before it looks at the
 * state; a free that found the state still set is seen in the amount.
 */
static void gate_sleep(struct gate *g, struct page_reporting_dev_info *prdev)
{
	atomic_set(&prdev->state, GATE_IDLE);
	/* The state is written before the amount is read, see above. */
	smp_mb__after_atomic();
	if (gate_free_pages() > gate_limits().reserve)
		mod_delayed_work(g->wq, &prdev->work,
				 msecs_to_jiffies(gate_sample_ms()));
	gate_rest(g, 0);
}

/**
 * gate_hold - there is no pass now
 * @g: the gate
 * @prdev: the registered device, whose work the intake's is
 * @wait: what gate_wait() said, not 0
 *
 * Queues the work for another look, unless somebody wants it sooner already.
 *
 * Context: the intake's work, as the last that it does.
 */
void gate_hold(struct gate *g, struct page_reporting_dev_info *prdev,
	       unsigned int wait)
{
	if (wait == POLICY_NEVER)
		gate_sleep(g, prdev);
	else
		queue_delayed_work(g->wq, &prdev->work,
				   msecs_to_jiffies(min(wait, gate_sample_ms())));
}

/**
 * gate_flush_begin - the next passes are not to wait
 * @g: the gate
 *
 * The caller queues the intake's work then. Passes that begin after this call
 * will see all that is free now; the ticket is the number of the last one that
 * may not.
 *
 * Context: under the intake's owner's lock, while the gate is open.
 *
 * Return: the ticket for gate_flush_end(), which has to be called.
 */
unsigned int gate_flush_begin(struct gate *g)
{
	unsigned int ticket = READ_ONCE(g->begun);

	atomic_inc(&g->flushes);
	return ticket;
}

static bool gate_flushed(const struct gate *g, unsigned int ticket)
{
	/* Pairs with the release in gate_rest(). */
	return (int)(smp_load_acquire(&g->drained) - ticket) > 0;
}

/**
 * gate_flush_end - wait until nothing is left to do
 * @g: the gate
 * @ticket: what gate_flush_begin() returned
 *
 * Context: sleeps for a minute at most, interruptible. Not under the intake's
 * owner's lock: the gate must be able to close meanwhile.
 *
 * Return: 0, -EAGAIN if it was closed or paused, -EIO if the host did not take
 * all, -ETIMEDOUT, or -ERESTARTSYS.
 */
int gate_flush_end(struct gate *g, unsigned int ticket)
{
	long left;

	left = wait_event_interruptible_timeout(g->passed,
						gate_flushed(g, ticket) || gate_dry(g),
						msecs_to_jiffies(GATE_FLUSH_MS));
	atomic_dec(&g->flushes);
	if (left <= 0)
		return left ?: -ETIMEDOUT;
	if (gate_dry(g))
		return -EAGAIN;
	return READ_ONCE(g->drained_err) ? -EIO : 0;
}

/**
 * gate_surplus - free memory that the guest does not seem to need
 * @g: the gate
 *
 * Context: any.
 *
 * Return: bytes.
 */
u64 gate_surplus(const struct gate *g)
{
	struct policy_limits limits = gate_limits();

	return policy_surplus(&g->policy, gate_free_pages(), &limits) << PAGE_SHIFT;
}

/**
 * gate_init - make a gate, closed
 * @g: the gate
 */
void gate_init(struct gate *g)
{
	INIT_DELAYED_WORK(&g->watch, gate_look_back);
	init_waitqueue_head(&g->passed);
}

/**
 * gate_start - open it, with no history
 * @g: the gate, new or stopped
 * @wq: workqueue of the intake's work
 *
 * Context: under the intake's owner's lock. The caller queues the work then.
 */
void gate_start(struct gate *g, struct workqueue_struct *wq)
{
	g->wq = wq;
	policy_init(&g->policy, mib_to_pages(GATE_SLACK_MIB));
	g->waiting = false;
	g->noticed_free = 0;
	g->fall_at = 0;
	WRITE_ONCE(g->running, true);
}

/**
 * gate_close - let nothing through any more
 * @g: the gate
 *
 * A pass that is under way gets no further than its batches: it asks gate_dry().
 *
 * Context: under the intake's owner's lock.
 */
void gate_close(struct gate *g)
{
	WRITE_ONCE(g->running, false);
	wake_up_all(&g->passed);
}

/**
 * gate_stop - end the watch
 * @g: the gate, closed, and the intake's work gone
 *
 * Context: may sleep.
 */
void gate_stop(struct gate *g)
{
	cancel_delayed_work_sync(&g->watch);
}
