// SPDX-License-Identifier: GPL-2.0
/*
 * The gate: what all intakes have in common about when blocks are taken.
 *
 * An intake has one work item, in which everything that takes memory out of the
 * allocator runs, and which never runs twice at a time. The gate belongs to that
 * work. It brings the policy the clock, the amount of free memory and the user's
 * settings, none of which the policy knows of, and carries word to those who
 * wait for a pass:
 *
 *	free --> [work]: begin --> allowance? --> the pass, batch by batch --> passed
 *	            ^                  |              (allowance? before each)    |
 *	            |                  +-------------------+----------------------+
 *	            |                                      |
 *	            +--------(look again, in ms)--------- end --> rest, until a free
 *
 * While much is raw that may become surplus by staying free, the work comes back
 * by itself. Once there is not, it rests, until something is freed. Meanwhile a
 * second work, the watch, looks a few times whether what was released is taken
 * back, and whether the little that may be raw stays free, which nothing else
 * would tell. Then nothing runs in a guest that frees nothing.
 */
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include "intake.h"
#include "intake_node.h"
#include "intake_pacing.h"
#include "mm_free.h"
#include "params.h"

/*
 * Once awake, for at least so long: small frees in a row wake us no more often. As long
 * until a pass that was put off is tried again.
 */
#define GATE_AWAKE_MS		113U

static u64 mib_to_pages(unsigned int mib)
{
	return (u64)mib << (20 - PAGE_SHIFT);
}

/* A flush does not wait for the window and the rate. */
static struct gate_limits gate_limits(const struct gate *g)
{
	struct gate_limits limits = {
		.window_ms = READ_ONCE(aerator_params.window_ms),
		.refault_ms = READ_ONCE(aerator_params.refault_ms),
		.reserve = mib_to_pages(READ_ONCE(aerator_params.reserve_mb)),
		.rate = mib_to_pages(READ_ONCE(aerator_params.rate_mb)),
		.cap = mult_frac(totalram_pages(),
				 (unsigned long)READ_ONCE(aerator_params.share_pct), 100UL),
	};

	if (atomic_read(&g->flushes)) {
		limits.window_ms = 0;
		limits.rate = 0;
	}
	return limits;
}

/* Let the policies see what is free now. Returns the time. */
static u64 gate_sample(struct gate *g, const struct gate_limits *limits)
{
	u64 now = gate_nodes_sample(g, limits);

	if (gate_is_coarse(g))
		gate_batch_sample(g, now);
	return now;
}

/*
 * Until the work may rest, ms. Where the allocator does not count, a survey comes before:
 * what was taken and freed again between two looks is not seen otherwise.
 */
