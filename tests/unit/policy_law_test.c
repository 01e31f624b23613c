// SPDX-License-Identifier: GPL-2.0
/* The policy: the surplus, the deficit, and the time of the next sample. */
#include "policy_fixture.h"

/* The time until the deficit is this large, with a sample each ms; all was free at T0. */
static unsigned int deficit_after(u64 free, u64 treated, u64 pages)
{
	unsigned int ms = 0;

	look(T0 + 1, free, treated);
	while (view.deficit < pages && ms < 2 * MINUTE)
		look(T0 + 1 + ++ms, free, treated);
	return ms;
}

TEST(policy_fixed_window_is_waited_for)
{
	static const unsigned int windows[] = { 1, 10, 75, 700, 1200, 5000, 60000 };

	for (unsigned int i = 0; i < ARRAY_LEN(windows); i++) {
		unsigned int ms;

		setup(windows[i], MIB(100), MIB(100));
		ms = deficit_after(MIB(1100), MIB(100), MIB(1000));
		check_note("window %u: after %u ms", windows[i], ms);
		check(ms + 1 >= windows[i]);
		check(ms <= LATE(windows[i]));
	}
}

TEST(policy_window_0_treats_at_once)
{
	setup(0, MIB(100), MIB(100));
	look(T0 + 1, MIB(1100), MIB(100));
	check_eq(view.deficit, MIB(1000));
	check_eq(view.wait_ms, 0);
	/* Amounts below the noise, too. */
	setup(0, MIB(100), MIB(100));
	look(T0 + 1, MIB(101), MIB(100));
	check_eq(view.deficit, MIB(1));
}

/* The first window soon becomes shorter, if nothing is allocated again. */
TEST(policy_first_window_is_1200)
{
	unsigned int ms;

	setup(POLICY_WINDOW_AUTO, MIB(100), MIB(100));
	look(T0, MIB(100), MIB(100));
	check_eq(view.window_ms, WINDOW);
	ms = deficit_after(MIB(1100), MIB(100), MIB(1000));
	check(ms >= POLICY_WINDOW_MIN - 1 && ms <= LATE(WINDOW));
}

/* Free memory is no surplus at the first sample: nothing is known of the time before. */
TEST(policy_first_look_says_nothing_of_before)
{
	setup_new(WINDOW);
	look(T0, MIB(1000), 0);
	check_eq(view.deficit, 0);
	check_eq(view.surplus, 0);
	check(view.wait_ms && view.wait_ms <= 113);
}

TEST(policy_limits_are_kept)
{
	setup(WINDOW, MIB(1000), 0);
	limits.reserve = MIB(300);
	look(T0 + 1, MIB(1000), 0);
	check_eq(view.deficit, MIB(700));
	limits.cap = MIB(200);
	look(T0 + 2, MIB(1000), 0);
	check_eq(view.deficit, MIB(200));
	look(T0 + 3, MIB(1000), MIB(200));
	check_eq(view.deficit, 0);
	limits.reserve = MIB(2000);
	look(T0 + 4, MIB(1000), MIB(200));
	check_eq(view.surplus, 0);
}

/* Fragments are free, but cannot be treated. */
TEST(policy_only_blocks_are_surplus)
{
	const struct policy_level level = { .free = MIB(1000), .blocks = MIB(400) };

	setup(WINDOW, MIB(1000), 0);
	for (unsigned int ms = 1; ms < 2 * WINDOW; ms += 100)
		policy_sample(&policy, T0 + ms, &level, &limits, &view);
	check_eq(view.deficit, MIB(400));
}

/* A deficit below the noise is left for four windows. */
TEST(policy_slack)
{
	unsigned int ms;

	setup(WINDOW, MIB(100), MIB(100));
	ms = deficit_after(MIB(112), MIB(100), MIB(12));
	check_note("after %u ms", ms);
	check(ms >= 4 * WINDOW - 1 && ms <= LATE(4 * WINDOW));
	setup(WINDOW, MIB(100), MIB(100));
	ms = deficit_after(MIB(116), MIB(100), MIB(16));
	check(ms <= LATE(WINDOW));
}

