// SPDX-License-Identifier: GPL-2.0
/* The policy: how long memory has to stay free, and what a fall changes. */
#include "policy_fixture.h"

static const unsigned int windows[] = { 8, 10, 40, 100, 999, 1000, WINDOW, 60000 };

/* Nothing is surplus on top of what is treated for @ms, and @pages then are. */
static void expect_due(u64 from, unsigned int ms, u64 pages)
{
	for (unsigned int i = 0; i < ms; i++) {
		check_note("window %u, after %u of %u ms", limits.window_ms, i, ms);
		check_eq(deficit(from + i), 0);
	}
	check_eq(deficit(from + ms), pages);
	check_note(" ");
}

TEST(policy_new_has_seen_nothing)
{
	setup_new(WINDOW);
	check_eq(policy.slack, SLACK);
	check_eq(policy.available, 0);
	check_eq(policy.treated, 0);
	check_eq(policy.strikes, 0);
	check_eq(policy.released, 0);
	check_eq(policy.refused, 0);
	check_eq(hold(), WINDOW);
	check_eq(surplus(T0), 0);
	check_eq(wait(T0), POLICY_NEVER);
}

/* What is free at the first look may have been for a ms only. */
TEST(policy_new_waits_a_hold)
{
	setup_new(WINDOW);
	look(T0, MIB(1000), 0);
	expect_due(T0, WINDOW, MIB(1000));
	check_eq(surplus(T0 + WINDOW), MIB(1000));
}

/*
 * The hold: nothing before it is over, all of it then.
 */
TEST(policy_hold_is_exact)
{
	for (unsigned int i = 0; i < ARRAY_LEN(windows); i++) {
		setup(windows[i], MIB(1000), MIB(1000));
		check_eq(deficit(T0), 0);
		wake(T0 + 5, MIB(1500), MIB(1000));
		check_eq(surplus(T0 + 5), MIB(1000));
		expect_due(T0 + 5, windows[i], MIB(500));
		check_eq(surplus(T0 + 5 + windows[i]), MIB(1500));
	}
}

/* To look often, or never, changes nothing. */
TEST(policy_hold_is_exact_with_looks)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1500), MIB(1000));
	for (unsigned int ms = 1; ms < WINDOW; ms++) {
		look(T0 + ms, MIB(1500), MIB(1000));
		check_note("after %u ms", ms);
		check_eq(deficit(T0 + ms), 0);
	}
	look(T0 + WINDOW, MIB(1500), MIB(1000));
	check_eq(deficit(T0 + WINDOW), MIB(500));
}

/* Each free has a hold of its own. When it was is not known but from a look. */
TEST(policy_frees_are_due_one_by_one)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1100), MIB(1000));
	for (unsigned int i = 1; i < 6; i++)
		look(T0 + 200 * i, MIB(1100) + i * MIB(100), MIB(1000));
	for (unsigned int i = 0; i < 6; i++) {
		check_note("free %u", i);
		check_eq(deficit(T0 + 200 * i + WINDOW - 1), i * MIB(100));
		check_eq(deficit(T0 + 200 * i + WINDOW), (i + 1) * MIB(100));
	}
}

/* Part of the memory is never touched, the rest comes and goes beside it. */
TEST(policy_least_is_treated_and_the_churn_is_not)
{
	unsigned int ms;

	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1300), MIB(1000));
	for (ms = 0; ms < 20 * WINDOW; ms += 100) {
		look(T0 + ms, ms % 200 ? MIB(1800) : MIB(1300), MIB(1000));
		check_note("after %u ms", ms);
		check_eq(deficit(T0 + ms), ms < SPAN * WINDOW ? 0 : MIB(300));
	}
	/* And nothing again once it is treated, until the churn ends. */
	for (; ms < 40 * WINDOW; ms += 100) {
		look(T0 + ms, ms % 200 ? MIB(1800) : MIB(1300), MIB(1300));
		check_eq(deficit(T0 + ms), 0);
	}
	look(T0 + ms, MIB(1800), MIB(1300));
	expect_due(T0 + ms, WINDOW - 100, MIB(500));
}

TEST(policy_window_0_does_not_wait)
{
	setup_new(0);
	look(T0, MIB(1000), 0);
	check_eq(hold(), 0);
	check_eq(deficit(T0), MIB(1000));
	look(T0 + 1, MIB(10), 0);
	check_eq(deficit(T0 + 1), MIB(10));
	wake(T0 + 2, MIB(2000), MIB(10));
	check_eq(deficit(T0 + 2), MIB(1990));
	look(T0 + 2, MIB(10) + 1, MIB(10));
	check_eq(deficit(T0 + 2), 1);
	check_eq(wait(T0 + 2), 0);
}

