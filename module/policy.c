// SPDX-License-Identifier: GPL-2.0
/*
 * The policy: how much free memory the host should be told of, and when.
 *
 * Telling the host of free memory costs little; taking it back costs a host
 * fault and a page to be zeroed, 20 to 50 times as much. So the host is to hear
 * of what the guest does not want back soon, and of all of that:
 *
 *	surplus = the least memory that was free for a while, less the reserve
 *	treat while treated < surplus
 *
 * A guest that takes and frees the same 512 MiB again and again has that much
 * raw memory beside what is treated, and nothing is done; all that it never
 * touches is treated. Allocations take raw memory first, which is the
 * allocator's part in this. How long "a while" is:
 *
 *   1. While memory was not seen to fall (a fall of less than the slack is
 *      noise), the hold: one window. What was freed is surplus then.
 *   2. Once it was, four holds. A fall says nothing of how far it goes; but as far
 *      as it went a moment ago it may well go again.
 *   3. A release that the guest takes back within a hold was wrong: it waited
 *      longer than it lasted. From the second in a row on each doubles the hold,
 *      up to eight windows. One that lasts makes it one window again.
 *   4. What comes on top of a release, up to an eighth of it, waits an eighth of
 *      the hold only: kernels keep a part of a large free in the lists of their
 *      processors, and empty those in the seconds after.
 *   5. Who cannot choose what a pass takes ("coarse") may be given what the guest
 *      freed last and wants back next. While memory falls and rises he treats
 *      nothing for less than half of what it falls by.
 *
 * What is less than the slack, and does not follow so, is treated once it was free
 * for four holds in which nothing fell. So a guest that rests, but for a few MiB up
 * and down, is left alone, and loses nothing in the end. One that churns keeps the
 * few MiB that a look missed of how far memory fell.
 *
 * Pure: no clock, no mm. The caller brings the time and the amounts.
 */
#include <linux/limits.h>
#include <linux/minmax.h>
#include "policy.h"

/* Strikes beyond these do not lengthen the hold: window << 3. */
#define POLICY_STRIKES_MAX	4U

/* How far back a guest that took memory is looked at, in holds. */
#define POLICY_SPAN		4U

/* What comes on top of a release: this part of it, after this part of the hold. */
#define POLICY_FOLLOWS		8U

/* The part of the swing of free memory that is worth a coarse pass. */
#define POLICY_COARSE		2U

/*
 * Looks in a hold, and bounds of the time between them in ms. The upper one is in
 * step with nothing that people choose: half a second, a second.
 */
#define POLICY_LOOKS		8U
#define POLICY_LOOK_MIN		10U
#define POLICY_LOOK_MAX		113U

/* Looks in the hold after a release. */
#define POLICY_WATCHES		2U

/**
 * policy_hold - how long memory has to stay free now
 * @p: the policy
 * @limits: what the user asked for
 *
 * Return: milliseconds; the window, or up to eight of it after wrong releases.
 */
unsigned int policy_hold(const struct policy *p,
			 const struct policy_limits *limits)
{
	return limits->window_ms << (p->strikes ? p->strikes - 1 : 0);
}

/**
 * policy_available - what could be treated if nothing of it was needed
 * @level: what is free
 * @limits: what the user asked for
 *
 * Return: pages, with what is treated already.
 */
u64 policy_available(const struct policy_level *level,
		     const struct policy_limits *limits)
{
	u64 above = level->free > limits->reserve ? level->free - limits->reserve : 0;

	return min3(level->blocks, above, limits->cap);
}

static void policy_remember(struct policy *p, u64 now, u64 pages, u64 span)
{
	lows_remember(&p->lows, now, pages, span);
	if (now - p->learned.at >= span)
		p->learned.at = 0;
}

static bool policy_learned(const struct policy *p, u64 now, u64 span)
{
	return p->learned.at && now - p->learned.at < span;
}

static u64 policy_least(const struct policy *p, u64 now, u64 span)
{
	const struct low *low = lows_since(&p->lows, now, span);
	u64 least = low ? min(low->pages, p->available) : p->available;

	return policy_learned(p, now, span) ? min(least, p->learned.pages) : least;
}

