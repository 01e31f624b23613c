// SPDX-License-Identifier: GPL-2.0
/*
 * The policy: the least there was, against one that remembers all looks.
 *
 * Between two looks nobody knows how much was free. Both take it that the lesser of
 * the two was, until the later one: what rose may have risen just before. The policy
 * remembers few of the lows. Those that follow each other within a grain, a part of
 * four holds, are one to it, which lasts as long as the last of them. So it may say
 * less than there was, for a grain, and never says more.
 */
#include "policy_fixture.h"

#define SERIES_MAX	20000

static struct {
	u64 at[SERIES_MAX];
	u64 pages[SERIES_MAX];
	unsigned int nr;
	u64 now;
	u64 free;
} series;

static void series_start(unsigned int window_ms)
{
	setup_new(window_ms);
	series.nr = 0;
	series.now = T0;
	series.free = 0;
	series.at[series.nr] = T0;
	series.pages[series.nr++] = 0;
}

static void series_low(u64 pages)
{
	series.at[series.nr] = series.now;
	series.pages[series.nr++] = pages;
}

static void series_look(u64 now, u64 free)
{
	series.now = now;
	series_low(free < series.free ? free : series.free);
	series.free = free;
	look(now, free, 0);
}

/* What lasted until less than @span ago; all of it, slowly. */
static u64 reference(u64 span)
{
	u64 least = series.free;

	for (unsigned int i = 0; i < series.nr; i++)
		if (series.now - series.at[i] < span && series.pages[i] < least)
			least = series.pages[i];
	return least;
}

/* For any span: what the policy takes for surplus if that is a hold, and quiet. */
static u64 least(u64 now, unsigned int span)
{
	const struct policy_limits hold = { .window_ms = span };
	struct policy p = policy;

	p.quiet_since = 0;
	p.released = 0;
	p.strikes = 0;
	return policy_surplus(&p, now, &hold);
}

/* All spans up to four holds, in steps that a test can afford. */
static void check_spans(void)
{
	const u64 now = series.now;
	const unsigned int most = SPAN * limits.window_ms;
	const unsigned int grain = GRAIN(limits.window_ms);

	for (unsigned int span = 1; span <= most; span += 1 + most / 40) {
		u64 found = least(now, span);

		check_note("window %u, at %llu ms, span %u", limits.window_ms,
			   now - T0, span);
		check(found <= reference(span));
		check(found >= reference(span + grain));
	}
}

/* Later ones are higher. */
static void check_lows(u64 now)
{
	const struct lows *lows = &policy.lows;
	const struct low *last = NULL;

	check(lows->nr <= LOWS_MAX);
	check(lows->first < LOWS_MAX);
	for (unsigned int i = 0; i < lows->nr; i++) {
		const struct low *low = &lows->ring[(lows->first + i) % LOWS_MAX];

		check(low->at <= now);
		check(!last || low->at >= last->at);
		check(!last || low->pages > last->pages);
		last = low;
	}
}

/* Memory that goes any way, at looks up to @gap ms apart. */
static void wander(u64 *random, unsigned int looks, unsigned int gap)
{
	u64 now = series.now;
	u64 free = series.free;

	for (unsigned int i = 0; i < looks; i++) {
		u64 step = MIB(check_random(random, 64)) / (1 + check_random(random, 8));

		now += check_random(random, gap) + 1;
		if (check_random(random, 3))
			free += step;
		else
			free -= free < 4 * step ? free : 4 * step;
		series_look(now, free);
		if (i % 8 == 0)
			check_spans();
	}
}

TEST(policy_least_is_the_reference)
{
	static const unsigned int windows[] = { 16, 100, 333, 1000, WINDOW, 5000, 60000 };
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int i = 0; i < ARRAY_LEN(windows); i++) {
		series_start(windows[i]);
		wander(&random, 1500, 1 + windows[i] / PART);
		wander(&random, 500, 1 + windows[i] * 2);
		wander(&random, 1500, 1 + windows[i] / 50);
	}
}

/* Looks further apart than a grain are all remembered: no difference at all. */
TEST(policy_least_is_exact_for_the_looks_there_are)
{
	u64 random = CHECK_RANDOM_SEED;

	series_start(WINDOW);
	for (u64 now = T0; now < T0 + 100 * WINDOW; now += GRAIN(WINDOW) + 1) {
		series_look(now, MIB(check_random(&random, 4000)));
		for (unsigned int span = 1; span <= SPAN * WINDOW; span += 37) {
			check_note("at %llu ms, span %u", now - T0, span);
			check_eq(least(now, span), reference(span));
		}
	}
}

/* What is freed within a grain is due with the last of it, and else by itself. */
TEST(policy_least_of_two_frees)
{
	for (unsigned int ms = 1; ms < 2 * GRAIN(WINDOW); ms++) {
		setup(WINDOW, MIB(1000), MIB(1000));
		wake(T0, MIB(1100), MIB(1000));
		look(T0 + ms, MIB(1200), MIB(1000));
		look(T0 + ms + 1, MIB(1300), MIB(1000));
		check_note("after %u ms", ms);
		check_eq(surplus(T0 + WINDOW),
			 ms > GRAIN(WINDOW) ? MIB(1100) : MIB(1000));
		check_eq(surplus(T0 + WINDOW + ms), MIB(1200));
		check_eq(surplus(T0 + WINDOW + ms + 1), MIB(1300));
	}
}