/* As for a flush: then the user's own window counts again, with no harm done. */
TEST(policy_window_0_for_a_moment)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1500), MIB(1000));
	limits.window_ms = 0;
	wake(T0 + 10, MIB(1500), MIB(1000));
	check_eq(deficit(T0 + 10), MIB(500));
	pass(T0 + 10, MIB(500));
	look(T0 + 10, MIB(1500), MIB(1500));
	check_eq(deficit(T0 + 10), 0);
	limits.window_ms = WINDOW;
	check_eq(wait(T0 + 10), POLICY_NEVER);
	wake(T0 + 300, MIB(1700), MIB(1500));
	expect_due(T0 + 300, WINDOW, MIB(200));
}

/* Another window counts at once, for what was freed before as well. */
TEST(policy_window_may_change)
{
	setup(60000, MIB(1000), MIB(1000));
	wake(T0, MIB(1500), MIB(1000));
	check_eq(deficit(T0 + 59999), 0);
	limits.window_ms = WINDOW;
	expect_due(T0, WINDOW, MIB(500));
	limits.window_ms = 60000;
	expect_due(T0, 60000, MIB(500));
}

/*
 * Falls.
 */
static void fall_to(u64 now, u64 free)
{
	look(now, free, free < policy.treated ? free : policy.treated);
}

TEST(policy_fall_within_the_slack_is_noise)
{
	setup(WINDOW, MIB(1000), MIB(900));
	fall_to(T0 + 100, MIB(1000) - SLACK);
	check_eq(policy.quiet_since, T0 - LONG_AGO);
	fall_to(T0 + 200, MIB(1000) - SLACK - 1);
	check_eq(policy.quiet_since, T0 + 200);
}

/* A fall counts from the top, be it slow. */
TEST(policy_slow_fall_adds_up)
{
	setup(WINDOW, MIB(1000), MIB(900));
	look(T0 + 100, MIB(1050), MIB(900));
	for (unsigned int i = 1; i <= 16; i++)
		fall_to(T0 + 100 + i, MIB(1050) - MIB(i));
	check_eq(policy.quiet_since, T0 - LONG_AGO);
	fall_to(T0 + 200, MIB(1050) - SLACK - 1);
	check_eq(policy.quiet_since, T0 + 200);
}

/* What is left is the new top, and a rise lifts it. */
TEST(policy_fall_sets_a_new_top)
{
	setup(WINDOW, MIB(1000), MIB(900));
	fall_to(T0 + 100, MIB(500));
	fall_to(T0 + 200, MIB(500) - SLACK);
	check_eq(policy.quiet_since, T0 + 100);
	look(T0 + 300, MIB(600), MIB(400));
	fall_to(T0 + 400, MIB(600) - SLACK);
	check_eq(policy.quiet_since, T0 + 100);
	fall_to(T0 + 500, MIB(600) - SLACK - 1);
	check_eq(policy.quiet_since, T0 + 500);
}

/* One hold after it what is left is as good as any. */
TEST(policy_fall_restarts_the_hold)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1500), MIB(1000));
	fall_to(T0 + WINDOW - 1, MIB(1200));
	expect_due(T0 + WINDOW - 1, WINDOW, MIB(200));
}

TEST(policy_rise_does_not_restart_the_hold)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1500), MIB(1000));
	look(T0 + WINDOW - 1, MIB(4000), MIB(1000));
	expect_due(T0, WINDOW, MIB(500));
	expect_due(T0 + 2 * WINDOW - 1, 0, MIB(3000));
}

/* While it falls now and then, four holds back are looked at. */
TEST(policy_fall_looks_four_holds_back)
{
	const u64 rose = T0 + 200;

	setup(WINDOW, MIB(1000), MIB(600));
	fall_to(T0 + 100, MIB(700));
	for (u64 at = rose; at <= rose + SPAN * WINDOW; at += 100) {
		look(at, (at - T0) / 100 % 8 ? MIB(1500) : MIB(1400), MIB(600));
		check_note("at %llu ms", at - T0);
		check_eq(deficit(at), at < rose + SPAN * WINDOW ? MIB(100) : MIB(800));
	}
}

/* Nor are those forgotten for a free in between, after which nobody had looked. */
TEST(policy_request_forgets_no_fall)
{
	setup(WINDOW, MIB(1000), MIB(600));
	fall_to(T0 + 100, MIB(700));
	look(T0 + 200, MIB(1500), MIB(700));
	wake(T0 + 1000, MIB(1500), MIB(900));
	check_eq(surplus(T0 + 1000), MIB(700));
	fall_to(T0 + 1100, MIB(1400));
	check_eq(surplus(T0 + 1100 + WINDOW - 1), MIB(700));
}

/*
 * Little: a hold is not enough for what is less than the slack.
 */
TEST(policy_little_is_due_after_four_holds)
{
	static const u64 little[] = { 1, 512, SLACK - 1 };

	for (unsigned int i = 0; i < ARRAY_LEN(little); i++) {
		setup(WINDOW, MIB(1000), MIB(1000));
		wake(T0, MIB(1000) + little[i], MIB(1000));
		expect_due(T0, SPAN * WINDOW, little[i]);
		check_eq(surplus(T0 + WINDOW), MIB(1000) + little[i]);
	}
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1000) + SLACK, MIB(1000));
	expect_due(T0, WINDOW, SLACK);
}

