// SPDX-License-Identifier: GPL-2.0
/*
 * The policy: how much free memory is reported to the host, and when.
 *
 * Reporting free memory is cheap. Using reported memory again is not: each page costs a
 * fault in the host (a refault), and has to be zeroed there. Free memory that is not
 * reported occupies the host for as long as it stays idle:
 *
 *	cost = idle raw memory * time + refault_ms * refaulted memory
 *
 * Memory is surplus once it was free for a whole window of time: surplus is the
 * sliding-window minimum of free memory. The allocator prefers raw memory. So a working
 * set that oscillates stays raw if the window is longer than the workload's pauses. A
 * window that is too long leaves idle memory in the host. The best window depends on
 * the workload.
 *
 * The policy therefore learns the window. For each of POLICY_WINDOWS lengths it keeps a
 * shadow: how much memory would be treated with this window, and the cost so far. The
 * window of the shadow with the lowest cost is used. Costs decay exponentially, so that
 * the policy follows a workload that changes. This is the ski rental problem (when to
 * spin down a disk); the method is known as follow the leader.
 *
 * While free memory falls, surplus is the minimum over twice the window: the memory that
 * the workload allocates last stays free for the pause and the duration of the fall, and
 * would otherwise be reported in the middle of the fall. A deficit below the noise
 * threshold is treated only after it was free for POLICY_SLACK_WINDOWS windows.
 *
 * Pure: no clock, no mm. The caller passes the time and the amounts.
 */
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "policy.h"

/* Index of the window in use before any cost is known: 1200 ms. */
#define POLICY_FIRST		4U

/* Time constant of the decay of costs, ms. */
#define POLICY_MEMORY_MS	(10 * MSEC_PER_SEC)

/* While free memory falls, the window is so many times as long. */
#define POLICY_FALL_WINDOWS	2U

/* A smaller fall between two samples than slack / POLICY_FALL_PART is ignored. */
#define POLICY_FALL_PART	8U

/* A deficit below the noise threshold is treated after so many windows. */
#define POLICY_SLACK_WINDOWS	4U

/* Least number of samples in a window, and the shortest interval between them, ms. */
#define POLICY_SAMPLES		8U
#define POLICY_SAMPLE_MIN		10U

/* Between two samples that are further apart, ms, a fall may be missed. */
#define POLICY_UNSEEN		(2 * POLICY_SAMPLE_MAX)

/* Interval of the watch: time since the last release / POLICY_WATCH_PART. */
#define POLICY_WATCH_PART	4U

static u64 policy_above(u64 pages, u64 treated)
{
	return pages > treated ? pages - treated : 0;
}

static unsigned int policy_window_in_use(const struct policy *p,
					 const struct policy_limits *limits)
{
	return limits->window_ms == POLICY_WINDOW_AUTO ? policy_window(p->chosen) :
							 limits->window_ms;
}

/* Memory that was free for the whole window; for a longer one while memory falls. */
static u64 policy_surplus(const struct policy *p, u64 now, u64 window)
{
	bool falls = now - p->last_fall < window;

	return window_min_since(&p->least, now, falls ? window * POLICY_FALL_WINDOWS : window);
}

/* Upper limit of treatable memory: what an idle guest would have treated in the end. */
static u64 policy_available(const struct policy_level *level,
			    const struct policy_limits *limits)
{
	return min3(level->blocks, policy_above(level->free, limits->reserve), limits->cap);
}

/* How long samples of free memory are kept, ms. */
static u64 policy_span(const struct policy_limits *limits)
{
	u64 longest = policy_window(POLICY_WINDOWS - 1);

	if (limits->window_ms != POLICY_WINDOW_AUTO)
		longest = max_t(u64, longest, limits->window_ms);
	return longest * POLICY_SLACK_WINDOWS;
}

/*
 * Minimum of available memory since the last sample. After a long interval the two
 * samples are not enough: memory may have fallen and risen between them. If treated
 * memory shrank by more than the noise, available memory fell to that amount, since the
 * allocator prefers raw memory.
 */
static u64 policy_least_since(const struct policy *p, u64 now, u64 available, u64 treated)
{
	u64 least = min(p->available, available);

	if (now - p->sampled <= POLICY_UNSEEN || treated + p->slack >= p->treated)
		return least;
	return min(least, treated);
}

/* A cost saturates at 64 bits. */
static void policy_charge(struct policy_shadow *s, u64 pages, u64 ms)
{
	s->cost += min(pages * ms, U64_MAX - s->cost);
}

/*
 * Update the shadow of a window with a new sample. With this window, memory that was raw
 * at the last sample would have stayed raw for one window at most, however long ago the
 * last sample is: the time that is charged for it is limited to the window.
 */
static void policy_shadow_sample(struct policy *p, unsigned int i, u64 now, u64 least,
			       unsigned int refault_ms)
{
	struct policy_shadow *s = &p->shadows[i];
	u64 window = policy_window(i);
	u64 ms = now - p->sampled;
	u64 forget = min_t(u64, ms, POLICY_MEMORY_MS);

	s->cost -= div64_u64(s->cost, POLICY_MEMORY_MS + forget) * forget;
	policy_charge(s, policy_above(p->available, s->treated), min(ms, window));
	policy_charge(s, policy_above(s->treated, least), refault_ms);
	s->treated = max(min(s->treated, least), policy_surplus(p, now, window));
}