/* The most lows that there can be: it rises and rises, at any pace. */
TEST(policy_least_of_a_rise)
{
	static const unsigned int paces[] = { 1, 2, 5, 10, 37, 38, 74, 75, 76, 125, 300 };

	for (unsigned int i = 0; i < ARRAY_LEN(paces); i++) {
		series_start(WINDOW);
		for (unsigned int ms = 0; ms < 3 * SPAN * WINDOW; ms += paces[i]) {
			series_look(T0 + ms, MIB(ms));
			check_lows(series.now);
			if (ms / paces[i] % 16 == 0)
				check_spans();
		}
	}
}

/*
 * Another window, or strikes: lows that were far enough from each other are close
 * now, and there are too many of them. What was remembered so far still is, and the
 * last hold as well as ever.
 */
static void check_other_window(unsigned int before, unsigned int after)
{
	const unsigned int changed = 3 * SPAN * before;
	const unsigned int step = 1 + before / PART / 2;
	unsigned int ms, span;

	series_start(before);
	for (ms = 0; ms < changed; ms += step)
		series_look(T0 + ms, MIB(ms));
	limits.window_ms = after;
	for (; ms < changed + 2 * after; ms += 1 + after / PART / 2) {
		series_look(T0 + ms, MIB(ms));
		span = SPAN * before + ms - changed;
		span = span < after ? span : after;
		check_note("window %u, then %u, at %u ms", before, after, ms);
		check_lows(series.now);
		check(least(series.now, after) <= reference(span));
	}
	check(least(series.now, after) >= reference(after + GRAIN(after)));
}

TEST(policy_least_of_a_rise_with_another_window)
{
	static const unsigned int windows[][2] = {
		{ 100, 200 }, { 100, 800 }, { WINDOW, 2 * WINDOW }, { WINDOW, 60000 },
		{ 60000, WINDOW }, { 8, 16 }, { 1, 60000 },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(windows); i++)
		check_other_window(windows[i][0], windows[i][1]);
}

/*
 * Whatever happens, in whatever order.
 */
static void check_amounts(u64 now)
{
	check(surplus(now) <= policy.available);
	check(policy.available <= limits.cap);
	check(!deficit(now) || deficit(now) <= surplus(now) - policy.treated);
	check(!deficit(now) || deficit(now) > policy.refused);
	check(!wait(now) == !!deficit(now));
	check(hold() >= limits.window_ms && hold() <= 8 * limits.window_ms);
	check(watch(now) >= LOOK_MIN);
}

static void change_limits(u64 *random)
{
	static const unsigned int windows[] = { 0, 1, 10, 250, WINDOW, 60000 };

	if (check_random(random, 2))
		limits.window_ms = windows[check_random(random, ARRAY_LEN(windows))];
	if (check_random(random, 4) == 0)
		limits.reserve = MIB(check_random(random, 500));
	if (check_random(random, 4) == 0)
		limits.cap = MIB(check_random(random, 5000));
}

/* Memory goes up, or down, or the host has been told. */
static void change_level(u64 *random, struct policy_level *level)
{
	u64 step = MIB(check_random(random, 600)) / (1 + check_random(random, 100));

	if (check_random(random, 2))
		level->blocks += step;
	else
		level->blocks -= level->blocks < step ? level->blocks : step;
	if (level->treated > level->blocks)
		level->treated = level->blocks;
	level->free = level->blocks + MIB(check_random(random, 100));
}

static void do_something(u64 *random, u64 now, struct policy_level *level)
{
	u64 pages = deficit(now) / (1 + check_random(random, 3));

	switch (check_random(random, 12)) {
	case 0:
		policy_request(&policy, now, &limits);
		break;
	case 1:
		if (check_random(random, 20) == 0)
			policy_press(&policy, now);
		break;
	case 2:
		if (check_random(random, 40) == 0)
			change_limits(random);
		break;
	case 3:
		policy_passed(&policy, now, 0, &limits);
		break;
	case 4:
	case 5:
		if (pages > level->blocks - level->treated)
			pages = level->blocks - level->treated;
		policy_treat(&policy, now, pages, &limits);
		level->treated += pages;
		policy_passed(&policy, now, pages, &limits);
		break;
	default:
		change_level(random, level);
	}
	policy_sample(&policy, now, level, &limits);
}

TEST(policy_of_any_guest)
{
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int guest = 0; guest < 60; guest++) {
		struct policy_level level = { .free = MIB(500), .blocks = MIB(500) };
		u64 now = T0;

		setup_new(WINDOW);
		for (unsigned int i = 0; i < 4000; i++) {
			now += check_random(&random, 1 + check_random(&random, 400));
			do_something(&random, now, &level);
			check_note("guest %u, step %u", guest, i);
			check_lows(now);
			check_amounts(now);
		}
	}
}
