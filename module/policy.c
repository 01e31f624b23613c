// SPDX-License-Identifier: GPL-2.0
/*
 * The policy: how much free memory the host is told of, and when.
 *
 * To tell the host of free memory costs little, to take it back costs a fault in the
 * host and a page to be zeroed. To leave it costs the host the memory for as long:
 *
 *	cost = memory held for nothing * time + refault_ms * memory faulted in again
 *
 * Memory is surplus once it was free for a window of time: the sliding-window minimum
 * of free memory. Allocations use raw memory first, so what a guest takes and frees
 * again and again stays raw, if the window is longer than its pauses. A window that is
 * too long holds memory for nothing, and which one is right depends on the guest.
 *
 * So the policy learns it. For each of some windows there is a shadow: how much would
 * be treated with that window, and what that would have cost so far. The window of the
 * cheapest shadow is used. Costs are forgotten slowly, so that a guest that changes is
 * followed. This is the problem of when to spin down a disk (ski rental), and the
 * solution is known as follow the leader.
 *
 * While free memory falls, twice the window counts: what is taken last was free for as
 * long as the fall takes on top of the pause, and would be given away in the middle of it.
 * A deficit that is less than the noise is left until it was free for some windows.
 *
 * Pure: no clock, no mm. The caller brings the time and the amounts.
 */
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "policy.h"

/* The window of a guest of which nothing is known: 1200 ms. */
#define POLICY_FIRST		4U

/* Costs are forgotten within this time, ms. */
#define POLICY_MEMORY_MS	(10 * MSEC_PER_SEC)

/* While free memory falls, so many windows count. */
#define POLICY_FALL_WINDOWS	2U

/* A fall from one look to the next: no less than this part of the noise. */
#define POLICY_FALL_PART	8U

/* A deficit that is less than the noise is treated after so many windows. */
#define POLICY_SLACK_WINDOWS	4U

/* Looks in a window, and the least time between them, ms. */
#define POLICY_LOOKS		8U
#define POLICY_LOOK_MIN		10U

/* A fall between two looks that are further apart, ms, may have been missed. */
#define POLICY_UNSEEN		(2 * POLICY_LOOK_MAX)

/* Time between two looks of the watch, as a part of the time since the release. */
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

/* What was free for a window, or for longer while memory falls. */
static u64 policy_surplus(const struct policy *p, u64 now, u64 window)
{
	bool falls = now - p->fell < window;

	return window_min_since(&p->least, now, falls ? window * POLICY_FALL_WINDOWS : window);
}

/* No more than this could be treated if nothing of it was needed. */
static u64 policy_available(const struct policy_level *level,
			    const struct policy_limits *limits)
{
	return min3(level->blocks, policy_above(level->free, limits->reserve), limits->cap);
}

/* How far back samples of free memory are needed, ms. */
static u64 policy_span(const struct policy_limits *limits)
{
	u64 longest = policy_window(POLICY_WINDOWS - 1);

	if (limits->window_ms != POLICY_WINDOW_AUTO)
		longest = max_t(u64, longest, limits->window_ms);
	return longest * POLICY_SLACK_WINDOWS;
}

/*
 * The least that was available since the last look. What was not looked at for long may
 * have fallen further: if less is treated than there was, it fell as far as that, since
 * allocations use raw memory first.
 */
static u64 policy_least_since(const struct policy *p, u64 now, u64 available, u64 treated)
{
	u64 least = min(p->available, available);

	if (now - p->looked <= POLICY_UNSEEN || treated + p->slack >= p->treated)
		return least;
	return min(least, treated);
}

/* Costs stop at what fits into 64 bits: beyond that all windows are alike. */
static void policy_charge(struct policy_shadow *s, u64 pages, u64 ms)
{
	s->cost += min(pages * ms, U64_MAX - s->cost);
}

/*
 * What a window would have done since the last look. What was raw then would not have
 * been so for longer than the window, however long that look is ago.
 */
static void policy_shadow_look(struct policy *p, unsigned int i, u64 now, u64 least,
			       unsigned int refault_ms)
{
	struct policy_shadow *s = &p->shadows[i];
	u64 window = policy_window(i);
	u64 ms = now - p->looked;
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
		policy_shadow_look(p, i, now, least, refault_ms);
	for (i = 0; i < POLICY_WINDOWS; i++)
		if (p->shadows[i].cost < p->shadows[p->chosen].cost)
			p->chosen = i;
}

