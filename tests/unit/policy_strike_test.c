// SPDX-License-Identifier: GPL-2.0
/* The policy: releases, those that were wrong, and what comes on top of one. */
#include "policy_fixture.h"

#define CHURN	MIB(500)

/*
 * A guest that rests frees CHURN, which is released as soon as that may be, is seen to
 * be free for @kept, and then not. Returns when.
 */
static u64 release(u64 now, u64 kept)
{
	wake(now, MIB(1000) + CHURN, MIB(1000));
	now += hold();
	look(now, MIB(1000) + CHURN, MIB(1000));
	check_eq(deficit(now), CHURN);
	pass(now, CHURN);
	now += kept;
	look(now, MIB(1000) + CHURN, MIB(1000) + CHURN);
	look(now + 1, MIB(1000), MIB(1000));
	return now + 1;
}

static void setup_release(void)
{
	setup(WINDOW, MIB(1000), MIB(1000));
}

TEST(policy_wrong_releases_double_the_hold)
{
	static const unsigned int holds[] = { 1, 2, 4, 8, 8, 8 };
	u64 now = T0;

	setup_release();
	for (unsigned int i = 0; i < ARRAY_LEN(holds); i++) {
		now = release(now + LONG_AGO, 10);
		check_note("wrong release %u", i + 1);
		check_eq(hold(), holds[i] * WINDOW);
	}
	check_eq(policy.strikes, 4);
}

/* The first one may have been bad luck. */
TEST(policy_first_wrong_release_is_free)
{
	u64 now;

	setup_release();
	now = release(T0, 10);
	check_eq(policy.strikes, 1);
	check_eq(hold(), WINDOW);
	check_eq(policy.released, 0);
	wake(now + 10, MIB(1000) + CHURN, MIB(1000));
	check_eq(deficit(now + 10 + WINDOW - 1), 0);
	check_eq(deficit(now + 10 + WINDOW), CHURN);
}

TEST(policy_wrong_releases_lengthen_the_wait)
{
	u64 now = T0;

	setup_release();
	for (unsigned int i = 0; i < 4; i++)
		now = release(now + LONG_AGO, 10);
	wake(now + 10, MIB(1000) + CHURN, MIB(1000));
	check_eq(deficit(now + 10 + 8 * WINDOW - 1), 0);
	check_eq(deficit(now + 10 + 8 * WINDOW), CHURN);
	check_eq(watch(now), 8 * WINDOW);
}

TEST(policy_release_that_lasts_is_forgiveness)
{
	u64 now = T0;

	setup_release();
	for (unsigned int i = 0; i < 4; i++)
		now = release(now + LONG_AGO, 10);
	now = release(now + LONG_AGO, LONG_AGO);
	check_eq(policy.strikes, 0);
	check_eq(hold(), WINDOW);
	/* All of it: the count begins at one again. */
	release(now + LONG_AGO, 10);
	check_eq(policy.strikes, 1);
}

/* Who takes all of it is short of memory; that is no reason to forgive him. */
TEST(policy_regret_is_seen_under_pressure)
{
	setup(WINDOW, MIB(1000) + CHURN, MIB(1000));
	pass(T0, CHURN);
	look(T0 + WINDOW / 2, MIB(1000) + CHURN, MIB(1000) + CHURN);
	policy_press(&policy, T0 + WINDOW + 1);
	look(T0 + WINDOW + 1, MIB(1000), MIB(1000));
	check_eq(policy.strikes, 1);
}

/* As long as it had waited: a ms less is regretted, and the hold is what it was. */
TEST(policy_regret_is_exact)
{
	u64 now = T0;

	setup_release();
	now = release(now, WINDOW - 1);
	check_eq(policy.strikes, 1);
	now = release(now + LONG_AGO, WINDOW - 1);
	check_eq(policy.strikes, 2);
	now = release(now + LONG_AGO, 2 * WINDOW - 1);
	check_eq(policy.strikes, 3);
	now = release(now + LONG_AGO, 4 * WINDOW - 1);
	check_eq(policy.strikes, 4);
	now = release(now + LONG_AGO, 8 * WINDOW);
	check_eq(policy.strikes, 0);
	release(now + LONG_AGO, WINDOW);
	check_eq(policy.strikes, 0);
}

