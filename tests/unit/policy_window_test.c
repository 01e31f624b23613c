// SPDX-License-Identifier: GPL-2.0
/* The policy: its window, its pace, the reserve and the surplus. */
#include <linux/limits.h>
#include "policy_fixture.h"

TEST(policy_init_has_no_history)
{
	setup(WINDOW);
	check_eq(policy.slack, SLACK);
	check_eq(policy.free, 0);
	check_eq(policy.peak, 0);
	check_eq(policy.low, U64_MAX);
	check_eq(policy.quiet_since, 0);
	check_eq(policy.asked, 0);
	check_eq(policy.released, 0);
	check(!policy.guessed);
	check_eq(policy.owed, 0);
	check_eq(policy.owed_at, 0);
	check_eq(policy.strikes, 0);
	check_eq(hold(), WINDOW);
}

/*
 * The window.
 */
TEST(policy_window_counts_down)
{
	unsigned int ms;

	setup(WINDOW);
	request(T0, MIB(100));
	for (ms = 0; ms <= WINDOW; ms++) {
		sample(T0 + ms, MIB(100));
		check_eq(wait(T0 + ms), WINDOW - ms);
	}
	check_eq(wait(T0 + WINDOW + 1), 0);
	check_eq(wait(T0 + 100 * WINDOW), 0);
}

/* Time runs whether or not anybody looks at free memory meanwhile. */
TEST(policy_window_needs_no_samples)
{
	setup(WINDOW);
	request(T0, MIB(100));
	check_eq(wait(T0 + WINDOW - 1), 1);
	check_eq(wait(T0 + WINDOW), 0);
}

TEST(policy_dip_restarts_the_window)
{
	setup(WINDOW);
	request(T0, MIB(100));
	sample(T0 + 500, MIB(50));
	check_eq(wait(T0 + 500), WINDOW);
	check_eq(wait(T0 + 500 + WINDOW - 1), 1);
	check_eq(wait(T0 + 500 + WINDOW), 0);
}

TEST(policy_rise_does_not_restart_the_window)
{
	setup(WINDOW);
	request(T0, MIB(100));
	sample(T0 + 500, MIB(3000));
	sample(T0 + 999, MIB(3100));
	check_eq(wait(T0 + WINDOW - 1), 1);
	check_eq(wait(T0 + WINDOW), 0);
}

TEST(policy_slack_is_ignored)
{
	setup(WINDOW);
	request(T0, MIB(100));
	sample(T0 + 500, MIB(100) - SLACK);
	check_eq(wait(T0 + WINDOW), 0);
	sample(T0 + 600, MIB(100) - SLACK - 1);
	check_eq(wait(T0 + 600), WINDOW);
}

/* A fall counts from the top, be it slow, and be it later than the request. */
TEST(policy_slow_fall_adds_up)
{
	setup(WINDOW);
	request(T0, MIB(100));
	sample(T0 + 100, MIB(200));
	sample(T0 + 200, MIB(190));
	check_eq(wait(T0 + 200), WINDOW - 200);
	sample(T0 + 300, MIB(184));
	check_eq(wait(T0 + 300), WINDOW - 300);
	sample(T0 + 400, MIB(183));
	check_eq(wait(T0 + 400), WINDOW);
}

/* After a fall what is left is the new top. */
TEST(policy_fall_sets_a_new_top)
{
	setup(WINDOW);
	request(T0, MIB(100));
	sample(T0 + 100, MIB(50));
	sample(T0 + 200, MIB(50) - SLACK);
	check_eq(wait(T0 + 200), WINDOW - 100);
	sample(T0 + 300, MIB(50) - SLACK - 1);
	check_eq(wait(T0 + 300), WINDOW);
}

/* A request begins anew: its own amount is the top, its time the first one. */
TEST(policy_request_begins_anew)
{
	setup(WINDOW);
	request(T0, MIB(1000));
	passed(T0 + 1000, MIB(500));
	request(T0 + 90000, MIB(200));
	check_eq(wait(T0 + 90000), WINDOW);
	sample(T0 + 90100, MIB(200) - SLACK);
	check_eq(wait(T0 + 90100), WINDOW - 100);
	/* And with more than before, and then less but within the slack. */
	request(T0 + 95000, MIB(300));
	check_eq(wait(T0 + 95000), WINDOW);
	request(T0 + 97000, MIB(300) - SLACK);
	sample(T0 + 97100, MIB(300) - 2 * SLACK);
	check_eq(wait(T0 + 97100), WINDOW - 100);
}

TEST(policy_window_0_never_waits)
{
	setup(0);
	request(T0, MIB(100));
	check_eq(wait(T0), 0);
	sample(T0 + 10, MIB(10));
	check_eq(wait(T0 + 10), 0);
	passed(T0 + 10, MIB(10));
	check_eq(wait(T0 + 10), 0);
	sample(T0 + 11, MIB(500));
	sample(T0 + 12, 1);
	check_eq(hold(), 0);
	check_eq(wait(T0 + 12), 0);
}