/**
 * policy_init - start with no history
 * @p: the policy
 * @now: milliseconds
 * @slack: a rise or fall smaller than this is noise, pages
 *
 * Nothing is known to have been free.
 */
void policy_init(struct policy *p, u64 now, u64 slack)
{
	*p = (struct policy) { .slack = slack };
	policy_press(p, now);
}

/**
 * policy_press - the guest is short of memory
 * @p: the policy
 * @now: milliseconds
 *
 * Nothing is surplus until that was over for a hold.
 */
void policy_press(struct policy *p, u64 now)
{
	lows_forget(&p->lows, now);
	p->fell = p->looked;
	p->quiet_since = now;
}

/* Has memory not been seen to fall for that long? */
static bool policy_quiet(const struct policy *p, u64 now, u64 ms)
{
	return now - p->quiet_since >= ms;
}

/*
 * Is memory falling since the release, for all that is known? It was falling before it
 * too in a guest that is never quiet, and that says nothing.
 */
static bool policy_falls(const struct policy *p, u64 now, u64 hold)
{
	return !policy_quiet(p, now, hold) && p->fell >= p->released;
}

/*
 * Was what was released taken back, or left for long enough? It was taken from the time
 * on at which the fall began: where each page is a fault of a slow host that may take
 * longer than a hold, and until it is over nothing has lasted. As much as may follow a
 * release says nothing: where the kernel keeps marks, blocks lose them as what follows
 * merges with them.
 */
static void policy_judge(struct policy *p, u64 now, u64 hold)
{
	u64 part = max(p->slack, p->release / POLICY_FOLLOWS);
	bool taken = p->treated + part < p->mark;
	bool over = taken || now >= p->released + hold * POLICY_SPAN;
	bool falls = policy_falls(p, now, hold);
	u64 lasted = falls ? p->fell : p->looked;

	if (!p->released || (!over && falls))
		return;
	if ((taken ? lasted : now) >= p->released + hold)
		p->strikes = 0;
	else if (taken)
		p->strikes = min(p->strikes + 1, POLICY_STRIKES_MAX);
	if (over)
		p->released = 0;
}

static void policy_take_off(u64 *amount, u64 pages)
{
	*amount -= min(*amount, pages);
}

/*
 * What was given up since the last look was not taken for use: as if it had never
 * been there. Some of it may not have been free, or not in blocks; then less is
 * surplus than could be, for a while.
 */
static void policy_give(struct policy *p, u64 given)
{
	u64 pages = given - min(given, p->given);

	p->given = given;
	lows_take_off(&p->lows, pages);
	policy_take_off(&p->learned.pages, pages);
	policy_take_off(&p->available, pages);
	policy_take_off(&p->peak, pages);
	policy_take_off(&p->most, pages);
	policy_take_off(&p->most_before, pages);
	policy_take_off(&p->mark, pages);
	policy_take_off(&p->sent, pages);
}

/*
 * How high memory rises while it goes up and down: over the last span and a part of the
 * one before. A guest that is never quiet is not to be judged by what it once was.
 */
static void policy_rise(struct policy *p, u64 now, u64 hold)
{
	bool quiet = policy_quiet(p, now, hold);

	if (quiet || now - p->most_since >= hold * POLICY_SPAN) {
		p->most_before = quiet ? 0 : p->most;
		p->most = 0;
		p->most_since = now;
	}
	p->most = max(p->most, p->available);
}

/**
 * policy_sample - look at free memory
 * @p: the policy
 * @now: milliseconds
 * @level: what is free
 * @limits: what the user asked for
 */
void policy_sample(struct policy *p, u64 now, const struct policy_level *level,
		   const struct policy_limits *limits)
{
	u64 hold = policy_hold(p, limits);
	u64 before;

	policy_give(p, level->given);
	before = p->available;
	p->available = policy_available(level, limits);
	p->treated = level->treated;
	if (p->available + p->slack < p->peak) {
		/* It may have begun right after the last look. */
		if (policy_quiet(p, now, hold))
			p->fell = p->looked;
		p->quiet_since = now;
		p->peak = p->available;
	}
	p->peak = max(p->peak, p->available);
	policy_rise(p, now, hold);
	/* When it rose nobody knows: not before now. */
	policy_remember(p, now, min(before, p->available), hold * POLICY_SPAN);
	policy_judge(p, now, hold);
	p->looked = now;
}