/* Nobody looks as long as nothing is freed, but the watch. */
TEST(policy_regret_is_seen_by_the_watch)
{
	static const struct {
		unsigned int taken_after, strikes;
	} rows[] = { { 1, 1 }, { WINDOW / 2, 1 }, { WINDOW - 1, 1 }, { WINDOW + 1, 0 } };

	for (unsigned int i = 0; i < ARRAY_LEN(rows); i++) {
		u64 taken = T0 + rows[i].taken_after;
		u64 now = T0;

		setup(WINDOW, MIB(1000) + CHURN, MIB(1000));
		pass(T0, CHURN);
		check_eq(wait(T0), POLICY_NEVER);
		while (watch(now) != POLICY_NEVER) {
			u64 left = (now += watch(now)) < taken ? CHURN : 0;

			look(now, MIB(1000) + left, MIB(1000) + left);
		}
		wake(now + MINUTE, MIB(1000) + CHURN, MIB(1000));
		check_note("taken after %u ms", rows[i].taken_after);
		check_eq(policy.strikes, rows[i].strikes);
	}
}

/* If it was not even that, it may have been at once. */
TEST(policy_regret_is_taken_for_granted)
{
	setup(WINDOW, MIB(1000) + CHURN, MIB(1000));
	pass(T0, CHURN);
	look(T0 + LONG_AGO, MIB(1000), MIB(1000));
	check_eq(policy.strikes, 1);
	check_eq(policy.released, 0);
}

/* Less than the slack is, and less than what may follow a release. */
TEST(policy_regret_of_little_is_none)
{
	static const u64 releases[] = { MIB(100), SLACK * PART, SLACK * PART + PART, CHURN };

	for (unsigned int i = 0; i < ARRAY_LEN(releases); i++) {
		u64 part = releases[i] / PART > SLACK ? releases[i] / PART : SLACK;
		u64 free = MIB(1000) + releases[i];

		setup_release();
		wake(T0, free, MIB(1000));
		look(T0 + WINDOW, free, MIB(1000));
		pass(T0 + WINDOW, releases[i]);
		look(T0 + WINDOW + 10, free - part, free - part);
		check_note("release of %llu pages", releases[i]);
		check_eq(policy.strikes, 0);
		look(T0 + WINDOW + 20, free - part - 1, free - part - 1);
		check_eq(policy.strikes, 1);
	}
}

/* What is taken of the raw memory is no regret. */
TEST(policy_regret_is_for_what_was_treated)
{
	setup(WINDOW, MIB(1000), 0);
	pass(T0, MIB(500));
	look(T0 + 10, MIB(500), MIB(500));
	check_eq(policy.strikes, 0);
	look(T0 + 20, MIB(400), MIB(400));
	check_eq(policy.strikes, 1);
}

/* One release is one guess, however often the guest comes for more. */
TEST(policy_release_is_judged_once)
{
	u64 now;

	setup_release();
	now = release(T0, 10);
	look(now + 10, MIB(900), MIB(900));
	look(now + 20, MIB(500), MIB(500));
	check_eq(policy.strikes, 1);
	look(now + LONG_AGO, MIB(400), MIB(400));
	check_eq(policy.strikes, 1);
}

/* Several passes in a row are one release, which lasts from the last of them. */
TEST(policy_release_of_several_passes)
{
	setup(WINDOW, MIB(1000), 0);
	pass(T0, MIB(300));
	pass(T0 + WINDOW / PART, MIB(300));
	check_eq(policy.release, MIB(600));
	check_eq(policy.mark, MIB(600));
	check_eq(policy.released, T0 + WINDOW / PART);
	pass(T0 + 2 * (WINDOW / PART) + 1, MIB(100));
	check_eq(policy.release, MIB(100));
	look(T0 + 3 * (WINDOW / PART), MIB(600), MIB(600));
	check_eq(policy.strikes, 1);
}

/* A pass that treats what is too little to notice is none. */
TEST(policy_release_of_little_is_none)
{
	setup(WINDOW, MIB(1000), MIB(500));
	pass(T0, SLACK - 1);
	check_eq(policy.released, 0);
	pass(T0 + 1, SLACK);
	check_eq(policy.released, T0 + 1);
	check_eq(policy.release, SLACK);
}

/* Nor is one that treated more than was free for long enough: it only follows. */
TEST(policy_release_is_what_was_free_for_long)
{
	for (unsigned int more = 0; more < 2; more++) {
		setup(WINDOW, MIB(1000), MIB(1000));
		wake(T0, MIB(1500), MIB(1000));
		pass(T0 + 10, SLACK + more);
		check_eq(policy.released, more ? 0 : T0 + 10);
	}
}

/* As it is when a user flushes, with wrong releases in mind. */
TEST(policy_window_0_forgives)
{
	u64 now = T0;

	setup_release();
	for (unsigned int i = 0; i < 3; i++)
		now = release(now + LONG_AGO, 10);
	check_eq(policy.strikes, 3);
	limits.window_ms = 0;
	check_eq(hold(), 0);
	wake(now + 10, MIB(1000) + CHURN, MIB(1000));
	pass(now + 10, CHURN);
	look(now + 10, MIB(1000) + CHURN, MIB(1000) + CHURN);
	limits.window_ms = WINDOW;
	check_eq(hold(), WINDOW);
}