/* A window longer than the pace is kept by a guest that rests. */
TEST(policy_window_60000_is_kept)
{
	setup(60000);
	request(T0, MIB(100));
	check_eq(wait(T0), 60000);
	check_eq(wait(T0 + PACE), 60000 - PACE);
	check_eq(wait(T0 + 59999), 1);
	check_eq(wait(T0 + 60000), 0);
}

/* Another window counts at once, also for a pass that waits already. */
TEST(policy_window_may_change)
{
	setup(60000);
	request(T0, MIB(100));
	limits.window_ms = WINDOW;
	check_eq(wait(T0 + 400), WINDOW - 400);
	limits.window_ms = 60000;
	check_eq(wait(T0 + 400), 60000 - 400);
	limits.window_ms = 0;
	check_eq(wait(T0 + 400), 0);
}

/*
 * The pace of a guest that never rests.
 */
TEST(policy_pace_is_two_windows_if_those_are_longer)
{
	static const struct {
		unsigned int window;
		unsigned int pace;
	} rows[] = {
		{ 1, PACE }, { 200, PACE }, { 999, PACE }, { 1000, PACE },
		{ 1001, 2002 }, { 5000, 10000 }, { 60000, 120000 },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(rows); i++) {
		u64 turn = T0 + rows[i].pace;

		check_note("window %u", rows[i].window);
		setup(rows[i].window);
		request(T0, MIB(900));
		sample(turn - 1, MIB(100));
		check_eq(wait(turn - 1), 1);
		check_eq(wait(turn), 0);
	}
}

/* Up and down, always too soon for the window, from @from until before @to. */
static void churn(u64 from, u64 to)
{
	for (u64 now = from; now < to; now += 100)
		sample(now, now / 100 % 2 ? MIB(100) : MIB(900));
}

TEST(policy_churn_waits_for_the_pace)
{
	setup(WINDOW);
	request(T0, MIB(100));
	churn(T0, T0 + PACE);
	check_eq(wait(T0 + PACE - 1), 1);
	check_eq(wait(T0 + PACE), 0);
}

TEST(policy_churn_waits_for_the_pace_from_pass_to_pass)
{
	u64 last = T0 + PACE;

	setup(WINDOW);
	request(T0, MIB(100));
	churn(T0, last);
	for (unsigned int i = 0; i < 20; i++) {
		/* The pass took a while; the pace counts from its end. */
		last += 30;
		passed(last, MIB(50));
		check_note("pass %u", i);
		churn(last, last + PACE);
		check_eq(wait(last + PACE - 1), 1);
		check_eq(wait(last + PACE), 0);
		last += PACE;
	}
}

/* What comes first, the end of the window or the pace. */
TEST(policy_wait_is_the_shorter_one)
{
	setup(WINDOW);
	request(T0, MIB(900));
	sample(T0 + 500, MIB(100));
	check_eq(wait(T0 + 500), WINDOW);
	sample(T0 + 600, MIB(900));
	sample(T0 + 1400, MIB(100));
	check_eq(wait(T0 + 1400), PACE - 1400);
}

/* A guest that came to rest goes on at once, pass after pass. */
TEST(policy_rest_allows_pass_after_pass)
{
	setup(WINDOW);
	request(T0, MIB(3000));
	for (unsigned int i = 0; i < 10; i++) {
		u64 now = T0 + WINDOW + 5 * i;

		sample(now, MIB(3000));
		check_eq(wait(now), 0);
		passed(now, MIB(100));
	}
}

/* Even a pass that found nothing starts the pace again. */
TEST(policy_empty_pass_counts_for_the_pace)
{
	setup(WINDOW);
	request(T0, MIB(900));
	sample(T0 + PACE, MIB(100));
	check_eq(wait(T0 + PACE), 0);
	passed(T0 + PACE, 0);
	churn(T0 + PACE, T0 + 2 * PACE);
	check_eq(wait(T0 + 2 * PACE - 1), 1);
	check_eq(wait(T0 + 2 * PACE), 0);
}

/*
 * The reserve.
 */
TEST(policy_reserve_is_left_alone)
{
	setup(WINDOW);
	limits.reserve = MIB(100);
	request(T0, MIB(100) - 1);
	check_eq(wait(T0 + WINDOW), POLICY_NEVER);
	sample(T0 + WINDOW, MIB(100));
	check_eq(wait(T0 + WINDOW), POLICY_NEVER);
	sample(T0 + WINDOW, MIB(100) + 1);
	check_eq(wait(T0 + WINDOW), 0);
	check_eq(wait(T0), WINDOW);
	/* Free memory now decides, not what there was. */
	sample(T0 + WINDOW + 1, MIB(99));
	check_eq(wait(T0 + WINDOW + 1), POLICY_NEVER);
}