/**
 * policy_request - memory was freed after a time in which nobody looked
 * @p: the policy, with a sample of this moment
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * For all that is known, what is raw was free for no longer than that.
 */
void policy_request(struct policy *p, u64 now, const struct policy_limits *limits)
{
	u64 span = (u64)policy_hold(p, limits) * POLICY_SPAN;

	policy_remember(p, now, min(p->treated, p->available), span);
	p->refused = 0;
}

/**
 * policy_learn - what was treated when memory was freed is known only now
 * @p: the policy, with a sample of this moment
 * @freed: when that was, and policy_request() with it, ms
 *
 * What turns out to be raw was not free before then.
 */
void policy_learn(struct policy *p, u64 freed)
{
	p->learned = (struct low) {
		.from = freed, .at = freed, .pages = min(p->treated, p->available),
	};
}

/*
 * May something on top of the last release be on its way still? If that was one
 * of a guest that was quiet, and has been since.
 */
static bool policy_follows(const struct policy *p, u64 hold)
{
	return p->released && p->strikes <= 1 && p->released >= p->quiet_since + hold;
}

/* How much may be treated with what follows, after a part of the hold. */
static u64 policy_following(const struct policy *p, u64 now, u64 hold)
{
	if (!policy_follows(p, hold))
		return 0;
	return min(policy_least(p, now, hold / POLICY_FOLLOWS),
		   p->mark + p->release / POLICY_FOLLOWS);
}

/* What was free for long enough. */
static u64 policy_settled(const struct policy *p, u64 now, u64 hold)
{
	return policy_least(p, now, policy_quiet(p, now, hold) ? hold : hold * POLICY_SPAN);
}

/* Is what is treated no more than that, or does some of it only follow? */
static bool policy_is_settled(const struct policy *p, u64 now, u64 hold)
{
	return p->treated <= policy_settled(p, now, hold) + p->slack;
}

/**
 * policy_surplus - free memory that the guest does not seem to need
 * @p: the policy
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * Return: pages, with what is treated of it.
 */
u64 policy_surplus(const struct policy *p, u64 now,
		   const struct policy_limits *limits)
{
	u64 hold = policy_hold(p, limits);

	return max(policy_settled(p, now, hold), policy_following(p, now, hold));
}

static u64 policy_above(const struct policy *p, u64 pages)
{
	return pages > p->treated ? pages - p->treated : 0;
}

/* What is too little to bother, unless it stays. */
static u64 policy_little(const struct policy *p, u64 now, u64 deficit, u64 hold)
{
	u64 span = hold * POLICY_SPAN;

	if (deficit >= p->slack || policy_follows(p, hold))
		return deficit;
	if (!policy_quiet(p, now, span))
		return 0;
	return min(deficit, policy_above(p, policy_least(p, now, span)));
}

/* What is not worth a pass. */
static u64 policy_floor(const struct policy *p, u64 now,
			const struct policy_limits *limits)
{
	u64 hold = policy_hold(p, limits);
	u64 most = max(p->most, p->most_before);
	u64 swing = most - min(most, policy_settled(p, now, hold));

	if (!limits->coarse || policy_quiet(p, now, hold))
		return p->refused;
	return max(p->refused, swing / POLICY_COARSE);
}

/**
 * policy_deficit - what is surplus, and the host does not know of
 * @p: the policy
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * Return: pages that should be treated; 0 if it is too little
 * to bother yet, or no more than a pass could do nothing about.
 */
u64 policy_deficit(const struct policy *p, u64 now,
		   const struct policy_limits *limits)
{
	u64 hold = policy_hold(p, limits);
	u64 deficit = policy_above(p, policy_surplus(p, now, limits));

	deficit = policy_little(p, now, deficit, hold);
	return deficit > policy_floor(p, now, limits) ? deficit : 0;
}

