// SPDX-License-Identifier: GPL-2.0
/* The policy: how much there is to treat, and when to look again. */
#include "policy_fixture.h"

/*
 * What is available: in large blocks, above the reserve, up to the cap.
 */
TEST(policy_available_is_the_least_of_three)
{
	static const struct {
		u64 free, blocks, reserve, cap, available;
	} rows[] = {
		{ MIB(1000), MIB(900), 0, TIB(64), MIB(900) },
		{ MIB(1000), MIB(900), MIB(50), TIB(64), MIB(900) },
		{ MIB(1000), MIB(900), MIB(100), TIB(64), MIB(900) },
		{ MIB(1000), MIB(900), MIB(100) + 1, TIB(64), MIB(900) - 1 },
		{ MIB(1000), MIB(900), MIB(999), TIB(64), MIB(1) },
		{ MIB(1000), MIB(900), MIB(1000), TIB(64), 0 },
		{ MIB(1000), MIB(900), MIB(1001), TIB(64), 0 },
		{ MIB(1000), MIB(900), TIB(64), TIB(64), 0 },
		{ MIB(1000), MIB(900), 0, MIB(900), MIB(900) },
		{ MIB(1000), MIB(900), 0, MIB(899), MIB(899) },
		{ MIB(1000), MIB(900), MIB(200), MIB(700), MIB(700) },
		{ MIB(1000), MIB(900), 0, 0, 0 },
		{ 0, 0, MIB(100), TIB(64), 0 },
		{ TIB(64), TIB(64), TIB(1), TIB(64), TIB(63) },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_level level = {
			.free = rows[i].free, .blocks = rows[i].blocks,
		};

		limits.reserve = rows[i].reserve;
		limits.cap = rows[i].cap;
		check_note("row %u", i);
		check_eq(policy_available(&level, &limits), rows[i].available);
	}
}

/* The reserve is as good as used. If there is less of it, the rest was just freed. */
TEST(policy_reserve_is_left_alone)
{
	setup(WINDOW, MIB(1000), MIB(500));
	limits.reserve = MIB(300);
	look(T0 + 1, MIB(1000), MIB(500));
	check_eq(deficit(T0 + 1), MIB(200));
	pass(T0 + 1, MIB(200));
	check_eq(deficit(T0 + 1), 0);
	check_eq(wait(T0 + 1), POLICY_NEVER);
	limits.reserve = 0;
	look(T0 + 6 * WINDOW, MIB(1000), MIB(700));
	check_eq(deficit(T0 + 7 * WINDOW - 1), 0);
	check_eq(deficit(T0 + 7 * WINDOW), MIB(300));
}

/* More of it than there is free is nothing to treat, and nothing to wait for. */
TEST(policy_reserve_may_exceed_what_is_treated)
{
	setup(WINDOW, MIB(1000), MIB(500));
	limits.reserve = MIB(700);
	look(T0 + 1, MIB(1000), MIB(500));
	check_eq(surplus(T0 + 1), MIB(300));
	check_eq(deficit(T0 + 1), 0);
	check_eq(wait(T0 + 1), POLICY_NEVER);
	check_eq(watch(T0 + 1), POLICY_NEVER);
}

TEST(policy_cap_is_all_that_is_treated)
{
	setup(WINDOW, MIB(1000), MIB(500));
	limits.cap = MIB(600);
	look(T0 + 1, MIB(1000), MIB(500));
	check_eq(deficit(T0 + 1), MIB(100));
	look(T0 + 2, MIB(1000), MIB(600));
	check_eq(deficit(T0 + 2), 0);
	check_eq(wait(T0 + 2), POLICY_NEVER);
	limits.cap = MIB(550);
	look(T0 + 3, MIB(1000), MIB(600));
	check_eq(deficit(T0 + 3), 0);
	check_eq(wait(T0 + 3), POLICY_NEVER);
}

/*
 * When to look again.
 */
TEST(policy_wait_is_a_part_of_the_hold)
{
	static const struct {
		unsigned int window, wait;
	} rows[] = {
		{ 0, 0 }, { 1, 1 }, { 9, 9 }, { 10, LOOK_MIN }, { 79, LOOK_MIN },
		{ 80, 10 }, { 88, 11 }, { 903, 112 }, { 904, LOOK_MAX },
		{ WINDOW, LOOK_MAX }, { 60000, LOOK_MAX },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(rows); i++) {
		check_note("window %u", rows[i].window);
		setup(rows[i].window, MIB(1000), MIB(1000));
		wake(T0, MIB(1500), MIB(1000));
		check_eq(wait(T0), rows[i].wait);
	}
}

