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
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include "gate.h"
#include "intake.h"
#include "level.h"
#include "params.h"
#include "pressure.h"
#include "zones.h"

/* Memory goes up and down by this much, or this part of it, in a guest that rests. */
#define GATE_SLACK_MIB		16
#define GATE_SLACK_PART		128

/* How old what a survey found may get. */
#define GATE_SURVEY_MS		1000

/*
 * Once awake, for at least so long: small frees in a row wake us no more often. As long
 * until a pass that was put off is tried again.
 */
#define GATE_AWAKE_MS		113U

/* A flush that takes longer than this fails; unbinding has to wait for it. */
#define GATE_FLUSH_MS		60000

static u64 gate_ms(void)
{
	return ktime_to_ms(ktime_get());
}

static u64 mib_to_pages(unsigned int mib)
{
	return (u64)mib << (20 - PAGE_SHIFT);
}

static const struct intake *gate_intake(const struct gate *g)
{
	return container_of(g, struct intake, gate);
}

/* Who flushes does not want to wait for window and rate. */
static struct policy_limits gate_limits(const struct gate *g)
{
	struct policy_limits limits = {
		.window_ms = READ_ONCE(aerator_params.window_ms),
		.reserve = mib_to_pages(READ_ONCE(aerator_params.reserve_mb)),
		.cap = mult_frac(totalram_pages(),
				 (unsigned long)READ_ONCE(aerator_params.share_pct), 100UL),
		.coarse = !gate_intake(g)->ops->treated,
	};

	if (atomic_read(&g->flushes))
		limits.window_ms = 0;
	return limits;
}

/* Pages a second, 0 for no limit. */
static u64 gate_rate(const struct gate *g)
{
	if (atomic_read(&g->flushes))
		return 0;
	return mib_to_pages(READ_ONCE(aerator_params.rate_mb));
}

/* What may be treated now, pages. g->lock held. */
static u64 gate_allowed(const struct gate *g, u64 now, const struct policy_limits *limits)
{
	return rate_allowance(&g->rate, now, policy_deficit(&g->policy, now, limits),
			      gate_rate(g));
}

/*
 * What is out is free: it comes back by itself. In a guest that is down to its
 * watermarks nothing is: kswapd is about to run, or does. g->lock held.
 */
static struct policy_level gate_level(const struct gate *g)
{
	const struct intake *in = gate_intake(g);
	struct policy_level level;
	u64 out = in->ops->out(in);

	level.free = level_free() + out;
	if (level.free <= level_watermark())
		level.free = 0;
	level.blocks = level_blocks(in->ops->order(in)) + out;
	level.treated = in->ops->treated ? in->ops->treated(in) + out :
					   min(g->known, level.blocks);
	level.given = in->given(in->owner);
	return level;
}

/* Let the policy see what is free now. g->lock held; returns the time. */
static u64 gate_sample(struct gate *g, const struct policy_limits *limits)
{
	struct policy_level level = gate_level(g);
	u64 now = gate_ms();

	g->known = level.treated;
	if (pressure_felt())
		policy_press(&g->policy, now);
	policy_sample(&g->policy, now, &level, limits);
	return now;
}

/* What is left of some time since then, jiffies. */
static unsigned long gate_left(unsigned long since, unsigned int ms)
{
	unsigned long due = since + msecs_to_jiffies(ms);

	return time_before(jiffies, due) ? due - jiffies : 0;
}

/* Until it is worth to survey again, jiffies. */
static unsigned long gate_survey_due(const struct gate *g)
{
	return gate_left(g->surveyed, GATE_SURVEY_MS);
}

/*
 * Where the allocator does not count: may allocations have taken what is treated since
 * the last survey, before this wake or in a fall that was seen after it? They take raw
 * memory first by and large only, so that what is free says little of it.
 */
static bool gate_survey_stale(struct gate *g)
{
	u64 fell;

	if (gate_intake(g)->ops->treated)
		return false;
	spin_lock(&g->lock);
	fell = g->policy.quiet_since;
	spin_unlock(&g->lock);
	return time_before(g->surveyed, g->woken) ||
	       jiffies_to_msecs(jiffies - g->surveyed) > gate_ms() - fell;
}