/**
 * policy_treat - blocks are on their way to the host
 * @p: the policy
 * @now: milliseconds
 * @pages: how much
 * @limits: what the user asked for
 */
void policy_treat(struct policy *p, u64 now, u64 pages,
		  const struct policy_limits *limits)
{
	p->treated += pages;
	p->sent = policy_is_settled(p, now, policy_hold(p, limits)) ? p->treated : 0;
}

/**
 * policy_refuse - what is surplus now cannot be treated
 * @p: the policy
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * There is no deficit until there is more surplus than that.
 */
void policy_refuse(struct policy *p, u64 now, const struct policy_limits *limits)
{
	p->refused = policy_above(p, policy_surplus(p, now, limits));
}

/**
 * policy_passed - a pass ran
 * @p: the policy
 * @now: milliseconds
 * @pages: what it treated
 * @limits: what the user asked for
 *
 * Several in a row are one release. What follows it later is none, and so has an
 * end; nor is what is too little to notice if it is taken back. Some may be taken
 * back before the pass is over, which ends it: that counts like what is taken later.
 */
void policy_passed(struct policy *p, u64 now, u64 pages,
		   const struct policy_limits *limits)
{
	u64 hold = policy_hold(p, limits);
	u64 release = pages;
	u64 mark = p->sent;

	p->sent = 0;
	p->refused = 0;
	if (!pages)
		policy_refuse(p, now, limits);
	if (!mark)
		return;
	if (p->released && now - p->released <= hold / POLICY_FOLLOWS)
		release += p->release;
	if (!pages || release < p->slack)
		return;
	p->release = release;
	p->released = now;
	p->mark = mark;
}

/* Raw memory that may become surplus. */
static u64 policy_raw(const struct policy *p)
{
	u64 raw = policy_above(p, p->available);

	return raw > p->refused ? raw : 0;
}

/* Sooner after a fall, which may go on: how far it goes is what is to be seen. */
static u64 policy_look(const struct policy *p, u64 now, u64 hold)
{
	u64 look = clamp_t(u64, hold / POLICY_LOOKS, POLICY_LOOK_MIN, POLICY_LOOK_MAX);

	return clamp_t(u64, now - p->quiet_since, POLICY_LOOK_MIN, look);
}

/**
 * policy_wait - how long until it is worth to look again
 * @p: the policy
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * Return: milliseconds, 0 if something may be treated now, POLICY_NEVER if it is
 * enough to look when something is freed, and as policy_watch() says.
 */
unsigned int policy_wait(const struct policy *p, u64 now,
			 const struct policy_limits *limits)
{
	u64 hold = policy_hold(p, limits);
	bool quiet = policy_quiet(p, now, hold);
	const struct low *low = lows_since(&p->lows, now, hold);
	u64 wait = policy_look(p, now, hold);

	if (policy_deficit(p, now, limits))
		return 0;
	if (policy_raw(p) < (quiet && !policy_follows(p, hold) ? p->slack : 1))
		return POLICY_NEVER;
	if (!quiet)
		wait = min(wait, p->quiet_since + hold - now);
	else if (low)
		wait = min(wait, low->at + hold - now);
	if (policy_learned(p, now, hold))
		wait = min(wait, p->learned.at + hold - now);
	return max_t(u64, wait, 1);
}

/**
 * policy_watch - how soon to look though nothing was freed
 * @p: the policy, with nothing to wait for
 * @now: milliseconds
 * @limits: what the user asked for
 *
 * For a while, whether what was released is taken back, and whether the little
 * that is raw stays free.
 *
 * Return: milliseconds, POLICY_NEVER if there is no need.
 */
unsigned int policy_watch(const struct policy *p, u64 now,
			  const struct policy_limits *limits)
{
	unsigned int hold = policy_hold(p, limits);
	bool lasts = now >= p->released + hold && !policy_falls(p, now, hold);

	if (p->released && !lasts)
		return max(hold / POLICY_WATCHES, POLICY_LOOK_MIN);
	return policy_raw(p) ? max(hold, POLICY_LOOK_MIN) : POLICY_NEVER;
}