/* The last look before something is due comes when that is. */
TEST(policy_wait_ends_when_a_free_is_due)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1500), MIB(1000));
	for (unsigned int ms = 0; ms < WINDOW; ms++) {
		unsigned int left = WINDOW - ms;

		check_note("after %u ms", ms);
		check_eq(wait(T0 + ms), left < LOOK_MAX ? left : LOOK_MAX);
	}
	check_eq(wait(T0 + WINDOW), 0);
}

/* Soon after a fall, which may go on, and then less and less so. */
TEST(policy_wait_is_short_after_a_fall)
{
	const u64 fell = T0 + 500;

	setup(WINDOW, MIB(1000), MIB(900));
	wake(T0, MIB(1500), MIB(900));
	look(fell, MIB(1400), MIB(900));
	check_eq(wait(fell), LOOK_MIN);
	check_eq(wait(fell + 10), 10);
	check_eq(wait(fell + 40), 40);
	check_eq(wait(fell + LOOK_MAX - 1), LOOK_MAX - 1);
	check_eq(wait(fell + LOOK_MAX), LOOK_MAX);
	check_eq(wait(fell + WINDOW / 2), LOOK_MAX);
	check_eq(wait(fell + WINDOW - 1), 1);
	check_eq(wait(fell + WINDOW), 0);
}

TEST(policy_wait_is_never_if_nothing_is_raw)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	check_eq(wait(T0), POLICY_NEVER);
	look(T0 + 1, MIB(900), MIB(900));
	check_eq(wait(T0 + 1), POLICY_NEVER);
	look(T0 + 2, 0, 0);
	check_eq(wait(T0 + 2), POLICY_NEVER);
}

/* Little that is raw keeps nobody awake: it is looked at once a hold. */
TEST(policy_wait_is_never_for_little)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	wake(T0, MIB(1000) + SLACK - 1, MIB(1000));
	check_eq(wait(T0), POLICY_NEVER);
	check_eq(watch(T0), WINDOW);
	wake(T0, MIB(1000) + SLACK, MIB(1000));
	check_eq(wait(T0), LOOK_MAX);
	/* Unless the guest was seen to take something. */
	wake(T0 + 10, MIB(1100), MIB(1000));
	look(T0 + 20, MIB(1000) + 1, MIB(1000));
	check_eq(wait(T0 + 20), LOOK_MIN);
	check_eq(wait(T0 + 20 + WINDOW), POLICY_NEVER);
}

/* Once a hold for the little that is raw, and twice in the one after a release. */
TEST(policy_watch_is_a_hold)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	check_eq(watch(T0), POLICY_NEVER);
	wake(T0, MIB(1000) + 1, MIB(1000));
	check_eq(watch(T0), WINDOW);
	policy.strikes = 3;
	check_eq(watch(T0), 4 * WINDOW);
	limits.window_ms = 0;
	check_eq(watch(T0), LOOK_MIN);
}

TEST(policy_watch_is_half_a_hold_after_a_release)
{
	setup(WINDOW, MIB(1000), 0);
	pass(T0, MIB(1000));
	check_eq(watch(T0), WINDOW / 2);
	check_eq(watch(T0 + WINDOW - 1), WINDOW / 2);
	check_eq(watch(T0 + WINDOW), POLICY_NEVER);
	limits.window_ms = 2 * LOOK_MIN - 1;
	check_eq(watch(T0), LOOK_MIN);
}

/* A user may ask for a lot. */
TEST(policy_wait_of_64_tib)
{
	setup(WINDOW, TIB(64), 0);
	check_eq(deficit(T0), TIB(64));
	pass(T0, TIB(63));
	check_eq(deficit(T0), TIB(1));
	look(T0 + 1, TIB(63), TIB(63));
	wake(T0 + 2, TIB(64), TIB(63));
	check_eq(deficit(T0 + 1 + WINDOW), 0);
	check_eq(deficit(T0 + 2 + WINDOW), TIB(1));
	check_eq(wait(T0 + 2), LOOK_MIN);
}

/*
 * A pass that could do nothing.
 */