/* The first look says nothing of what was before: no window had a cost. */
static void policy_start(struct policy *p, u64 now, u64 available)
{
	unsigned int i;

	for (i = 0; i < POLICY_WINDOWS; i++)
		p->shadows[i].treated = available;
	p->available = available;
	p->looked = now;
}

/* What is to be treated: a deficit, without what is noise and what cannot be. */
static u64 policy_deficit(const struct policy *p, u64 now, const struct policy_view *view)
{
	u64 deficit = policy_above(view->surplus, p->treated);
	u64 span = (u64)view->window_ms * POLICY_SLACK_WINDOWS;

	if (deficit < p->slack)
		deficit = min(deficit, policy_above(window_min_since(&p->least, now, span),
						    p->treated));
	return deficit > p->refused ? deficit : 0;
}

static unsigned int policy_wait(const struct policy *p, u64 now,
				const struct policy_view *view)
{
	u64 raw = policy_above(p->available, p->treated);
	u64 look = clamp_t(u64, view->window_ms / POLICY_LOOKS, POLICY_LOOK_MIN,
			   POLICY_LOOK_MAX);

	if (view->deficit)
		return 0;
	if (raw <= p->refused || raw < p->slack)
		return POLICY_NEVER;
	return clamp_t(u64, window_min_next(&p->least, now, view->window_ms), POLICY_LOOK_MIN,
		       look);
}

/*
 * For as long as the longest window would have waited, the watch looks whether what was
 * released is taken back: no window can be judged by a fall that is not seen.
 */
static unsigned int policy_watch(const struct policy *p, u64 now,
				 const struct policy_limits *limits,
				 const struct policy_view *view)
{
	u64 since = now - p->released;

	if (limits->window_ms == POLICY_WINDOW_AUTO &&
	    since < policy_window(POLICY_WINDOWS - 1))
		return max_t(u64, div_u64(since, POLICY_WATCH_PART), POLICY_LOOK_MIN);
	if (policy_above(p->available, p->treated) > p->refused)
		return max(view->window_ms, POLICY_LOOK_MAX);
	return POLICY_NEVER;
}

/**
 * policy_init - start with no history
 * @p: the policy
 * @now: milliseconds
 * @slack: a change smaller than this is noise, pages
 *
 * Nothing is known to have been free.
 */
void policy_init(struct policy *p, u64 now, u64 slack)
{
	*p = (struct policy) {
		.slack = slack, .released = now, .chosen = POLICY_FIRST,
	};
	window_min_reset(&p->least, now);
}

/**
 * policy_look - look at free memory
 * @p: the policy
 * @now: milliseconds
 * @level: what is free
 * @limits: what the user asked for
 * @view: what is to be done now
 */
void policy_look(struct policy *p, u64 now, const struct policy_level *level,
		 const struct policy_limits *limits, struct policy_view *view)
{
	u64 available = policy_available(level, limits);
	u64 least = p->looked ? policy_least_since(p, now, available, level->treated) : available;

	if (available + p->slack / POLICY_FALL_PART < p->available)
		p->fell = now;
	window_min_add(&p->least, now, least, policy_span(limits));
	if (!p->looked)
		policy_start(p, now, available);
	policy_learn(p, now, least, limits->refault_ms);
	p->available = available;
	p->treated = level->treated;
	p->looked = now;

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
 * What could not be treated before may be now.
 */
void policy_wake(struct policy *p)
{
	p->refused = 0;
}

/**
 * policy_press - the guest is short of memory
 * @p: the policy
 * @now: milliseconds
 *
 * Nothing is surplus until that was over for a window.
 */
void policy_press(struct policy *p, u64 now)
{
	window_min_reset(&p->least, now);
}

/**
 * policy_treat - blocks are on their way to the host
 * @p: the policy
 * @now: milliseconds
 * @pages: how much
 */
void policy_treat(struct policy *p, u64 now, u64 pages)
{
	p->treated += pages;
	if (pages >= p->slack)
		p->released = now;
}

/**
 * policy_refuse - a deficit cannot be treated
 * @p: the policy
 * @view: what was seen
 *
 * There is no deficit until it is larger than that.
 */
void policy_refuse(struct policy *p, const struct policy_view *view)
{
	p->refused = policy_above(view->surplus, p->treated);
}