/* Until the work may rest, jiffies: what is treated has to be known first. */
static unsigned long gate_rest_due(struct gate *g)
{
	unsigned long due = gate_left(g->woken, GATE_AWAKE_MS);

	if (gate_survey_stale(g))
		due = max(due, max(gate_survey_due(g), 1UL));
	return due;
}

/*
 * Where the allocator does not count, nobody knows how much was treated but by
 * looking. The work's, as all that changes it but for allocations is. Returns true if
 * it turns out only now that much was taken while the work rested: then what is raw
 * was freed when it woke, and we took it for memory that had been free all the time.
 */
static bool gate_survey(struct gate *g)
{
	const struct intake *in = gate_intake(g);
	bool first = time_before(g->surveyed, g->woken);
	u64 found, known;

	if (in->ops->treated)
		return false;
	found = in->ops->survey(in);
	g->surveyed = jiffies;
	spin_lock(&g->lock);
	known = g->known;
	g->known = found;
	spin_unlock(&g->lock);
	return first && found + g->policy.slack < known;
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

/*
 * Wake up, if we are not, or when @late we learn what happened before; for those who
 * flush whatever was refused is tried again.
 */
static void gate_wake(struct gate *g, bool late)
{
	struct policy_limits limits = gate_limits(g);
	bool flush = atomic_read(&g->flushes);
	u64 now;

	spin_lock(&g->lock);
	now = gate_sample(g, &limits);
	if (!g->awake || flush)
		policy_request(&g->policy, now, &limits);
	else if (late)
		policy_learn(&g->policy, now - jiffies_to_msecs(jiffies - g->woken));
	g->awake = true;
	if (flush && !g->owed) {
		g->owed = policy_deficit(&g->policy, now, &limits);
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
	bool late = false;

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
	if (!READ_ONCE(g->awake))
		g->woken = jiffies;
	if (!gate_survey_due(g) || atomic_read(&g->flushes))
		late = gate_survey(g);
	gate_wake(g, late);
	return true;
}

/**
 * gate_allowance - how much may be treated now
 * @g: the gate
 *
 * Asked before each batch: it is less, or nothing, as soon as memory gets short.
 *
 * Context: the intake's work, after gate_begin().
 *
 * Return: pages.
 */
u64 gate_allowance(struct gate *g)
{
	struct policy_limits limits = gate_limits(g);
	u64 pages;

	if (gate_dry(g))
		return 0;
	spin_lock(&g->lock);
	pages = gate_allowed(g, gate_sample(g, &limits), &limits);
	spin_unlock(&g->lock);
	return pages;
}

/**
 * gate_allows - may a batch be treated that cannot be made smaller?
 * @g: the gate
 * @pages: how much it is
 *
 * Context: the intake's work, after gate_begin().
 *
 * Return: true if all of it is surplus; it may exceed the rate, but once.
 */
bool gate_allows(struct gate *g, u64 pages)
{
	struct policy_limits limits = gate_limits(g);
	bool allowed;
	u64 now;

	if (gate_dry(g))
		return false;
	spin_lock(&g->lock);
	now = gate_sample(g, &limits);
	allowed = pages <= policy_deficit(&g->policy, now, &limits) &&
		  gate_allowed(g, now, &limits);
	spin_unlock(&g->lock);
	return allowed;
}

/**
 * gate_treat - blocks are treated, or on their way
 * @g: the gate
 * @pages: how much
 *
 * Context: the intake's work.
 */
void gate_treat(struct gate *g, u64 pages)
{
	struct policy_limits limits = gate_limits(g);

	u64 now = gate_ms();

	g->owed -= min(g->owed, pages);
	spin_lock(&g->lock);
	g->known += pages;
	policy_treat(&g->policy, now, pages, &limits);
	rate_pay(&g->rate, now, pages, gate_rate(g));
	spin_unlock(&g->lock);
}

/**
 * gate_passed - a pass ran
 * @g: the gate
 * @pages: what the host took in it
 * @err: why it ended before it was done, or 0
 *
 * Context: the intake's work, with nothing under way.
 */
void gate_passed(struct gate *g, u64 pages, int err)
{
	struct policy_limits limits = gate_limits(g);

	g->err = err;
	spin_lock(&g->lock);
	policy_passed(&g->policy, gate_sample(g, &limits), pages, &limits);
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

static unsigned int gate_wait(struct gate *g)
{
	struct policy_limits limits = gate_limits(g);
	unsigned int wait;
	u64 now, deficit;

	spin_lock(&g->lock);
	now = gate_sample(g, &limits);
	deficit = policy_deficit(&g->policy, now, &limits);
	if (deficit)	/* not for long in one piece: what is surplus may cease to be */
		wait = min_t(u64, rate_wait(&g->rate, now, deficit, gate_rate(g)),
			     max(limits.window_ms, GATE_AWAKE_MS));
	else
		wait = policy_wait(&g->policy, now, &limits);
	spin_unlock(&g->lock);
	return wait;
}

/* All that was to be done by the @begun given is, for which some may be waiting. */
static void gate_drained(struct gate *g, unsigned int begun)
{
	if ((int)(begun - g->drained) <= 0)
		return;
	g->drained_err = gate_dry(g) ? -ESHUTDOWN : g->err;
	/* Pairs with the acquire in gate_flushed(). */
	smp_store_release(&g->drained, begun);
	wake_up_all(&g->passed);
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
	struct policy_limits limits = gate_limits(g);
	u64 now;

	/* While it is awake, what it has out would look like a fall. */
	if (g->awake || gate_dry(g))
		return POLICY_NEVER;
	now = gate_sample(g, &limits);
	g->awake = gate_allowed(g, now, &limits);
	return g->awake ? 0 : policy_watch(&g->policy, now, &limits);
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
	zones_sync();
	/* A timer of the kernel's own would keep the next free from waking us early. */
	if (delayed_work_pending(&g->prdev->work))
		return GATE_SOON_MS;
	return gate_wait(g);
}

/* Rest, and let the watch look now and then. Returns how long to wait if we may not. */
static unsigned int gate_rest(struct gate *g)
{
	struct policy_limits limits = gate_limits(g);
	unsigned long due = gate_rest_due(g);
	unsigned int wait, watch;

	/* In bits: the kernel tells of no free while the work is queued. */
	if (due)
		return min(jiffies_to_msecs(due), GATE_AWAKE_MS);
	wait = gate_let_sleep(g);
	if (wait != POLICY_NEVER)
		return wait;
	spin_lock(&g->lock);
	g->awake = false;
	watch = policy_watch(&g->policy, gate_ms(), &limits);
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
	atomic_inc(&g->flushes);
	/* Pairs with the barrier in gate_begin(): a later one knows of us. */
	smp_mb__after_atomic();
	return READ_ONCE(g->begun);
}

static bool gate_flushed(const struct gate *g, unsigned int ticket)
{
	/* Pairs with the release in gate_drained(). */
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
	if (gate_dry(g) || READ_ONCE(g->drained_err) == -ESHUTDOWN)
		return -EAGAIN;
	return READ_ONCE(g->drained_err) ? -EIO : 0;
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
	struct policy_limits limits = gate_limits(g);
	struct policy_level level;
	u64 pages;

	spin_lock(&g->lock);
	/* Who rests, or is paused, may not have looked for long: see gate_look(). */
	if (!g->awake)
		gate_sample(g, &limits);
	level = gate_level(g);
	pages = min(policy_surplus(&g->policy, gate_ms(), &limits),
		    policy_available(&level, &limits));
	spin_unlock(&g->lock);
	return pages << PAGE_SHIFT;
}

/**
 * gate_init - make a gate, closed
 * @g: the gate
 */
void gate_init(struct gate *g)
{
	spin_lock_init(&g->lock);
	INIT_DELAYED_WORK(&g->watch, gate_look_back);
	init_waitqueue_head(&g->passed);
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
	u64 slack = min_t(u64, mib_to_pages(GATE_SLACK_MIB),
			  totalram_pages() / GATE_SLACK_PART);

	g->wq = wq;
	g->prdev = prdev;
	/* Who asks for the surplus may be at it. */
	spin_lock(&g->lock);
	policy_init(&g->policy, gate_ms(), slack);
	g->rate = (struct rate) {};
	g->known = 0;
	g->surveyed = jiffies - msecs_to_jiffies(GATE_SURVEY_MS);
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