/* Nothing is surplus until a window after the pressure. */
TEST(policy_under_pressure)
{
	setup(WINDOW, MIB(1000), 0);
	check_eq(view.deficit, MIB(1000));
	policy_pressure(&policy, T0 + 1);
	look(T0 + 1, MIB(1000), 0);
	check_eq(view.surplus, 0);
	check_eq(view.deficit, 0);
	look_for(T0 + 100, WINDOW - 200, MIB(1000), 0);
	check_eq(view.deficit, 0);
	look_for(T0 + WINDOW, LATE(WINDOW), MIB(1000), 0);
	check_eq(view.deficit, MIB(1000));
}

/* A refused deficit does not count until there is more, or the work wakes. */
TEST(policy_refused_deficit)
{
	setup(WINDOW, MIB(1000), MIB(900));
	check_eq(view.deficit, MIB(100));
	policy_defer(&policy, &view);
	look(T0 + 1, MIB(1000), MIB(900));
	check_eq(view.deficit, 0);
	check_eq(view.wait_ms, POLICY_NEVER);
	look_for(T0 + 100, 2 * WINDOW, MIB(1050), MIB(900));
	check_eq(view.deficit, MIB(150));
	policy_defer(&policy, &view);
	look(T0 + 3 * WINDOW, MIB(1050), MIB(900));
	check_eq(view.deficit, 0);
	policy_wake(&policy);
	look(T0 + 3 * WINDOW + 1, MIB(1050), MIB(900));
	check_eq(view.deficit, MIB(150));
}

/* Ballooned memory counts as free and treated: inflating is no fall. */
TEST(policy_balloon)
{
	u64 cost;

	setup(POLICY_WINDOW_AUTO, MIB(1000), MIB(500));
	cost = policy.shadows[0].cost;
	look(T0 + 100, MIB(1000), MIB(900));
	check_eq(view.surplus, MIB(1000));
	check(policy.shadows[0].cost <= cost);
	/* Deflated memory is not on the host: reporting it at once costs nothing. */
	look(T0 + 200, MIB(1000), MIB(500));
	check_eq(view.surplus, MIB(1000));
	check(policy.shadows[0].cost <= cost);
}

/* Raw memory is used first: if less is treated than before, all raw memory had been used. */
TEST(policy_fall_that_was_not_seen)
{
	u64 cost;

	setup(POLICY_WINDOW_AUTO, MIB(1000), MIB(1000));
	cost = policy.shadows[0].cost;
	look(T0 + 1000, MIB(1000), MIB(600));
	check_eq(view.surplus, MIB(600));
	check(policy.shadows[0].cost >= cost + MIB(400) * 2000);
	/* Memory in flight counts at once: it may be allocated again before the next sample. */
	setup(POLICY_WINDOW_AUTO, MIB(1000), MIB(200));
	policy_treat(&policy, T0, MIB(800));
	look(T0 + 1000, MIB(1000), MIB(600));
	check_eq(view.surplus, MIB(600));
	/* Slightly less is noise: treated memory is only estimated on some kernels. */
	setup(POLICY_WINDOW_AUTO, MIB(1000), MIB(1000));
	look(T0 + 1000, MIB(1000), MIB(990));
	check_eq(view.surplus, MIB(1000));
}

/* Allocate and free memory, with pauses, until the policy has learnt the pause. */
static u64 churn(u64 now, u64 top, u64 pages, unsigned int rounds, unsigned int gap_ms)
{
	for (unsigned int i = 0; i < rounds; i++) {
		look(now, top - pages, min(policy.treated, top - pages));
		now = look_for(now + 100, gap_ms, top, policy.treated) + 100;
	}
	return now;
}

TEST(policy_learns_to_wait_longer_than_pauses)
{
	static const unsigned int gaps[] = { 100, 400, 1000 };

	for (unsigned int i = 0; i < ARRAY_LEN(gaps); i++) {
		setup(POLICY_WINDOW_AUTO, MIB(2000), MIB(2000));
		churn(T0, MIB(2000), MIB(512), 20, gaps[i]);
		check_note("gap %u: window %u", gaps[i], view.window_ms);
		check(view.window_ms > gaps[i]);
	}
}

TEST(policy_learns_that_a_release_lasts)
{
	setup(POLICY_WINDOW_AUTO, MIB(100), MIB(100));
	look_for(T0, 2 * WINDOW, MIB(1100), MIB(100));
	look(T0 + 2 * WINDOW, MIB(1100), MIB(1100));
	check_eq(view.window_ms, POLICY_WINDOW_MIN);
}