static void policy_learn(struct policy *p, u64 now, u64 least, unsigned int refault_ms)
{
	unsigned int i;

	for (i = 0; i < POLICY_WINDOWS; i++)
		policy_shadow_sample(p, i, now, least, refault_ms);
	for (i = 0; i < POLICY_WINDOWS; i++)
		if (p->shadows[i].cost < p->shadows[p->chosen].cost)
			p->chosen = i;
}

/* Nothing is known before the first sample: all memory counts as treated, at no cost. */
static void policy_start(struct policy *p, u64 now, u64 available)
{
	unsigned int i;

	for (i = 0; i < POLICY_WINDOWS; i++)
		p->shadows[i].treated = available;
	p->available = available;
	p->sampled = now;
}

/*
 * Surplus to be treated now. A deficit below the noise threshold counts only as far as it
 * was free for several windows. A deficit that a pass could not treat does not count until
 * it grows; then all of it counts.
 */
static u64 policy_deficit(const struct policy *p, u64 now, const struct policy_view *view)
{
	u64 deficit = policy_above(view->surplus, p->treated);
	u64 span = (u64)view->window_ms * POLICY_SLACK_WINDOWS;

	if (deficit < p->slack)
		deficit = min(deficit, policy_above(window_min_since(&p->least, now, span),
						    p->treated));
	return deficit > p->deferred ? deficit : 0;
}

static unsigned int policy_wait(const struct policy *p, u64 now,
				const struct policy_view *view)
{
	u64 raw = policy_above(p->available, p->treated);
	u64 sample = clamp_t(u64, view->window_ms / POLICY_SAMPLES, POLICY_SAMPLE_MIN,
			   POLICY_SAMPLE_MAX);

	if (view->deficit)
		return 0;
	if (raw <= p->deferred || raw < p->slack)
		return POLICY_NEVER;
	return clamp_t(u64, window_min_next(&p->least, now, view->window_ms), POLICY_SAMPLE_MIN,
		       sample);
}

/*
 * After a release the watch samples for the length of the longest window. Otherwise the
 * guest could use released memory again unnoticed, and the costs of the windows would be
 * wrong. Later the watch samples once per window, while raw memory is left that may still
 * become surplus.
 */
static unsigned int policy_watch(const struct policy *p, u64 now,
				 const struct policy_limits *limits,
				 const struct policy_view *view)
{
	u64 since = now - p->last_release;

	if (limits->window_ms == POLICY_WINDOW_AUTO &&
	    since < policy_window(POLICY_WINDOWS - 1))
		return max_t(u64, div_u64(since, POLICY_WATCH_PART), POLICY_SAMPLE_MIN);
	if (policy_above(p->available, p->treated) > p->deferred)
		return max(view->window_ms, POLICY_SAMPLE_MAX);
	return POLICY_NEVER;
}

/**
 * policy_init - start with no history
 * @p: the policy
 * @now: milliseconds
 * @slack: noise threshold, pages
 *
 * All free memory counts as freed at @now.
 */
void policy_init(struct policy *p, u64 now, u64 slack)
{
	*p = (struct policy) {
		.slack = slack, .last_release = now, .chosen = POLICY_FIRST,
	};
	window_min_reset(&p->least, now);
}

/**
 * policy_sample - take a sample of free memory, and decide
 * @p: the policy
 * @now: milliseconds
 * @level: the sample
 * @limits: the user's settings
 * @view: set to the decision
 */
void policy_sample(struct policy *p, u64 now, const struct policy_level *level,
		 const struct policy_limits *limits, struct policy_view *view)
{
	u64 available = policy_available(level, limits);
	u64 least = p->sampled ? policy_least_since(p, now, available, level->treated) : available;

	if (available + p->slack / POLICY_FALL_PART < p->available)
		p->last_fall = now;
	window_min_add(&p->least, now, least, policy_span(limits));
	if (!p->sampled)
		policy_start(p, now, available);
	policy_learn(p, now, least, limits->refault_ms);
	p->available = available;
	p->treated = level->treated;
	p->sampled = now;

	view->window_ms = policy_window_in_use(p, limits);
	view->surplus = available;
	if (view->window_ms)
		view->surplus = policy_surplus(p, now, view->window_ms);
	view->deficit = policy_deficit(p, now, view);
	view->wait_ms = policy_wait(p, now, view);
	view->watch_ms = policy_watch(p, now, limits, view);
}

/**
 * policy_wake - memory was freed, or a pass is to be tried again
 * @p: the policy
 *
 * A deficit that a pass could not treat before counts again.
 */
void policy_wake(struct policy *p)
{
	p->deferred = 0;
}

/**
 * policy_pressure - the guest is under memory pressure
 * @p: the policy
 * @now: milliseconds
 *
 * Surplus is 0 until a whole window, other than 0, has passed without pressure.
 */
void policy_pressure(struct policy *p, u64 now)
{
	window_min_reset(&p->least, now);
}

/**
 * policy_treat - a batch goes to the host
 * @p: the policy
 * @now: milliseconds
 * @pages: size of the batch
 */
void policy_treat(struct policy *p, u64 now, u64 pages)
{
	p->treated += pages;
	if (pages >= p->slack)
		p->last_release = now;
}

/**
 * policy_defer - a pass cannot treat the deficit
 * @p: the policy
 * @view: the view that the pass acted on
 *
 * The deficit is 0 from now on, until it exceeds the present one or policy_wake().
 */
void policy_defer(struct policy *p, const struct policy_view *view)
{
	p->deferred = policy_above(view->surplus, p->treated);
}