/*
 * What follows a release: an eighth of it, after an eighth of the hold.
 */
static u64 setup_released(u64 pages)
{
	setup(WINDOW, MIB(1000) + pages, MIB(1000));
	pass(T0, pages);
	return MIB(1000) + pages;
}

TEST(policy_follower_waits_a_part_of_the_hold)
{
	u64 free = setup_released(MIB(800));

	look(T0 + 20, free, free);
	wake(T0 + 20, free + MIB(60), free);
	check_eq(deficit(T0 + 20 + WINDOW / PART - 1), 0);
	check_eq(deficit(T0 + 20 + WINDOW / PART), MIB(60));
	check_eq(wait(T0 + 20), LOOK_MAX);
}

/* Even a page is one: it is what is left in the lists of a processor. */
TEST(policy_follower_may_be_small)
{
	u64 free = setup_released(MIB(800));

	wake(T0 + 20, free + 1, free);
	check(wait(T0 + 20) <= LOOK_MAX);
	check_eq(deficit(T0 + 20 + WINDOW / PART), 1);
}

TEST(policy_follower_is_a_part_of_the_release)
{
	u64 free = setup_released(MIB(800));

	wake(T0 + 20, free + MIB(300), free);
	check_eq(deficit(T0 + 20 + WINDOW / PART), MIB(100));
	check_eq(deficit(T0 + 20 + WINDOW - 1), MIB(100));
	check_eq(deficit(T0 + 20 + WINDOW), MIB(300));
}

/* It adds up: what follows what follows has what is left of that part. */
TEST(policy_followers_are_a_part_of_the_release)
{
	u64 free = setup_released(MIB(800));
	u64 now = T0 + 20;

	for (unsigned int i = 0; i < 4; i++) {
		wake(now, free + MIB(20), free);
		now += WINDOW / PART;
		look(now, free + MIB(20), free);
		check_note("follower %u", i);
		check_eq(deficit(now), MIB(20));
		pass(now, deficit(now));
		free += MIB(20);
		now += 200;
	}
	wake(now, free + MIB(300), free);
	check_eq(deficit(now + WINDOW / PART), MIB(20));
}

TEST(policy_follower_comes_within_four_holds)
{
	u64 free = setup_released(MIB(800));
	u64 late = T0 + SPAN * WINDOW;

	look(late - 200, free, free);
	wake(late - 200, free + MIB(60), free);
	check_eq(deficit(late - 200 + WINDOW / PART), MIB(60));
	free = setup_released(MIB(800));
	look(late, free, free);
	wake(late, free + MIB(60), free);
	check_eq(deficit(late + WINDOW / PART), 0);
	check_eq(deficit(late + WINDOW - 1), 0);
	check_eq(deficit(late + WINDOW), MIB(60));
}

/* Not of a release that was taken back, nor if memory fell since. */
TEST(policy_follower_needs_a_release_that_lasts)
{
	u64 free = setup_released(MIB(800));

	look(T0 + 10, free - MIB(100), free - MIB(100));
	wake(T0 + 20, free, free - MIB(100));
	check_eq(deficit(T0 + 20 + WINDOW / PART), 0);
	check_eq(deficit(T0 + 20 + WINDOW), MIB(100));
}

/* Nor of a guest that takes and frees memory all the time. */
TEST(policy_follower_needs_a_quiet_guest)
{
	const u64 fell = T0 - WINDOW + 1;

	setup(WINDOW, MIB(1000), MIB(100));
	policy.quiet_since = fell;
	pass(T0, MIB(900));
	wake(T0 + 20, MIB(1060), MIB(1000));
	check_eq(deficit(T0 + 20 + WINDOW / PART), 0);
	check_eq(deficit(T0 + 20 + WINDOW), MIB(60));

	setup(WINDOW, MIB(1000), MIB(100));
	policy.quiet_since = fell - 1;
	pass(T0, MIB(900));
	wake(T0 + 20, MIB(1060), MIB(1000));
	check_eq(deficit(T0 + 20 + WINDOW / PART), MIB(60));
}

TEST(policy_follower_needs_a_guest_without_regrets)
{
	u64 free;

	for (unsigned int strikes = 0; strikes <= 4; strikes++) {
		free = setup_released(MIB(800));
		policy.strikes = strikes;
		wake(T0 + 20, free + MIB(60), free);
		check_note("%u strikes", strikes);
		check_eq(deficit(T0 + 20 + hold() / PART), strikes > 1 ? 0 : MIB(60));
		check_eq(deficit(T0 + 20 + hold()), MIB(60));
	}
}
