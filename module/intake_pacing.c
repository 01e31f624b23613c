// SPDX-License-Identifier: GPL-2.0
/*
 * Pacing: what all intakes have in common about when blocks are taken.
 *
 * An intake has one work item, in which everything that takes memory out of the
 * allocator runs, and which never runs twice at a time. Pacing belongs to that
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
#include <linux/lockdep.h>
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
#define PACING_AWAKE_MS		113U

static u64 mib_to_pages(unsigned int mib)
{
	return (u64)mib << (20 - PAGE_SHIFT);
}

/* A flush does not wait for the window and the rate. */
static struct intake_limits pacing_limits(const struct intake_pacing *p)
{
	struct intake_limits limits = {
		.window_ms = READ_ONCE(aerator_params.window_ms),
		.refault_ms = READ_ONCE(aerator_params.refault_ms),
		.reserve = mib_to_pages(READ_ONCE(aerator_params.reserve_mb)),
		.rate = mib_to_pages(READ_ONCE(aerator_params.rate_mb)),
		.cap = mult_frac(totalram_pages(),
				 (unsigned long)READ_ONCE(aerator_params.share_pct), 100UL),
	};

	if (atomic_read(&p->flushes)) {
		limits.window_ms = 0;
		limits.rate = 0;
	}
	return limits;
}

/* Let the policies see what is free now. Returns the time. */
static u64 pacing_sample(struct intake_pacing *p, const struct intake_limits *limits)
{
	u64 now = intake_nodes_sample(p, limits);

	lockdep_assert_held(&p->lock);
	if (intake_is_coarse(p))
		intake_batch_sample(p, now);
	return now;
}

/*
 * Until the work may rest, ms. Where the allocator does not count, a survey comes before:
 * what was taken and freed again between two looks is not seen otherwise.
 */
static unsigned int pacing_rest_due(const struct intake_pacing *p)
{
	if (!intake_is_coarse(p))
		return intake_pacing_left(p->woken, PACING_AWAKE_MS);
	return p->fresh ? intake_pacing_left(p->woken, INTAKE_SURVEY_MS) :
			  max(intake_survey_due(p), 1U);
}

/**
 * intake_pacing_is_off - is no pass wanted, not even the rest of a running one?
 * @p: the pacing
 *
 * Context: any.
 *
 * Return: true if it is halted or the user paused everything.
 */
bool intake_pacing_is_off(const struct intake_pacing *p)
{
	return !READ_ONCE(p->running) || !READ_ONCE(aerator_params.enabled);
}

