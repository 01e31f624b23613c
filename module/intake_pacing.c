// SPDX-License-Identifier: GPL-2.0
/*
 * Pacing: decides when an intake's work takes blocks. Common to all intakes.
 *
 * An intake has one work item. All blocks are taken out of the allocator in this work,
 * which never runs twice at a time. Pacing is the part of the work that calls the policy,
 * with the time, the amounts of free memory and the user's settings. It also wakes the
 * callers that wait for a flush:
 *
 *	free --> [work]: begin --> allowance? --> the pass, batch by batch --> passed
 *	            ^                  |              (allowance? before each)    |
 *	            |                  +-------------------+----------------------+
 *	            |                                      |
 *	            +-------(next sample, in ms)--------- end --> rest, until a free
 *
 * While raw memory may still become surplus without a free, the work queues itself. Then
 * it rests until the next free. After that a second work, the watch, takes a few more
 * samples: does the guest use released memory again, and does the rest of the raw memory
 * stay free? No event tells this. When the watch is over, nothing runs in a guest that
 * frees nothing.
 */
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include "intake.h"
#include "intake_node.h"
#include "intake_pacing.h"
#include "mm_free.h"

/*
 * The work stays awake for at least this time, so that a series of small frees does not
 * wake it more often. Also the delay until a pass that was put off is tried again.
 */
#define PACING_AWAKE_MS		113U

/* Sample free memory, and run the policies. Returns the time. */
static u64 pacing_sample(struct intake_pacing *p, const struct intake_limits *limits)
{
	u64 now = intake_nodes_sample(p, limits);

	lockdep_assert_held(&p->lock);
	if (intake_is_coarse(p))
		intake_batch_sample(p, now);
	return now;
}

/*
 * Time until the work may rest, ms. On stock kernels a survey comes before the rest: it
 * detects memory that was allocated and freed between two samples.
 */
static unsigned int pacing_rest_due(const struct intake_pacing *p)
{
	if (!intake_is_coarse(p))
		return intake_pacing_left(p->woken, PACING_AWAKE_MS);
	return p->run_surveyed ? intake_pacing_left(p->woken, INTAKE_SURVEY_MS) :
			  max(intake_survey_due(p), 1U);
}

