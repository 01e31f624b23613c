// SPDX-License-Identifier: GPL-2.0
/* The policy: its guesses, the wrong ones and those that lasted. */
#include "policy_fixture.h"

/*
 * One release, as early as the policy allows, of which the guest takes its
 * memory back after @kept. Returns when it did.
 */
static u64 release(u64 now, u64 kept)
{
	request(now, MIB(500));
	sample(now, MIB(1000));
	now += wait(now);
	passed(now, MIB(500));
	now += kept;
	sample(now, MIB(500));
	return now;
}

TEST(policy_wrong_guesses_double_the_hold)
{
	static const unsigned int holds[] = { 1, 2, 4, 8, 8, 8 };
	u64 now = T0;

	setup(SHORT_WINDOW);
	for (unsigned int i = 0; i < ARRAY_LEN(holds); i++) {
		check_note("wrong guess %u", i + 1);
		now = release(now, 10);
		check_eq(hold(), holds[i] * SHORT_WINDOW);
	}
	check_eq(policy.strikes, 4);
}

/* The first one may have been bad luck. */
TEST(policy_first_wrong_guess_changes_nothing)
{
	u64 now;

	setup(SHORT_WINDOW);
	now = release(T0, 10);
	check_eq(policy.strikes, 1);
	check_eq(hold(), SHORT_WINDOW);
	request(now, MIB(500));
	check_eq(wait(now), SHORT_WINDOW);
}

TEST(policy_wrong_guesses_lengthen_the_wait)
{
	u64 now = T0;

	setup(SHORT_WINDOW);
	for (unsigned int i = 0; i < 4; i++)
		now = release(now, 10);
	request(now, MIB(500));
	check_eq(wait(now), 8 * SHORT_WINDOW);
	check_eq(wait(now + 8 * SHORT_WINDOW - 1), 1);
	check_eq(wait(now + 8 * SHORT_WINDOW), 0);
	/* A fall within that time restarts all of it, up to the pace. */
	sample(now + 100, MIB(400));
	check_eq(wait(now + 100), 8 * SHORT_WINDOW);
}

TEST(policy_lasting_release_is_forgiveness)
{
	u64 now = T0;

	setup(SHORT_WINDOW);
	for (unsigned int i = 0; i < 4; i++)
		now = release(now, 10);
	now = release(now, 60000);
	check_eq(policy.strikes, 0);
	check_eq(hold(), SHORT_WINDOW);
	/* All of it: the count begins at one again. */
	release(now, 10);
	check_eq(policy.strikes, 1);
}

/* Four holds: one ms less is regretted, and the hold is the one there was. */
TEST(policy_regret_is_exact)
{
	u64 now = T0;

	setup(SHORT_WINDOW);
	release(now, 4 * SHORT_WINDOW - 1);
	check_eq(policy.strikes, 1);

	setup(SHORT_WINDOW);
	release(now, 4 * SHORT_WINDOW);
	check_eq(policy.strikes, 0);

	setup(SHORT_WINDOW);
	now = release(now, 10);
	now = release(now, 4 * SHORT_WINDOW - 1);
	check_eq(policy.strikes, 2);
	now = release(now, 4 * 2 * SHORT_WINDOW - 1);
	check_eq(policy.strikes, 3);
	release(now, 4 * 4 * SHORT_WINDOW);
	check_eq(policy.strikes, 0);
}

/* One release is one guess, however often the guest comes for more. */
TEST(policy_guess_is_judged_once)
{
	u64 now;

	setup(SHORT_WINDOW);
	now = release(T0, 10);
	sample(now + 10, MIB(400));
	sample(now + 20, MIB(300));
	check_eq(policy.strikes, 1);
	/* Nor does time alone, without a release, forgive. */
	sample(now + 60000, MIB(200));
	check_eq(policy.strikes, 1);
}

/* The time of the last of several passes is what counts. */
TEST(policy_release_lasts_from_its_last_pass)
{
	setup(SHORT_WINDOW);
	request(T0, MIB(1000));
	passed(T0 + SHORT_WINDOW, MIB(500));
	passed(T0 + SHORT_WINDOW + 700, MIB(500));
	sample(T0 + SHORT_WINDOW + 700 + 790, MIB(500));
	check_eq(policy.strikes, 1);
}

/* A request that comes in between is not a release. */
TEST(policy_request_does_not_prolong_a_release)
{
	setup(SHORT_WINDOW);
	request(T0, MIB(1000));
	passed(T0 + SHORT_WINDOW, MIB(500));
	request(T0 + SHORT_WINDOW + 700, MIB(1000));
	sample(T0 + SHORT_WINDOW + 800, MIB(500));
	check_eq(policy.strikes, 0);
}

TEST(policy_fall_within_the_slack_is_no_regret)
{
	setup(SHORT_WINDOW);
	request(T0, MIB(1000));
	passed(T0 + SHORT_WINDOW, MIB(500));
	sample(T0 + SHORT_WINDOW + 10, MIB(1000) - SLACK);
	check_eq(policy.strikes, 0);
	sample(T0 + SHORT_WINDOW + 20, MIB(1000) - SLACK - 1);
	check_eq(policy.strikes, 1);
}

