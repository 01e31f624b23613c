// SPDX-License-Identifier: GPL-2.0
/*
 * The policy: when a pass over the free lists may run.
 *
 * Telling the host of free memory costs little; taking it back costs a host
 * fault and a page to be zeroed, 20 to 50 times as much. So memory is to be
 * told of that the guest does not want back soon, and nobody knows which that
 * is. The rule here looks at what free memory did:
 *
 *   1. A free asks for a pass. It runs once free memory has not fallen for the
 *      window after that (a fall smaller than the slack is noise).
 *   2. What was released so and then taken back within four holds was a wrong
 *      guess. From the second one in a row on, each doubles the hold, which is
 *      the window at first, up to eight windows; a release that lasted makes it
 *      one window again.
 *      What is freed on top of a release that lasts so far waits an eighth only,
 *      while the hold is still one window: the guest is shrinking, or its kernel
 *      empties the lists of its processors.
 *   3. While memory keeps falling and rising, passes run at the pace that
 *      virtio_balloon has at all times: one after two seconds (or after two
 *      windows if that is longer). Thus a guest that never comes to rest still
 *      returns memory, and pays no more for it.
 *
 * Pure: no clock, no mm. The caller brings the time and the amounts.
 */
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "policy.h"

/* Strikes beyond these do not lengthen the hold: window << 3. */
#define POLICY_STRIKES_MAX	4U

/* What comes on top of a release that lasts waits this part of the hold. */
#define POLICY_FOLLOWS		8

/* A debt older than this is forgiven, which keeps the arithmetic in 64 bits. */
#define POLICY_DEBT_MS_MAX	(24ULL * 3600 * MSEC_PER_SEC)

/**
 * policy_init - start with no history
 * @p: the policy
 * @slack: a fall of free memory smaller than this is noise, pages
 */
void policy_init(struct policy *p, u64 slack)
{
	*p = (struct policy) { .slack = slack, .low = U64_MAX };
}

/**
 * policy_hold - how long memory has to stay free now
 * @p: the policy
 * @limits: what the user asked for
 *
 * Return: milliseconds; the window, or up to eight of it after wrong guesses.
 */
unsigned int policy_hold(const struct policy *p,
			 const struct policy_limits *limits)
{
	return limits->window_ms << (p->strikes ? p->strikes - 1 : 0);
}

/* How long the request that waits is held. */
static unsigned int policy_held(const struct policy *p,
				const struct policy_limits *limits)
{
	unsigned int hold = policy_hold(p, limits);

	return p->follows ? hold / POLICY_FOLLOWS : hold;
}

/* Has free memory not fallen for as long as it has to? */
static bool policy_quiet(const struct policy *p, u64 now,
			 const struct policy_limits *limits)
{
	return now - p->quiet_since >= policy_held(p, limits);
}

/* Memory was taken. If it had just been released, that was a wrong guess. */
static void policy_judge(struct policy *p, u64 now,
			 const struct policy_limits *limits)
{
	u64 regret = (u64)policy_hold(p, limits) * POLICY_REGRET;

	if (!p->released)
		return;
	if (now - p->released >= regret)
		p->strikes = 0;
	else if (p->guessed)
		p->strikes = min(p->strikes + 1, POLICY_STRIKES_MAX);
	p->released = 0;
}

/**
 * policy_sample - look at free memory
 * @p: the policy
 * @now: milliseconds
 * @free: free memory, pages
 * @limits: what the user asked for
 */
void policy_sample(struct policy *p, u64 now, u64 free,
		   const struct policy_limits *limits)
{
	if (free + p->slack < p->peak) {
		policy_judge(p, now, limits);
		p->quiet_since = now;
		p->peak = free;
		p->follows = false;
	}
	p->peak = max(p->peak, free);
	WRITE_ONCE(p->low, min(p->low, free));
	p->free = free;
}

/**
 * policy_request - memory was freed, a pass is wanted
 * @p: the policy
 * @now: milliseconds
 * @free: free memory then, pages: as a rule the least there was for a while,
 *	for this is called at the first free after all was treated
 * @limits: what the user asked for
 */
void policy_request(struct policy *p, u64 now, u64 free,
		    const struct policy_limits *limits)
{
	policy_sample(p, now, free, limits);
	p->follows = p->released && p->guessed && p->strikes <= 1 &&
		     now - p->released < (u64)policy_hold(p, limits) * POLICY_REGRET;
	p->quiet_since = now;
	p->asked = now;
	p->peak = free;
	p->low = free;
}

/*
 * A pass takes what it takes; at a limited rate it is paid for afterwards, at the
 * rate of the day.
 */
static u64 policy_owes(const struct policy *p, u64 now,
		       const struct policy_limits *limits)
{
	u64 ms = now - p->owed_at;
	u64 paid;

	if (!limits->rate || ms >= POLICY_DEBT_MS_MAX)
		return 0;
	paid = div64_u64(limits->rate * ms, MSEC_PER_SEC);
	return p->owed > paid ? p->owed - paid : 0;
}

/**
 * policy_passed - a pass ran
 * @p: the policy
 * @now: milliseconds
 * @pages: what it treated
 * @limits: what the user asked for
 *
 * One that ran because memory was quiet is a guess, and a strike if it was wrong.
 * One that ran because it was its turn is not, but may turn out to have lasted.
 */
void policy_passed(struct policy *p, u64 now, u64 pages,
		   const struct policy_limits *limits)
{
	p->asked = now;
	p->low = U64_MAX;
	p->owed = limits->rate ? policy_owes(p, now, limits) + pages : 0;
	p->owed_at = now;
	if (!pages)
		return;
	p->released = now;
	p->guessed = policy_quiet(p, now, limits);
}

/**
 * policy_wait - how long the pass that was asked for has to wait
 * @p: the policy
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * Return: milliseconds, 0 for now, POLICY_NEVER if free memory does not exceed
 * the reserve: then only a new request helps.
 */
unsigned int policy_wait(const struct policy *p, u64 now,
			 const struct policy_limits *limits)
{
	u64 pace = max(POLICY_KERNEL_PACE_MS, 2 * limits->window_ms);
	u64 due = min(p->quiet_since + policy_held(p, limits), p->asked + pace);

	if (p->free <= limits->reserve)
		return POLICY_NEVER;
	if (limits->rate)
		due = max(due, now + div64_u64(policy_owes(p, now, limits) * MSEC_PER_SEC,
					       limits->rate));
	return due > now ? min_t(u64, due - now, POLICY_NEVER - 1) : 0;
}

/**
 * policy_surplus - free memory that the guest does not seem to need
 * @p: the policy
 * @free: free memory now, pages
 * @limits: what the user asked for
 *
 * Context: any; a caller that does not own @p gets a figure a moment old.
 *
 * Return: pages above the reserve: the least there was since the request that
 * waits, or what is free now if none does.
 */
u64 policy_surplus(const struct policy *p, u64 free,
		   const struct policy_limits *limits)
{
	u64 least = min(READ_ONCE(p->low), free);

	return least > limits->reserve ? least - limits->reserve : 0;
}