/* Wake up. After a rest, and for a flush, refused batches and deficits are retried. */
static void pacing_wake(struct intake_pacing *p)
{
	struct intake_limits limits = intake_limits(p);
	bool flush = atomic_read(&p->flush.waiters);

	spin_lock(&p->lock);
	if (!p->awake || flush)
		intake_nodes_wake(p);
	p->awake = true;
	pacing_sample(p, &limits);
	if (flush && !p->flush.left) {
		p->flush.left = intake_nodes_deficit(p);
		p->flush.left_run = p->runs;
	}
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_begin - the intake's work begins
 * @p: the pacing
 *
 * Context: the first call of the intake's work. May sleep.
 *
 * Return: false if pacing is off; the work then ends and is not queued again. The caller
 * that starts, resumes or enables pacing queues it.
 */
bool intake_pacing_begin(struct intake_pacing *p)
{
	if (intake_pacing_is_off(p)) {
		spin_lock(&p->lock);
		p->awake = false;
		spin_unlock(&p->lock);
		wake_up_all(&p->flush.done);
		return false;
	}
	WRITE_ONCE(p->runs, p->runs + 1);
	/* Pairs with intake_flush_begin(): write p->runs before reading p->flush.waiters. */
	smp_mb();
	p->pass_err = 0;
	p->retry_later = false;
	p->run_surveyed = false;
	if (!READ_ONCE(p->awake)) {
		p->woken = intake_pacing_ms();
		p->surveyed = 0;
	}
	if (!intake_survey_due(p) || atomic_read(&p->flush.waiters))
		intake_survey(p);
	pacing_wake(p);
	return true;
}

/* Is there a deficit, and may a pass begin to treat it? p->lock held. */
static bool pacing_may_pass(struct intake_pacing *p, const struct intake_limits *limits)
{
	u64 now = pacing_sample(p, limits);
	u64 deficit = intake_nodes_deficit(p);

	lockdep_assert_held(&p->lock);
	return deficit && !intake_batch_wait(p) &&
	       !policy_rate_wait(&p->rate, now, deficit, limits->rate);
}

/**
 * intake_pacing_wants_pass - is a pass to run now?
 * @p: the pacing
 *
 * Context: the intake's work, after intake_pacing_begin().
 *
 * Return: true if a pass is to run.
 */
bool intake_pacing_wants_pass(struct intake_pacing *p)
{
	struct intake_limits limits = intake_limits(p);
	bool wanted;

	if (intake_pacing_is_off(p))
		return false;
	spin_lock(&p->lock);
	wanted = pacing_may_pass(p, &limits);
	spin_unlock(&p->lock);
	return wanted;
}

/**
 * intake_pacing_count_refusal - count a refused batch, or a pass that ended early
 * @p: the pacing
 * @why: the reason
 *
 * Context: the intake's work.
 */
void intake_pacing_count_refusal(const struct intake_pacing *p, enum stats_refusal why)
{
	atomic64_inc(&container_of(p, struct intake, pacing)->stats->refusals[why]);
}

/* Limit @pages by the rate. Counts a refusal if nothing of them is left. p->lock held. */
static u64 pacing_limit_rate(struct intake_pacing *p, u64 now, u64 pages, u64 rate)
{
	u64 allowed = policy_rate_allowance(&p->rate, now, pages, rate);

	lockdep_assert_held(&p->lock);
	if (pages && !allowed)
		intake_pacing_count_refusal(p, STATS_RATE);
	return allowed;
}

/**
 * intake_pacing_allowance - how much of a node's memory may be treated now
 * @p: the pacing
 * @nid: the node
 *
 * Called before each batch: the allowance shrinks, to 0 even, as soon as the node is
 * under memory pressure.
 *
 * Context: the intake's work, after intake_pacing_begin().
 *
 * Return: pages.
 */
u64 intake_pacing_allowance(struct intake_pacing *p, int nid)
{
	struct intake_limits limits = intake_limits(p);
	struct intake_node *n = &p->nodes[nid];
	u64 pages = 0, now;

	if (intake_pacing_is_off(p))
		return 0;
	spin_lock(&p->lock);
	now = pacing_sample(p, &limits);
	if (n->present)
		pages = pacing_limit_rate(p, now, n->view.deficit, limits.rate);
	spin_unlock(&p->lock);
	return pages;
}

/* May the batch be treated? If not, counts the reason. p->lock held. */
static bool pacing_allows(struct intake_pacing *p, struct intake_node *n, u64 now, u64 pages,
			  u64 rate)
{
	u64 deficit = intake_nodes_deficit(p);

	lockdep_assert_held(&p->lock);
	if (!n->present || !deficit) {
		intake_pacing_count_refusal(p, STATS_WINDOW);
		return false;
	}
	return pacing_limit_rate(p, now, deficit, rate) && intake_batch_allows(p, n, pages);
}

/**
 * intake_pacing_allows - may a batch of fixed size be treated?
 * @p: the pacing
 * @nid: node of the batch
 * @pages: size of the batch
 *
 * Context: the intake's work, after intake_pacing_begin().
 *
 * Return: true if it may. The batch may exceed the rate; the next one then waits.
 */
bool intake_pacing_allows(struct intake_pacing *p, int nid, u64 pages)
{
	struct intake_limits limits = intake_limits(p);
	bool allowed;
	u64 now;

	if (intake_pacing_is_off(p))
		return false;
	spin_lock(&p->lock);
	now = pacing_sample(p, &limits);
	allowed = pacing_allows(p, &p->nodes[nid], now, pages, limits.rate);
	spin_unlock(&p->lock);
	return allowed;
}

/**
 * intake_pacing_treat - a batch is treated, or about to be sent
 * @p: the pacing
 * @nid: node of the batch
 * @pages: size of the batch
 *
 * Context: the intake's work.
 */
void intake_pacing_treat(struct intake_pacing *p, int nid, u64 pages)
{
	struct intake_limits limits = intake_limits(p);
	struct intake_node *n = &p->nodes[nid];
	u64 now = intake_pacing_ms();

	p->flush.left -= min(p->flush.left, pages);
	spin_lock(&p->lock);
	n->known += pages;
	n->done += pages;
	policy_treat(&n->policy, now, pages);
	policy_rate_pay(&p->rate, now, pages, limits.rate);
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_untreat - a batch that was sent came back raw
 * @p: the pacing
 * @nid: node of the batch
 * @pages: its size, as in intake_pacing_treat()
 *
 * Without this its pages would count as treated, and as reused with the next sample.
 *
 * Context: the intake's work.
 */
void intake_pacing_untreat(struct intake_pacing *p, int nid, u64 pages)
{
	struct intake_node *n = &p->nodes[nid];

	spin_lock(&p->lock);
	n->known -= min(n->known, pages);
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_end_pass - a pass ran
 * @p: the pacing
 * @complete: the pass covered all zones; otherwise it ended early
 * @err: why a batch could not be sent or was not answered, or 0
 *
 * After an error the deficit of every node is refused; after a complete pass, that of each
 * node of which nothing was treated.
 *
 * Context: the intake's work, with no batch in flight.
 */
void intake_pacing_end_pass(struct intake_pacing *p, bool complete, int err)
{
	struct intake_limits limits = intake_limits(p);
	struct intake_node *n;

	p->pass_err = err;
	spin_lock(&p->lock);
	pacing_sample(p, &limits);
	for_each_intake_node(n, p) {
		if (n->done && !err)
			policy_wake(&n->policy);
		else if (complete || err)
			policy_defer(&n->policy, &n->view);
		n->done = 0;
	}
	spin_unlock(&p->lock);
}

/**
 * intake_pacing_retry_later - a pass could take nothing for a moment
 * @p: the pacing
 *
 * The deficit stays. The next pass begins after a delay, in which the task that isolates
 * the memory can run.
 *
 * Context: the intake's work, instead of intake_pacing_end_pass().
 */
void intake_pacing_retry_later(struct intake_pacing *p)
{
	p->retry_later = true;
}

/*
 * Time until a pass may begin, if there is a deficit. It is limited, so that samples go
 * on: the surplus may shrink, and the policy learns only from falls that a sample shows.
 * Waiting for the rate may take minutes, and needs fewer samples. A deficit that no pass
 * can treat is refused here, and does not count from now on.
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
		intake_nodes_defer(p);
		return POLICY_NEVER;
	}
	rate = policy_rate_wait(&p->rate, now, deficit, limits->rate);
	return rate ? min_t(u64, rate, INTAKE_SURVEY_MS) : min_t(u64, due, POLICY_SAMPLE_MAX);
}

static unsigned int pacing_wait(struct intake_pacing *p)
{
	struct intake_limits limits = intake_limits(p);
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

static void pacing_queue_watch(struct intake_pacing *p, unsigned int ms)
{
	if (ms != POLICY_NEVER)
		mod_delayed_work(p->wq, &p->watch, msecs_to_jiffies(ms));
}

/* A sample of the watch. Returns the time until the next one; 0 wakes the work. */
static unsigned int pacing_watch_sample(struct intake_pacing *p)
{
	struct intake_limits limits = intake_limits(p);
	unsigned int watch;

	lockdep_assert_held(&p->lock);
	/* While the work is awake, blocks on their way out would look like a fall. */
	if (p->awake || intake_pacing_is_off(p))
		return POLICY_NEVER;
	p->awake = pacing_may_pass(p, &limits);
	if (p->awake)
		return 0;
	/* Refuses a deficit that no pass can treat, so that the watch can end. */
	pacing_wait_deficit(p, intake_pacing_ms(), &limits);
	watch = intake_nodes_watch(p);
	/* The watch is over. If memory fell, the work makes a survey. */
	if (watch == POLICY_NEVER && intake_survey_stale(p)) {
		p->awake = true;
		return 0;
	}
	return watch;
}

static void pacing_watch_work(struct work_struct *work)
{
	struct intake_pacing *p = container_of(to_delayed_work(work), struct intake_pacing,
					       watch);
	unsigned int again;

	spin_lock(&p->lock);
	again = pacing_watch_sample(p);
	spin_unlock(&p->lock);
	if (again)
		pacing_queue_watch(p, again);
	else
		pacing_queue(p, 0);
}

/*
 * Only a free can bring new surplus: set the state to idle, so that the allocator
 * notifies the next free. The allocator reads the state under zone->lock, after it has
 * changed the amount of free memory. mm_zones_sync() therefore makes sure that the sample
 * after it includes every free that still saw the old state and was not notified.
 */
static unsigned int pacing_let_rest(struct intake_pacing *p)
{
	atomic_set(&p->prdev->state, INTAKE_IDLE);
	mm_zones_sync();
	/* Page reporting has queued the work with its two seconds: run it earlier. */
	if (delayed_work_pending(&p->prdev->work))
		return INTAKE_SOON_MS;
	return pacing_wait(p);
}

/* Rest, and start the watch. Returns the delay if the work may not rest yet. */
static unsigned int pacing_rest(struct intake_pacing *p)
{
	unsigned int due = pacing_rest_due(p);
	unsigned int wait, watch;

	/* In short steps: no free is notified while the work is queued. */
	if (due)
		return min(due, POLICY_SAMPLE_MAX);
	wait = pacing_let_rest(p);
	if (wait != POLICY_NEVER)
		return wait;
	spin_lock(&p->lock);
	p->awake = false;
	watch = intake_nodes_watch(p);
	spin_unlock(&p->lock);
	pacing_queue_watch(p, watch);
	return POLICY_NEVER;
}

/**
 * intake_pacing_end - the intake's work ends
 * @p: the pacing
 *
 * Queues the work for the next sample, unless only a free can bring new surplus.
 *
 * Context: the last call of the intake's work. May sleep.
 */
void intake_pacing_end(struct intake_pacing *p)
{
	unsigned int wait = pacing_wait(p);

	if (wait)
		p->flush.left = 0;
	if (!p->flush.left)
		intake_flush_drained(p, wait ? p->runs : p->flush.left_run);
	if (wait == POLICY_NEVER)
		wait = pacing_rest(p);
	if (wait != POLICY_NEVER)
		pacing_queue(p, p->retry_later ? max(wait, PACING_AWAKE_MS) : wait);
}

/* While the work is not awake, the last sample may be old: take a new one. */
static void pacing_refresh(struct intake_pacing *p)
{
	struct intake_limits limits = intake_limits(p);

	lockdep_assert_held(&p->lock);
	if (!p->awake)
		pacing_sample(p, &limits);
}

/**
 * intake_pacing_reused - treated memory that was used again since the device was bound
 * @p: the pacing
 *
 * Context: any that may take a spinlock.
 *
 * Return: bytes; negative if the intake's allocator does not count treated memory.
 */
s64 intake_pacing_reused(struct intake_pacing *p)
{
	if (intake_is_coarse(p))
		return -ENODATA;
	spin_lock(&p->lock);
	pacing_refresh(p);
	spin_unlock(&p->lock);
	return atomic64_read(&container_of(p, struct intake, pacing)->stats->reused_bytes);
}

/**
 * intake_pacing_surplus - surplus of all nodes
 * @p: the pacing
 *
 * Context: any that may take a spinlock.
 *
 * Return: bytes.
 */
u64 intake_pacing_surplus(struct intake_pacing *p)
{
	u64 pages;

	spin_lock(&p->lock);
	pacing_refresh(p);
	pages = intake_nodes_surplus(p);
	spin_unlock(&p->lock);
	return pages << PAGE_SHIFT;
}

/**
 * intake_pacing_init - initialise pacing, halted
 * @p: the pacing
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int intake_pacing_init(struct intake_pacing *p)
{
	spin_lock_init(&p->lock);
	INIT_DELAYED_WORK(&p->watch, pacing_watch_work);
	init_waitqueue_head(&p->flush.done);
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
 * intake_pacing_start - start, with no history
 * @p: the pacing, new or stopped
 * @wq: workqueue of the intake's work
 * @prdev: the device, registered or to be registered, that has the intake's work
 *
 * Context: under the lock of the intake's owner. The caller then queues the work.
 */
void intake_pacing_start(struct intake_pacing *p, struct workqueue_struct *wq,
			 struct page_reporting_dev_info *prdev)
{
	p->wq = wq;
	p->prdev = prdev;
	/* intake_pacing_surplus() may run at the same time. */
	spin_lock(&p->lock);
	intake_nodes_start(p);
	p->batch = (struct intake_batch) { .at = intake_pacing_ms() };
	p->rate = (struct policy_rate) {};
	p->surveyed = 0;
	p->woken = 0;
	p->flush.left = 0;
	p->awake = false;
	spin_unlock(&p->lock);
	WRITE_ONCE(p->running, true);
}

/**
 * intake_pacing_halt - let no batch begin any more
 * @p: the pacing
 *
 * A running pass ends after its present batches. The watch does not queue the intake's
 * work any more; the work may still queue the watch.
 *
 * Context: under the lock of the intake's owner. May sleep.
 */
void intake_pacing_halt(struct intake_pacing *p)
{
	WRITE_ONCE(p->running, false);
	cancel_delayed_work_sync(&p->watch);
	wake_up_all(&p->flush.done);
}

/**
 * intake_pacing_stop - cancel the watch
 * @p: the pacing, halted; the intake's work is cancelled
 *
 * Context: may sleep.
 */
void intake_pacing_stop(struct intake_pacing *p)
{
	cancel_delayed_work_sync(&p->watch);
}