/* The fall may first be seen by the request that follows it. */
TEST(policy_request_judges_too)
{
	setup(SHORT_WINDOW);
	request(T0, MIB(1000));
	passed(T0 + SHORT_WINDOW, MIB(500));
	request(T0 + SHORT_WINDOW + 10, MIB(500));
	check_eq(policy.strikes, 1);
}

/*
 * The hold is longer than the pace after three wrong guesses at this window:
 * all passes run at the pace then, and those that last are forgiveness as well.
 */
TEST(policy_lasting_release_at_the_pace_is_forgiveness)
{
	u64 now = T0;

	setup(WINDOW);
	for (unsigned int i = 0; i < 3; i++)
		now = release(now, 10);
	check_eq(policy.strikes, 3);
	check(hold() > PACE);
	now = release(now, 600000);
	check(!policy.guessed);
	check_eq(policy.strikes, 0);
	request(now, MIB(500));
	check_eq(wait(now), WINDOW);
}

/* One that did not last is neither forgiveness nor a strike. */
TEST(policy_regret_is_exact_at_the_pace)
{
	u64 now = T0;

	setup(WINDOW);
	for (unsigned int i = 0; i < 3; i++)
		now = release(now, 10);
	now = release(now, 10);
	check_eq(policy.strikes, 3);
	now = release(now, 4 * 4 * WINDOW - 1);
	check_eq(policy.strikes, 3);
	now = release(now, 4 * 4 * WINDOW);
	check_eq(policy.strikes, 0);
	/* And guesses count again. */
	release(now, 10);
	check_eq(policy.strikes, 1);
}

/* Of several passes the last one says whether it was a guess. */
TEST(policy_last_pass_is_the_guess)
{
	setup(WINDOW);
	request(T0, MIB(900));
	passed(T0 + WINDOW, MIB(100));
	request(T0 + WINDOW + 100, MIB(900));
	passed(T0 + WINDOW + 200, MIB(100));
	sample(T0 + WINDOW + 210, MIB(500));
	check_eq(policy.strikes, 0);

	setup(WINDOW);
	request(T0, MIB(900));
	passed(T0 + WINDOW - 1, MIB(100));
	passed(T0 + WINDOW, MIB(100));
	sample(T0 + WINDOW + 10, MIB(500));
	check_eq(policy.strikes, 1);
}

/* At the pace nothing was guessed, so that nothing can have been wrong. */
TEST(policy_pass_at_the_pace_is_no_guess)
{
	setup(WINDOW);
	request(T0, MIB(900));
	sample(T0 + PACE - WINDOW + 1, MIB(500));
	check_eq(wait(T0 + PACE), 0);
	passed(T0 + PACE, MIB(500));
	sample(T0 + PACE + 10, MIB(100));
	check_eq(policy.strikes, 0);

	/* The same with the window just over. */
	setup(WINDOW);
	request(T0, MIB(900));
	sample(T0 + PACE - WINDOW, MIB(500));
	passed(T0 + PACE, MIB(500));
	sample(T0 + PACE + 10, MIB(100));
	check_eq(policy.strikes, 1);
}

/* Neither is it one when the window was over, but not the hold. */
TEST(policy_pass_within_the_hold_is_no_guess)
{
	u64 now = T0;

	setup(SHORT_WINDOW);
	for (unsigned int i = 0; i < 3; i++)
		now = release(now, 10);
	check_eq(hold(), 4 * SHORT_WINDOW);
	request(now, MIB(900));
	sample(now + PACE - 4 * SHORT_WINDOW + 1, MIB(500));
	check_eq(wait(now + PACE), 0);
	passed(now + PACE, MIB(500));
	sample(now + PACE + 10, MIB(100));
	check_eq(policy.strikes, 3);
}

TEST(policy_empty_pass_is_no_guess)
{
	setup(WINDOW);
	request(T0, MIB(900));
	passed(T0 + WINDOW, 0);
	sample(T0 + WINDOW + 10, MIB(100));
	check_eq(policy.strikes, 0);
}

/* Nor does it take the place of one. */
TEST(policy_empty_pass_is_not_the_last_one)
{
	setup(WINDOW);
	request(T0, MIB(900));
	passed(T0 + WINDOW, MIB(100));
	request(T0 + WINDOW + 100, MIB(900));
	passed(T0 + WINDOW + 200, 0);
	sample(T0 + WINDOW + 210, MIB(500));
	check_eq(policy.strikes, 1);

	setup(WINDOW);
	request(T0, MIB(900));
	passed(T0 + WINDOW, MIB(100));
	passed(T0 + 5 * WINDOW - 1, 0);
	sample(T0 + 5 * WINDOW, MIB(500));
	check_eq(policy.strikes, 0);
}

/* As it is when a user sets it to 0, with wrong guesses in mind. */
TEST(policy_window_0_forgives)
{
	u64 now = T0;

	setup(SHORT_WINDOW);
	for (unsigned int i = 0; i < 4; i++)
		now = release(now, 10);
	limits.window_ms = 0;
	check_eq(hold(), 0);
	release(now, 0);
	check_eq(policy.strikes, 0);
}
