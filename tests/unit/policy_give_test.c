// SPDX-License-Identifier: GPL-2.0
/* The policy: memory that the guest gave up, which is not memory that it took. */
#include "policy_fixture.h"

static void look_given(u64 now, u64 free, u64 treated, u64 given)
{
	const struct policy_level level = {
		.free = free, .blocks = free, .treated = treated, .given = given,
	};

	policy_sample(&policy, now, &level, &limits);
}

/* What is left has been free as long as it was before. */
TEST(policy_given_is_no_fall)
{
	setup(WINDOW, MIB(1000), MIB(100));
	look_given(T0 + 10, MIB(600), MIB(100), MIB(400));
	check_eq(surplus(T0 + 10), MIB(600));
	check_eq(deficit(T0 + 10), MIB(500));
}

/* A guest that takes memory meanwhile is seen to. */
TEST(policy_taken_besides_given_is_a_fall)
{
	setup(WINDOW, MIB(1000), MIB(100));
	look_given(T0 + 10, MIB(500), MIB(100), MIB(400));
	look_given(T0 + 20, MIB(600), MIB(100), MIB(400));
	check_eq(surplus(T0 + 20 + WINDOW - 1), MIB(500));
	check_eq(surplus(T0 + 20 + WINDOW), MIB(600));
}

/* Also where what is treated is given up: the release was not wrong. */
TEST(policy_given_is_no_strike)
{
	setup(WINDOW, MIB(1000), 0);
	pass(T0, MIB(1000));
	look_given(T0 + 10, MIB(600), MIB(600), MIB(400));
	check_eq(policy.strikes, 0);
	check(policy.released);
	look_given(T0 + 20, MIB(450), MIB(450), MIB(400));
	check_eq(policy.strikes, 1);
}

/* What comes back was not free before. */
TEST(policy_given_back_waits)
{
	setup(WINDOW, MIB(1000), MIB(1000));
	look_given(T0 + 10, MIB(600), MIB(600), MIB(400));
	look_given(T0 + 10 + LONG_AGO, MIB(600), MIB(600), MIB(400));
	look_given(T0 + 20 + LONG_AGO, MIB(1000), MIB(600), 0);
	check_eq(deficit(T0 + 20 + LONG_AGO + WINDOW - 1), 0);
	check_eq(deficit(T0 + 20 + LONG_AGO + WINDOW), MIB(400));
}

/* More than there was: page cache was given up, or fragments. */
TEST(policy_given_beyond_free)
{
	setup(WINDOW, MIB(100), 0);
	look_given(T0 + 10, MIB(100), 0, MIB(400));
	check_eq(surplus(T0 + 10), 0);
	look_given(T0 + 10 + WINDOW, MIB(100), 0, MIB(400));
	check_eq(surplus(T0 + 10 + WINDOW), MIB(100));
}