static unsigned int gate_rest_due(const struct gate *g)
{
	if (!gate_is_coarse(g))
		return gate_left(g->woken, GATE_AWAKE_MS);
	return g->fresh ? gate_left(g->woken, GATE_SURVEY_MS) : max(gate_survey_due(g), 1U);
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

/* Wake up; for a flush, whatever was refused is tried again. */
static void gate_wake(struct gate *g)
{
	struct gate_limits limits = gate_limits(g);
	bool flush = atomic_read(&g->flushes);

	spin_lock(&g->lock);
	if (!g->awake || flush)
		gate_nodes_wake(g);
	g->awake = true;
	gate_sample(g, &limits);
	if (flush && !g->owed) {
		g->owed = gate_nodes_deficit(g);
		g->series = g->begun;
	}
	spin_unlock(&g->lock);
}

/**
 * gate_begin - the intake's work begins
 * @g: the gate
 *
 * Context: the intake's work, before all else. May sleep.
 *
 * Return: false if no pass is wanted; the work ends then, without being queued
 * again, and whoever ends that state queues it.
 */
bool gate_begin(struct gate *g)
{
	if (gate_dry(g)) {
		spin_lock(&g->lock);
		g->awake = false;
		spin_unlock(&g->lock);
		wake_up_all(&g->passed);
		return false;
	}
	WRITE_ONCE(g->begun, g->begun + 1);
	/* The number is written before the callers of flush are counted. */
	smp_mb();
	g->err = 0;
	g->put_off = false;
	g->fresh = false;
	if (!READ_ONCE(g->awake)) {
		g->woken = gate_ms();
		g->surveyed = 0;
	}
	if (!gate_survey_due(g) || atomic_read(&g->flushes))
		gate_survey(g);
	gate_wake(g);
	return true;
}

/* How long until a pass may begin, ms; GATE_BATCH_NEVER if that cannot be. */
static u64 gate_pass_due(const struct gate *g, u64 now, u64 deficit,
			 const struct gate_limits *limits)
{
	return max(gate_batch_wait(g), policy_rate_wait(&g->rate, now, deficit, limits->rate));
}

/* Is there a deficit, and may a pass begin to see to it? g->lock held. */
static bool gate_may_pass(struct gate *g, const struct gate_limits *limits)
{
	u64 now = gate_sample(g, limits);
	u64 deficit = gate_nodes_deficit(g);

	return deficit && !gate_pass_due(g, now, deficit, limits);
}

/**
 * gate_wants_pass - is there something to treat now?
 * @g: the gate
 *
 * Context: the intake's work, after gate_begin().
 *
 * Return: true if a pass is to run.
 */
bool gate_wants_pass(struct gate *g)
{
	struct gate_limits limits = gate_limits(g);
	bool wanted;

	if (gate_dry(g))
		return false;
	spin_lock(&g->lock);
	wanted = gate_may_pass(g, &limits);
	spin_unlock(&g->lock);
	return wanted;
}

/**
 * gate_allowance - how much of a node may be treated now
 * @g: the gate
 * @nid: the node
 *
 * Asked before each batch: it is less, or nothing, as soon as memory gets short.
 *
 * Context: the intake's work, after gate_begin().
 *
 * Return: pages.
 */
u64 gate_allowance(struct gate *g, int nid)
{
	struct gate_limits limits = gate_limits(g);
	struct gate_node *n = &g->nodes[nid];
	u64 pages = 0, now;

	if (gate_dry(g))
		return 0;
	spin_lock(&g->lock);
	now = gate_sample(g, &limits);
	if (n->present)
		pages = policy_rate_allowance(&g->rate, now,
					      n->view.deficit, limits.rate);
	spin_unlock(&g->lock);
	return pages;
}

/**
 * gate_allows - may a batch be treated that cannot be made smaller?
 * @g: the gate
 * @nid: the node that it is from
 * @pages: how much it is
 *
 * Context: the intake's work, after gate_begin().
 *
 * Return: true if it may. It may exceed the rate, but once.
 */
bool gate_allows(struct gate *g, int nid, u64 pages)
{
	struct gate_limits limits = gate_limits(g);
	struct gate_node *n = &g->nodes[nid];
	bool allowed;
	u64 now;

	if (gate_dry(g))
		return false;
	spin_lock(&g->lock);
	now = gate_sample(g, &limits);
	allowed = n->present &&
		  policy_rate_allowance(&g->rate, now, gate_nodes_deficit(g), limits.rate) &&
		  gate_batch_allows(g, n, pages);
	spin_unlock(&g->lock);
	return allowed;
}

/**
 * gate_out - blocks are out of the allocator, or back in it
 * @g: the gate
 * @nid: the node that they are of
 * @pages: how much; less than 0 when they are back
 *
 * Context: the intake's work.
 */
void gate_out(struct gate *g, int nid, s64 pages)
{
	spin_lock(&g->lock);
	g->nodes[nid].out += pages;
	spin_unlock(&g->lock);
}

/**
 * gate_treat - blocks are treated, or on their way
 * @g: the gate
 * @nid: the node that they are of
 * @pages: how much
 *
 * Context: the intake's work.
 */
void gate_treat(struct gate *g, int nid, u64 pages)
{
	struct gate_limits limits = gate_limits(g);
	struct gate_node *n = &g->nodes[nid];
	u64 now = gate_ms();

	g->owed -= min(g->owed, pages);
	spin_lock(&g->lock);
	n->known += pages;
	n->done += pages;
	policy_treat(&n->policy, now, pages);
	policy_rate_pay(&g->rate, now, pages, limits.rate);
	spin_unlock(&g->lock);
}

/**
 * gate_passed - a pass ran
 * @g: the gate
 * @complete: it came to all that there is; otherwise it ended before
 * @err: why the host took nothing any more, or 0
 *
 * Of a node of which a complete pass treated nothing, nothing can be treated for now.
 *
 * Context: the intake's work, with nothing under way.
 */
void gate_passed(struct gate *g, bool complete, int err)
{
	struct gate_limits limits = gate_limits(g);
	struct gate_node *n;

	g->err = err;
	spin_lock(&g->lock);
	gate_sample(g, &limits);
	for_each_gate_node(n, g) {
		if (n->done && !err)
			policy_wake(&n->policy);
		else if (complete || err)
			policy_refuse(&n->policy, &n->view);
		n->done = 0;
	}
	spin_unlock(&g->lock);
}

/**
 * gate_put_off - a pass could take nothing, and that will change by itself
 * @g: the gate
 *
 * What is surplus stays so. The next pass does not begin at once: who was in our way
 * has to run before.
 *
 * Context: the intake's work, instead of gate_passed().
 */
void gate_put_off(struct gate *g)
{
	g->put_off = true;
}

/*
 * How long until a pass may begin, if there is a deficit. Not for long in one piece:
 * what is surplus may cease to be, and a fall that is not seen teaches the policy nothing.
 * To wait for a rate may take minutes, and needs fewer looks. Where no pass can do
 * anything about the deficit there is none from now on.
 */
static unsigned int gate_wait_deficit(struct gate *g, u64 now,
				      const struct gate_limits *limits)
{
	u64 deficit = gate_nodes_deficit(g);
	u64 due, rate;

	if (!deficit)
		return POLICY_NEVER;
	due = gate_batch_wait(g);
	if (due == GATE_BATCH_NEVER) {
		gate_nodes_refuse(g);
		return POLICY_NEVER;
	}
	rate = policy_rate_wait(&g->rate, now, deficit, limits->rate);
	return rate ? min_t(u64, rate, GATE_SURVEY_MS) : min_t(u64, due, POLICY_LOOK_MAX);
}

static unsigned int gate_wait(struct gate *g)
{
	struct gate_limits limits = gate_limits(g);
	unsigned int wait;
	u64 now;

	spin_lock(&g->lock);
	now = gate_sample(g, &limits);
	wait = gate_wait_deficit(g, now, &limits);
	wait = min(wait, gate_nodes_wait(g));
	spin_unlock(&g->lock);
	return wait;
}

static void gate_queue(struct gate *g, unsigned int ms)
{
	mod_delayed_work(g->wq, &g->prdev->work, msecs_to_jiffies(ms));
}

static void gate_watch(struct gate *g, unsigned int ms)
{
	if (ms != POLICY_NEVER)
		mod_delayed_work(g->wq, &g->watch, msecs_to_jiffies(ms));
}

/* A look while the work rests. Returns when to look again; 0 wakes the work. */
static unsigned int gate_look(struct gate *g)
{
	struct gate_limits limits = gate_limits(g);
	unsigned int watch;

	/* While it is awake, what it has out would look like a fall. */
	if (g->awake || gate_dry(g))
		return POLICY_NEVER;
	g->awake = gate_may_pass(g, &limits);
	if (g->awake)
		return 0;
	/* What no pass can do anything about is no reason to look again and again. */
	gate_wait_deficit(g, gate_ms(), &limits);
	watch = gate_nodes_watch(g);
	/* The watch is over: what a fall has left of what is treated, a survey says. */
	if (watch == POLICY_NEVER && gate_survey_stale(g)) {
		g->awake = true;
		return 0;
	}
	return watch;
}

static void gate_look_back(struct work_struct *work)
{
	struct gate *g = container_of(to_delayed_work(work), struct gate, watch);
	unsigned int again;

	spin_lock(&g->lock);
	again = gate_look(g);
	spin_unlock(&g->lock);
	if (again)
		gate_watch(g, again);
	else
		gate_queue(g, 0);
}

/*
 * Only a free can help: let the allocator believe that all is done, so that it
 * tells of one. It looks at the state under zone->lock, after it changed the
 * amount: whoever saw the old state has let go of the lock before we read that.
 */
static unsigned int gate_let_sleep(struct gate *g)
{
	atomic_set(&g->prdev->state, GATE_IDLE);
	mm_zones_sync();
	/* A timer of the kernel's own would keep the next free from waking us early. */
	if (delayed_work_pending(&g->prdev->work))
		return GATE_SOON_MS;
	return gate_wait(g);
}

/* Rest, and let the watch look now and then. Returns how long to wait if we may not. */
static unsigned int gate_rest(struct gate *g)
{
	unsigned int due = gate_rest_due(g);
	unsigned int wait, watch;

	/* In bits: the kernel tells of no free while the work is queued. */
	if (due)
		return min(due, POLICY_LOOK_MAX);
	wait = gate_let_sleep(g);
	if (wait != POLICY_NEVER)
		return wait;
	spin_lock(&g->lock);
	g->awake = false;
	watch = gate_nodes_watch(g);
	spin_unlock(&g->lock);
	gate_watch(g, watch);
	return POLICY_NEVER;
}

/**
 * gate_end - the intake's work ends
 * @g: the gate
 *
 * Queues the work for another look, unless only a free can bring something.
 *
 * Context: the intake's work, as the last that it does. May sleep.
 */
void gate_end(struct gate *g)
{
	unsigned int wait = gate_wait(g);

	if (wait)
		g->owed = 0;
	if (!g->owed)
		gate_drained(g, wait ? g->begun : g->series);
	if (wait == POLICY_NEVER)
		wait = gate_rest(g);
	if (wait != POLICY_NEVER)
		gate_queue(g, g->put_off ? max(wait, GATE_AWAKE_MS) : wait);
}

/**
 * gate_surplus - free memory that the guest does not seem to need
 * @g: the gate
 *
 * Context: any that may take a spinlock.
 *
 * Return: bytes.
 */
u64 gate_surplus(struct gate *g)
{
	struct gate_limits limits = gate_limits(g);
	u64 pages;

	spin_lock(&g->lock);
	/* A work that rests, or is paused, may not have looked for long: see gate_look(). */
	if (!g->awake)
		gate_sample(g, &limits);
	pages = gate_nodes_surplus(g);
	spin_unlock(&g->lock);
	return pages << PAGE_SHIFT;
}

/**
 * gate_init - make a gate, closed
 * @g: the gate
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int gate_init(struct gate *g)
{
	spin_lock_init(&g->lock);
	INIT_DELAYED_WORK(&g->watch, gate_look_back);
	init_waitqueue_head(&g->passed);
	g->nodes = gate_nodes_alloc();
	return g->nodes ? 0 : -ENOMEM;
}

/**
 * gate_destroy - undo gate_init()
 * @g: the gate, stopped, or gate_init() failed
 */
void gate_destroy(struct gate *g)
{
	kvfree(g->nodes);
}

/**
 * gate_start - open it, with no history
 * @g: the gate, new or stopped
 * @wq: workqueue of the intake's work
 * @prdev: the device that is registered or is going to be, with that work
 *
 * Context: under the intake's owner's lock. The caller queues the work then.
 */
void gate_start(struct gate *g, struct workqueue_struct *wq,
		struct page_reporting_dev_info *prdev)
{
	g->wq = wq;
	g->prdev = prdev;
	/* Readers of the surplus may be at it. */
	spin_lock(&g->lock);
	gate_nodes_start(g);
	g->batch = (struct gate_batch) { .at = gate_ms() };
	g->rate = (struct policy_rate) {};
	g->surveyed = 0;
	g->woken = 0;
	g->owed = 0;
	g->awake = false;
	spin_unlock(&g->lock);
	WRITE_ONCE(g->running, true);
}

/**
 * gate_close - let nothing through any more
 * @g: the gate
 *
 * A pass that is under way gets no further than its batches. From here on the
 * watch does not queue the intake's work; the work may queue the watch still.
 *
 * Context: under the intake's owner's lock. May sleep.
 */
void gate_close(struct gate *g)
{
	WRITE_ONCE(g->running, false);
	cancel_delayed_work_sync(&g->watch);
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