/* Wake up; for a flush, whatever was refused is tried again. */
static void pacing_wake(struct intake_pacing *p)
{
	struct intake_limits limits = pacing_limits(p);
	bool flush = atomic_read(&p->flushes);

	spin_lock(&p->lock);
	if (!p->awake || flush)
		intake_nodes_wake(p);
	p->awake = true;
	pacing_sample(p, &limits);
	if (flush && !p->owed) {
		p->owed = intake_nodes_deficit(p);
		p->series = p->begun;
	}
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_begin - the intake's work begins
 * @p: the pacing
 *
 * Context: the intake's work, before all else. May sleep.
 *
 * Return: false if no pass is wanted; the work ends then, without being queued
 * again, and whoever ends that state queues it.
 */
bool intake_pacing_begin(struct intake_pacing *p)
{
	if (intake_pacing_is_off(p)) {
		spin_lock(&p->lock);
		p->awake = false;
		spin_unlock(&p->lock);
		wake_up_all(&p->passed);
		return false;
	}
	WRITE_ONCE(p->begun, p->begun + 1);
	/* The number is written before the callers of flush are counted. */
	smp_mb();
	p->err = 0;
	p->put_off = false;
	p->fresh = false;
	if (!READ_ONCE(p->awake)) {
		p->woken = intake_pacing_ms();
		p->surveyed = 0;
	}
	if (!intake_survey_due(p) || atomic_read(&p->flushes))
		intake_survey(p);
	pacing_wake(p);
	return true;
}

/* Is there a deficit, and may a pass begin to see to it? p->lock held. */
static bool pacing_may_pass(struct intake_pacing *p, const struct intake_limits *limits)
{
	u64 now = pacing_sample(p, limits);
	u64 deficit = intake_nodes_deficit(p);

	lockdep_assert_held(&p->lock);
	return deficit && !intake_batch_wait(p) &&
	       !policy_rate_wait(&p->rate, now, deficit, limits->rate);
}

/**
 * intake_pacing_wants_pass - is there something to treat now?
 * @p: the pacing
 *
 * Context: the intake's work, after intake_pacing_begin().
 *
 * Return: true if a pass is to run.
 */
bool intake_pacing_wants_pass(struct intake_pacing *p)
{
	struct intake_limits limits = pacing_limits(p);
	bool wanted;

	if (intake_pacing_is_off(p))
		return false;
	spin_lock(&p->lock);
	wanted = pacing_may_pass(p, &limits);
	spin_unlock(&p->lock);
	return wanted;
}

/**
 * intake_pacing_allowance - how much of a node may be treated now
 * @p: the pacing
 * @nid: the node
 *
 * Asked before each batch: it is less, or nothing, as soon as memory gets short.
 *
 * Context: the intake's work, after intake_pacing_begin().
 *
 * Return: pages.
 */
u64 intake_pacing_allowance(struct intake_pacing *p, int nid)
{
	struct intake_limits limits = pacing_limits(p);
	struct intake_node *n = &p->nodes[nid];
	u64 pages = 0, now;

	if (intake_pacing_is_off(p))
		return 0;
	spin_lock(&p->lock);
	now = pacing_sample(p, &limits);
	if (n->present)
		pages = policy_rate_allowance(&p->rate, now,
					      n->view.deficit, limits.rate);
	spin_unlock(&p->lock);
	return pages;
}

/**
 * intake_pacing_allows - may a batch be treated that cannot be made smaller?
 * @p: the pacing
 * @nid: the node that it is from
 * @pages: how much it is
 *
 * Context: the intake's work, after intake_pacing_begin().
 *
 * Return: true if it may. It may exceed the rate, but once.
 */
bool intake_pacing_allows(struct intake_pacing *p, int nid, u64 pages)
{
	struct intake_limits limits = pacing_limits(p);
	struct intake_node *n = &p->nodes[nid];
	bool allowed;
	u64 now;

	if (intake_pacing_is_off(p))
		return false;
	spin_lock(&p->lock);
	now = pacing_sample(p, &limits);
	allowed = n->present &&
		  policy_rate_allowance(&p->rate, now, intake_nodes_deficit(p), limits.rate) &&
		  intake_batch_allows(p, n, pages);
	spin_unlock(&p->lock);
	return allowed;
}

/**
 * intake_pacing_out - blocks are out of the allocator, or back in it
 * @p: the pacing
 * @nid: the node that they are of
 * @pages: how much; less than 0 when they are back
 *
 * Context: the intake's work.
 */
void intake_pacing_out(struct intake_pacing *p, int nid, s64 pages)
{
	spin_lock(&p->lock);
	p->nodes[nid].out += pages;
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_treat - blocks are treated, or on their way
 * @p: the pacing
 * @nid: the node that they are of
 * @pages: how much
 *
 * Context: the intake's work.
 */
void intake_pacing_treat(struct intake_pacing *p, int nid, u64 pages)
{
	struct intake_limits limits = pacing_limits(p);
	struct intake_node *n = &p->nodes[nid];
	u64 now = intake_pacing_ms();

	p->owed -= min(p->owed, pages);
	spin_lock(&p->lock);
	n->known += pages;
	n->done += pages;
	policy_treat(&n->policy, now, pages);
	policy_rate_pay(&p->rate, now, pages, limits.rate);
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_passed - a pass ran
 * @p: the pacing
 * @complete: it came to all that there is; otherwise it ended before
 * @err: why the host took nothing any more, or 0
 *
 * Of a node of which a complete pass treated nothing, nothing can be treated for now.
 *
 * Context: the intake's work, with nothing under way.
 */
void intake_pacing_passed(struct intake_pacing *p, bool complete, int err)
{
	struct intake_limits limits = pacing_limits(p);
	struct intake_node *n;

	p->err = err;
	spin_lock(&p->lock);
	pacing_sample(p, &limits);
	for_each_intake_node(n, p) {
		if (n->done && !err)
			policy_wake(&n->policy);
		else if (complete || err)
			policy_refuse(&n->policy, &n->view);
		n->done = 0;
	}
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_put_off - a pass could take nothing, and that will change by itself
 * @p: the pacing
 *
 * What is surplus stays so. The next pass does not begin at once: who was in our way
 * has to run before.
 *
 * Context: the intake's work, instead of intake_pacing_passed().
 */
void intake_pacing_put_off(struct intake_pacing *p)
{
	p->put_off = true;
}

/*
 * How long until a pass may begin, if there is a deficit. Not for long in one piece:
 * what is surplus may cease to be, and a fall that is not seen teaches the policy nothing.
 * To wait for a rate may take minutes, and needs fewer looks. Where no pass can do
 * anything about the deficit there is none from now on.
 */
static unsigned int pacing_wait_deficit(struct intake_pacing *p, u64 now,
					const struct intake_limits *limits)
{
	u64 deficit = intake_nodes_deficit(p);
	u64 due, rate;

	lockdep_assert_held(&p->lock);
	if (!deficit)
		return POLICY_NEVER;
	due = intake_batch_wait(p);
	if (due == INTAKE_BATCH_NEVER) {
		intake_nodes_refuse(p);
		return POLICY_NEVER;
	}
	rate = policy_rate_wait(&p->rate, now, deficit, limits->rate);
	return rate ? min_t(u64, rate, INTAKE_SURVEY_MS) : min_t(u64, due, POLICY_LOOK_MAX);
}

static unsigned int pacing_wait(struct intake_pacing *p)
{
	struct intake_limits limits = pacing_limits(p);
	unsigned int wait;
	u64 now;

	spin_lock(&p->lock);
	now = pacing_sample(p, &limits);
	wait = pacing_wait_deficit(p, now, &limits);
	wait = min(wait, intake_nodes_wait(p));
	spin_unlock(&p->lock);
	return wait;
}

static void pacing_queue(struct intake_pacing *p, unsigned int ms)
{
	mod_delayed_work(p->wq, &p->prdev->work, msecs_to_jiffies(ms));
}

static void pacing_watch(struct intake_pacing *p, unsigned int ms)
{
	if (ms != POLICY_NEVER)
		mod_delayed_work(p->wq, &p->watch, msecs_to_jiffies(ms));
}

/* A look while the work rests. Returns when to look again; 0 wakes the work. */
static unsigned int pacing_look(struct intake_pacing *p)
{
	struct intake_limits limits = pacing_limits(p);
	unsigned int watch;

	lockdep_assert_held(&p->lock);
	/* While it is awake, what it has out would look like a fall. */
	if (p->awake || intake_pacing_is_off(p))
		return POLICY_NEVER;
	p->awake = pacing_may_pass(p, &limits);
	if (p->awake)
		return 0;
	/* What no pass can do anything about is no reason to look again and again. */
	pacing_wait_deficit(p, intake_pacing_ms(), &limits);
	watch = intake_nodes_watch(p);
	/* The watch is over: what a fall has left of what is treated, a survey says. */
	if (watch == POLICY_NEVER && intake_survey_stale(p)) {
		p->awake = true;
		return 0;
	}
	return watch;
}

static void pacing_look_back(struct work_struct *work)
{
	struct intake_pacing *p = container_of(to_delayed_work(work), struct intake_pacing,
					       watch);
	unsigned int again;

	spin_lock(&p->lock);
	again = pacing_look(p);
	spin_unlock(&p->lock);
	if (again)
		pacing_watch(p, again);
	else
		pacing_queue(p, 0);
}

/*
 * Only a free can help: let the allocator believe that all is done, so that it
 * tells of one. It looks at the state under zone->lock, after it changed the
 * amount: whoever saw the old state has let go of the lock before we read that.
 */
static unsigned int pacing_let_sleep(struct intake_pacing *p)
{
	atomic_set(&p->prdev->state, INTAKE_IDLE);
	mm_zones_sync();
	/* A timer of the kernel's own would keep the next free from waking us early. */
	if (delayed_work_pending(&p->prdev->work))
		return INTAKE_SOON_MS;
	return pacing_wait(p);
}

/* Rest, and let the watch look now and then. Returns how long to wait if we may not. */
static unsigned int pacing_rest(struct intake_pacing *p)
{
	unsigned int due = pacing_rest_due(p);
	unsigned int wait, watch;

	/* In bits: the kernel tells of no free while the work is queued. */
	if (due)
		return min(due, POLICY_LOOK_MAX);
	wait = pacing_let_sleep(p);
	if (wait != POLICY_NEVER)
		return wait;
	spin_lock(&p->lock);
	p->awake = false;
	watch = intake_nodes_watch(p);
	spin_unlock(&p->lock);
	pacing_watch(p, watch);
	return POLICY_NEVER;
}

/**
 * intake_pacing_end - the intake's work ends
 * @p: the pacing
 *
 * Queues the work for another look, unless only a free can bring something.
 *
 * Context: the intake's work, as the last that it does. May sleep.
 */
void intake_pacing_end(struct intake_pacing *p)
{
	unsigned int wait = pacing_wait(p);

	if (wait)
		p->owed = 0;
	if (!p->owed)
		intake_flush_drained(p, wait ? p->begun : p->series);
	if (wait == POLICY_NEVER)
		wait = pacing_rest(p);
	if (wait != POLICY_NEVER)
		pacing_queue(p, p->put_off ? max(wait, PACING_AWAKE_MS) : wait);
}

/**
 * intake_pacing_surplus - free memory that the guest does not seem to need
 * @p: the pacing
 *
 * Context: any that may take a spinlock.
 *
 * Return: bytes.
 */
u64 intake_pacing_surplus(struct intake_pacing *p)
{
	struct intake_limits limits = pacing_limits(p);
	u64 pages;

	spin_lock(&p->lock);
	/* A work that rests, or is paused, may not have looked for long: see pacing_look(). */
	if (!p->awake)
		pacing_sample(p, &limits);
	pages = intake_nodes_surplus(p);
	spin_unlock(&p->lock);
	return pages << PAGE_SHIFT;
}

/**
 * intake_pacing_init - make it, halted
 * @p: the pacing
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int intake_pacing_init(struct intake_pacing *p)
{
	spin_lock_init(&p->lock);
	INIT_DELAYED_WORK(&p->watch, pacing_look_back);
	init_waitqueue_head(&p->passed);
	p->nodes = intake_nodes_alloc();
	return p->nodes ? 0 : -ENOMEM;
}

/**
 * intake_pacing_destroy - undo intake_pacing_init()
 * @p: the pacing, stopped, or intake_pacing_init() failed
 */
void intake_pacing_destroy(struct intake_pacing *p)
{
	kvfree(p->nodes);
}

/**
 * intake_pacing_start - begin, with no history
 * @p: the pacing, new or stopped
 * @wq: workqueue of the intake's work
 * @prdev: the device that is registered or is going to be, with that work
 *
 * Context: under the intake's owner's lock. The caller queues the work then.
 */
void intake_pacing_start(struct intake_pacing *p, struct workqueue_struct *wq,
			 struct page_reporting_dev_info *prdev)
{
	p->wq = wq;
	p->prdev = prdev;
	/* Readers of the surplus may be at it. */
	spin_lock(&p->lock);
	intake_nodes_start(p);
	p->batch = (struct intake_batch) { .at = intake_pacing_ms() };
	p->rate = (struct policy_rate) {};
	p->surveyed = 0;
	p->woken = 0;
	p->owed = 0;
	p->awake = false;
	spin_unlock(&p->lock);
	WRITE_ONCE(p->running, true);
}

/**
 * intake_pacing_halt - let no batch begin any more
 * @p: the pacing
 *
 * A pass that is under way gets no further than its batches. From here on the
 * watch does not queue the intake's work; the work may queue the watch still.
 *
 * Context: under the intake's owner's lock. May sleep.
 */
void intake_pacing_halt(struct intake_pacing *p)
{
	WRITE_ONCE(p->running, false);
	cancel_delayed_work_sync(&p->watch);
	wake_up_all(&p->passed);
}

/**
 * intake_pacing_stop - end the watch
 * @p: the pacing, halted, and the intake's work gone
 *
 * Context: may sleep.
 */
void intake_pacing_stop(struct intake_pacing *p)
{
	cancel_delayed_work_sync(&p->watch);
}