TEST(policy_no_free_memory_is_never)
{
	setup(WINDOW);
	request(T0, 0);
	check_eq(wait(T0 + WINDOW), POLICY_NEVER);
	sample(T0 + WINDOW, 1);
	check_eq(wait(T0 + WINDOW), 0);
}

/* Whatever has to be paid for: a guest in need is not told to come back. */
TEST(policy_reserve_comes_before_the_rate)
{
	setup(WINDOW);
	limits.reserve = MIB(100);
	limits.rate = MIB(1);
	request(T0, MIB(500));
	passed(T0 + WINDOW, MIB(1000));
	sample(T0 + WINDOW, MIB(50));
	check_eq(wait(T0 + WINDOW), POLICY_NEVER);
}

/*
 * The surplus.
 */
TEST(policy_surplus_without_a_request)
{
	setup(WINDOW);
	limits.reserve = MIB(100);
	check_eq(surplus(MIB(300)), MIB(200));
	check_eq(surplus(MIB(100) + 1), 1);
	check_eq(surplus(MIB(100)), 0);
	check_eq(surplus(MIB(10)), 0);
	limits.reserve = 0;
	check_eq(surplus(MIB(300)), MIB(300));
	check_eq(surplus(0), 0);
}

TEST(policy_surplus_is_the_least_since_the_request)
{
	setup(WINDOW);
	limits.reserve = MIB(100);
	/* What there was before it does not matter. */
	request(T0, MIB(150));
	request(T0 + 1, MIB(500));
	check_eq(surplus(MIB(900)), MIB(400));
	sample(T0 + 10, MIB(900));
	check_eq(surplus(MIB(900)), MIB(400));
	sample(T0 + 20, MIB(300));
	sample(T0 + 30, MIB(800));
	check_eq(surplus(MIB(800)), MIB(200));
	sample(T0 + 40, MIB(800));
	check_eq(surplus(MIB(800)), MIB(200));
	/* Less than at any sample is still what there is. */
	check_eq(surplus(MIB(250)), MIB(150));
	check_eq(surplus(MIB(50)), 0);
	/* A fall within the slack is no dip, but it is less. */
	sample(T0 + 50, MIB(299));
	check_eq(surplus(MIB(800)), MIB(199));
}

/* Then none waits, whether or not the pass found something. */
TEST(policy_surplus_after_a_pass)
{
	setup(WINDOW);
	request(T0, MIB(500));
	passed(T0 + WINDOW, MIB(100));
	check_eq(surplus(MIB(900)), MIB(900));
	request(T0 + 5000, MIB(500));
	passed(T0 + 6000, 0);
	check_eq(surplus(MIB(900)), MIB(900));
}

/*
 * More is freed on top of a release that lasts: an eighth of the hold is enough,
 * but not after the release was judged, and not if anything was taken.
 */
static void follow(u64 after, u64 free)
{
	setup(WINDOW);
	request(T0, MIB(1000));
	sample(T0, MIB(3000));
	passed(T0 + WINDOW, MIB(2000));
	request(T0 + WINDOW + after, free);
}

TEST(policy_follow_on_waits_an_eighth)
{
	follow(500, MIB(3000));
	check_eq(wait(T0 + WINDOW + 500), WINDOW / 8);
	follow(4 * WINDOW - 1, MIB(3000));
	check_eq(wait(T0 + 5 * WINDOW - 1), WINDOW / 8);
	follow(4 * WINDOW, MIB(3000));
	check_eq(wait(T0 + 5 * WINDOW), WINDOW);
}

TEST(policy_follow_on_after_a_fall_waits_in_full)
{
	follow(500, MIB(2900));
	check_eq(wait(T0 + WINDOW + 500), WINDOW);
	follow(500, MIB(3000));
	sample(T0 + WINDOW + 600, MIB(2900));
	check_eq(wait(T0 + WINDOW + 600), WINDOW);
}

TEST(policy_follow_on_needs_a_guess)
{
	setup(WINDOW);
	request(T0, MIB(1000));
	sample(T0, MIB(3000));
	passed(T0 + 10, MIB(100));
	request(T0 + 20, MIB(3000));
	check_eq(wait(T0 + 20), WINDOW);
}

TEST(policy_follow_on_ends_with_the_second_strike)
{
	follow(500, MIB(3000));
	policy.strikes = 1;
	request(T0 + WINDOW + 500, MIB(3000));
	check_eq(wait(T0 + WINDOW + 500), WINDOW / 8);
	policy.strikes = 2;
	request(T0 + WINDOW + 500, MIB(3000));
	check_eq(wait(T0 + WINDOW + 500), 2 * WINDOW);
}