TEST(policy_refused_is_not_asked_for_again)
{
	setup(WINDOW, MIB(1000), MIB(500));
	policy_passed(&policy, T0, 0, &limits);
	check_eq(policy.refused, MIB(500));
	check_eq(deficit(T0), 0);
	check_eq(wait(T0), POLICY_NEVER);
	check_eq(watch(T0), POLICY_NEVER);
	look(T0 + 10 * WINDOW, MIB(1000), MIB(500));
	check_eq(wait(T0 + 10 * WINDOW), POLICY_NEVER);
	/* Less of it is not worth another try either. */
	look(T0 + 11 * WINDOW, MIB(900), MIB(500));
	check_eq(wait(T0 + 12 * WINDOW), POLICY_NEVER);
}

/* More is, once it was free for a hold. */
TEST(policy_refused_and_more_is_asked_for)
{
	setup(WINDOW, MIB(1000), MIB(500));
	policy_passed(&policy, T0, 0, &limits);
	look(T0 + 1, MIB(1000) + SLACK, MIB(500));
	check_eq(deficit(T0 + WINDOW), 0);
	check_eq(wait(T0 + 1), LOOK_MAX);
	check_eq(deficit(T0 + 1 + WINDOW), MIB(500) + SLACK);
}

/* One that treated something may go on, and so may one after a free. */
TEST(policy_refused_until_something_changes)
{
	setup(WINDOW, MIB(1000), MIB(500));
	policy_passed(&policy, T0, 0, &limits);
	pass(T0, MIB(100));
	check_eq(policy.refused, 0);
	check_eq(deficit(T0), MIB(400));

	setup(WINDOW, MIB(1000), MIB(500));
	policy_passed(&policy, T0, 0, &limits);
	wake(T0 + 10, MIB(1000), MIB(500));
	check_eq(policy.refused, 0);
	check_eq(deficit(T0 + 10 + WINDOW), MIB(500));
}

/*
 * A pass that takes what it gets.
 */
TEST(policy_coarse_leaves_half_of_the_swing)
{
	setup(WINDOW, MIB(1000), MIB(500));
	limits.coarse = true;
	look(T0 + 10, MIB(1000), MIB(500));
	check_eq(deficit(T0 + 10), MIB(500));
	/* Now it falls and rises by 400 MiB, of which 300 stay free. */
	look(T0 + 20, MIB(600), MIB(300));
	look(T0 + 30, MIB(1000), MIB(300));
	check_eq(surplus(T0 + 30), MIB(600));
	check_eq(deficit(T0 + 30), MIB(300));
	look(T0 + 40, MIB(1000), MIB(400));
	check_eq(deficit(T0 + 40), 0);
	limits.coarse = false;
	check_eq(deficit(T0 + 40), MIB(200));
	limits.coarse = true;
	check_eq(deficit(T0 + 30 + WINDOW), MIB(600));
}

/*
 * What it once fell by says nothing of a guest that has gone up and down by less since.
 */
TEST(policy_coarse_forgets_an_old_swing)
{
	u64 now = T0;
	bool up = true;

	setup(WINDOW, MIB(10000), MIB(500));
	limits.coarse = true;
	/* A load comes, and after a while goes; small requests do all the time. */
	for (; now < T0 + 30 * WINDOW; now += LOOK_MAX, up = !up)
		look(now, (now < T0 + 12 * WINDOW ? MIB(2000) : MIB(5000)) - (up ? 0 : MIB(100)),
		     MIB(1900));
	check_eq(surplus(now), MIB(4900));
	check_eq(deficit(now), MIB(3000));
	/* And of that no more stays raw than half of what they take. */
	look(now, MIB(5000), MIB(4900) - MIB(51));
	check_eq(deficit(now), MIB(51));
	look(now, MIB(5000), MIB(4900) - MIB(50));
	check_eq(deficit(now), 0);
}

/* What fell within the last span still counts, whenever that began. */
TEST(policy_coarse_remembers_a_span)
{
	for (unsigned int begin = 0; begin < 2 * SPAN * WINDOW; begin += 97) {
		u64 fell = T0 + 10 + begin, now = T0;

		setup(WINDOW, MIB(1000), MIB(100));
		limits.coarse = true;
		for (; now < fell; now += LOOK_MIN)
			look(now, MIB(1000) - (now / LOOK_MIN % 2 ? MIB(20) : 0), MIB(100));
		look(now, MIB(600), MIB(500));
		for (; now < fell + (SPAN - 1) * WINDOW; now += LOOK_MAX)
			look(now, MIB(600) - (now / LOOK_MAX % 2 ? MIB(20) : 0), MIB(450));
		check_note("fell after %u ms", begin);
		check_eq(deficit(now), 0);
	}
}