/* A guest that churns keeps what a look missed of how far its memory fell. */
TEST(policy_little_is_left_to_a_churn)
{
	u64 now, last = 0;

	setup(WINDOW, MIB(1000), MIB(488));
	for (now = T0; now < T0 + MINUTE; now += 600) {
		look(now, MIB(490), MIB(488));
		check_eq(deficit(now), 0);
		look(now + 300, MIB(1000), MIB(488));
		check_eq(deficit(now + 300), 0);
		last = now + 600;
	}
	look(last, MIB(490), MIB(488));
	expect_due(last, SPAN * WINDOW, MIB(2));
}

/* Twice too little is enough. */
TEST(policy_little_adds_up)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1010), MIB(1000));
	look(T0 + 500, MIB(1020), MIB(1000));
	expect_due(T0, 500 + WINDOW, MIB(20));
}

/*
 * Pressure.
 */
TEST(policy_pressure_restarts_the_hold)
{
	setup(WINDOW, MIB(1000), MIB(500));
	check_eq(deficit(T0), MIB(500));
	policy_press(&policy, T0 + 10);
	check_eq(surplus(T0 + 10), 0);
	look(T0 + 11, MIB(1000), MIB(500));
	expect_due(T0 + 10, WINDOW, MIB(500));
}

/* As long as it lasts, and in the middle of a churn. */
TEST(policy_pressure_lasts)
{
	setup(WINDOW, MIB(1000), MIB(500));
	for (unsigned int ms = 0; ms < 5 * WINDOW; ms += 125) {
		look(T0 + ms, MIB(1000), MIB(500));
		policy_press(&policy, T0 + ms);
		check_eq(deficit(T0 + ms), 0);
		check(wait(T0 + ms) && wait(T0 + ms) <= 125);
	}
	look(T0 + 5 * WINDOW, MIB(800), MIB(500));
	check_eq(policy.quiet_since, T0 + 5 * WINDOW);
	expect_due(T0 + 5 * WINDOW, WINDOW, MIB(300));
}

/* A release before it has no followers after it. */
TEST(policy_pressure_ends_what_follows)
{
	setup(WINDOW, MIB(1000), 0);
	pass(T0, MIB(1000));
	look(T0 + 10, MIB(1100), MIB(1000));
	policy_press(&policy, T0 + 20);
	check_eq(policy.lows.nr, 1);
	expect_due(T0 + 20, WINDOW, MIB(100));
}

/*
 * What was treated when memory was freed may be found out later.
 */
TEST(policy_learn_counts_from_the_free)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	/* 400 MiB were taken and freed again, and nobody knows. */
	wake(T0, MIB(1000), MIB(1000));
	look(T0 + 900, MIB(1000), MIB(600));
	check_eq(deficit(T0 + 900), MIB(400));
	policy_learn(&policy, T0);
	check_eq(deficit(T0 + 900), 0);
	check_eq(deficit(T0 + WINDOW - 1), 0);
	check_eq(wait(T0 + WINDOW - 1), 1);
	check_eq(deficit(T0 + WINDOW), MIB(400));
}

/* It is one more low: what fell later counts, and what was known to be lower. */
TEST(policy_learn_is_a_low_like_others)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1000), MIB(1000));
	look(T0 + 300, MIB(500), MIB(500));
	look(T0 + 400, MIB(1000), MIB(500));
	policy_learn(&policy, T0);
	check_eq(surplus(T0 + 300 + WINDOW), MIB(500));
	check_eq(surplus(T0 + 400 + WINDOW), MIB(1000));
	/* Over four holds as well, if memory fell. */
	look(T0 + 2000, MIB(900), MIB(500));
	check_eq(surplus(T0 + 2000), MIB(500));
	check_eq(surplus(T0 + 2000 + WINDOW), MIB(900));
	/* And of the balloon's. */
	setup(WINDOW, MIB(1000), MIB(600));
	policy_learn(&policy, T0);
	policy.given = 0;
	const struct policy_level level = {
		.free = MIB(900), .blocks = MIB(900), .treated = MIB(600), .given = MIB(100),
	};
	policy_sample(&policy, T0 + 10, &level, &limits);
	check_eq(surplus(T0 + 10), MIB(500));
}

/* The clock may be young, and to learn nothing is no low. Who flushes forgets the rest. */
TEST(policy_learn_of_nothing_is_none)
{
	setup_new(WINDOW);
	policy_init(&policy, 1, SLACK);
	look(2, MIB(1000), 0);
	limits.window_ms = 0;
	look(3, MIB(1000), 0);
	policy_learn(&policy, 3);
	look(4, MIB(1000), 0);
	pass(4, MIB(1000));
	limits.window_ms = WINDOW;
	look(5, MIB(1000), MIB(1000));
	check_eq(surplus(5), MIB(1000));
	check_eq(wait(5), POLICY_NEVER);
}