/* More than half of a cost is forgotten within 10 s, nearly all within a minute. */
TEST(policy_costs_are_forgotten)
{
	struct policy_shadow *s = &policy.shadows[0];
	u64 cost;

	setup(POLICY_WINDOW_AUTO, MIB(1000), MIB(1000));
	look(T0 + 1, MIB(500), MIB(500));
	cost = s->cost;
	check(cost >= MIB(500) * 2000);
	for (unsigned int i = 0; i < 1000; i++)
		look(T0 + 1, MIB(500), MIB(500));
	check_eq(s->cost, cost);
	look_for(T0 + 2, 10000, MIB(500), MIB(500));
	check(s->cost > cost * 35 / 100 && s->cost < cost * 40 / 100);
	look_for(T0 + 10003, 50000, MIB(500), MIB(500));
	check(s->cost < cost / 50);
}

/* 4 PiB are allocated and freed: no product and no sum overflows. */
TEST(policy_costs_of_the_largest_guest)
{
	const struct policy_shadow *s = policy.shadows;
	const u64 all = 1ULL << 40;
	u64 now = T0, cost;

	setup(POLICY_WINDOW_AUTO, all, all);
	limits.refault_ms = 60000;
	for (unsigned int i = 0; i < 2000; i++) {
		check_note("round %u", i);
		look(now, 0, 0);
		check(s[0].cost >= all * 60000);
		check(i < 5 || s[0].cost > s[POLICY_WINDOWS - 1].cost);
		look(now + 1, all, 0);
		look(now + 2, all, 0);
		now += POLICY_WINDOW_MIN + 5;
		look(now, all, 0);
	}
	check(view.window_ms > POLICY_WINDOW_MIN);
	/* An hour later half is forgotten. */
	cost = s[0].cost;
	look(now + LONG_AGO, all, 0);
	check(s[0].cost <= cost / 2 + all * WINDOW && s[0].cost >= cost / 2 - all);
}

/* In an idle guest there is a bounded number of samples, and then none. */
TEST(policy_idle_guest_rests)
{
	u64 now = T0;

	setup(POLICY_WINDOW_AUTO, MIB(1000), 0);
	policy_treat(&policy, T0, MIB(1000));
	look(T0, MIB(1000), MIB(1000));
	check_eq(view.wait_ms, POLICY_NEVER);
	check(view.watch_ms <= 113);
	for (unsigned int i = 0; i < 100 && view.watch_ms != POLICY_NEVER; i++) {
		now += view.watch_ms;
		look(now, MIB(1000), MIB(1000));
		check_eq(view.wait_ms, POLICY_NEVER);
	}
	check_eq(view.watch_ms, POLICY_NEVER);
	check(now >= T0 + WINDOW_MAX && now < T0 + 2 * WINDOW_MAX);
}

/* Often a round number, so that the same amount is repeated. */
static u64 random_amount(u64 *random)
{
	return MIB(check_random(random, 4) ? check_random(random, 64) * 50 :
					     check_random(random, 3000));
}

static void random_history(u64 *random)
{
	u64 now = T0, treated = 0, free = random_amount(random), bound;

	setup_new(check_random(random, 2) ? POLICY_WINDOW_AUTO : check_random(random, 3000));
	limits.reserve = check_random(random, 2) ? 0 : random_amount(random);
	if (!check_random(random, 3))
		limits.cap = random_amount(random);
	for (unsigned int i = 0; i < 40; i++) {
		look(now, free, treated);
		bound = min(free - min(free, limits.reserve), limits.cap);
		check(!view.deficit || treated + view.deficit <= view.surplus);
		check(view.surplus <= bound);
		policy_treat(&policy, now, view.deficit);
		treated += view.deficit;
		now += check_random(random, 400);
		if (check_random(random, 2))
			free = random_amount(random);
		treated = min(treated, free);
	}
}

/* A pass treats the deficit: afterwards no more is treated than is surplus, or allowed. */
TEST(policy_never_overshoots)
{
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int i = 0; i < 10000; i++) {
		check_note("history %u", i);
		random_history(&random);
	}
}
