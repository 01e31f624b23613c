// SPDX-License-Identifier: GPL-2.0
/* The policy: the rate, a bucket that a second's worth of it goes into. */
#include "policy_fixture.h"

/* The rate is paid out in parts of a second. */
#define STEPS		8
#define BLOCK		MIB(2)

/* A guest with more than it can ever treat, all of it surplus. */
static void setup_rate(u64 rate)
{
	setup(WINDOW, TIB(64), 0);
	limits.rate = rate;
}

/* How long until there is an allowance, from looks each ms. */
static unsigned int allowed_after(u64 now)
{
	unsigned int ms = 0;

	while (!allowance(now + ms) && ms < 10000000)
		ms++;
	return ms;
}

TEST(policy_rate_0_is_no_limit)
{
	setup(WINDOW, TIB(64), 0);
	check_eq(allowance(T0), TIB(64));
	pass(T0, TIB(32));
	check_eq(allowance(T0), TIB(32));
	check_eq(wait(T0), 0);
}

/* Who has treated nothing for long may treat a second's worth at once, no more. */
TEST(policy_rate_saves_up_a_second)
{
	setup_rate(MIB(50));
	check_eq(allowance(T0), MIB(50));
	check_eq(allowance(T0 + LONG_AGO), MIB(50));
	policy_treat(&policy, T0, MIB(50), &limits);
	check_eq(allowance(T0), 0);
	check_eq(allowance(T0 + 500), MIB(25));
	check_eq(allowance(T0 + 1000), MIB(50));
	check_eq(allowance(T0 + 1001), MIB(50));
	check_eq(allowance(T0 + LONG_AGO), MIB(50));
}

/* Not by the page: what is paid out is worth a pass. */
TEST(policy_rate_is_paid_in_steps)
{
	setup_rate(MIB(80));
	policy_treat(&policy, T0, MIB(80), &limits);
	check_eq(allowed_after(T0), 1000 / STEPS);
	check_eq(allowance(T0 + 1000 / STEPS), MIB(80) / STEPS);
	check_eq(wait(T0), 1000 / STEPS);
	/* Less than a step is, if there is not more to treat. */
	look(T0, MIB(80) + MIB(2), MIB(80));
	policy.quiet_since = T0 - LONG_AGO;
	limits.cap = MIB(82);
	check_eq(deficit(T0), MIB(2));
	check_eq(allowed_after(T0), 25);
	check_eq(allowance(T0 + 25), MIB(2));
}

/* One large batch may exceed it, and is paid for before the next. */
TEST(policy_rate_debt_is_paid)
{
	setup_rate(MIB(80));
	policy_treat(&policy, T0, MIB(400), &limits);
	check_eq(allowed_after(T0), 4000 + 1000 / STEPS);
	/* Two are as well. */
	policy_treat(&policy, T0 + 1000, MIB(80), &limits);
	check_eq(allowed_after(T0 + 1000), 4000 + 1000 / STEPS);
}

/* Nobody looks more often than once a hold until then: there is nothing to be done. */
TEST(policy_rate_debt_wakes_nobody)
{
	setup_rate(MIB(80));
	policy_treat(&policy, T0, MIB(400), &limits);
	check_eq(wait(T0), WINDOW);
	check_eq(wait(T0 + 4000 + 1000 / STEPS - WINDOW), WINDOW);
	check_eq(wait(T0 + 4000 + 1000 / STEPS - WINDOW + 1), WINDOW - 1);
	check_eq(wait(T0 + 4000 + 1000 / STEPS - 1), 1);
	check_eq(wait(T0 + 4000 + 1000 / STEPS), 0);
	limits.window_ms = 0;
	check_eq(wait(T0), LOOK_MAX);
}

/* A quarter of an hour is enough: later no debt is left, however large it was. */
TEST(policy_rate_debt_is_forgiven)
{
	const unsigned int longest = 1024000;

	setup_rate(MIB(1));
	policy_treat(&policy, T0, MIB(4096), &limits);
	check_eq(allowance(T0 + longest - 1), 0);
	check_eq(allowance(T0 + longest), MIB(1));
	check_eq(allowance(T0 + LONG_AGO), MIB(1));
	setup_rate(1);
	policy_treat(&policy, T0, TIB(32), &limits);
	check_eq(allowance(T0 + longest - 1), 0);
	check_eq(allowance(T0 + longest), 1);
}

/* Whatever else happens meanwhile. */
TEST(policy_rate_is_paid_in_time_only)
{
	setup_rate(MIB(80));
	policy_treat(&policy, T0, MIB(400), &limits);
	wake(T0 + 100, TIB(64), MIB(400));
	policy_passed(&policy, T0 + 200, MIB(400), &limits);
	for (unsigned int ms = 200; ms < 4000 + 1000 / STEPS; ms++) {
		look(T0 + ms, TIB(64), MIB(400));
		check_note("after %u ms", ms);
		check_eq(allowance(T0 + ms), 0);
		check(wait(T0 + ms) > 0);
	}
	check_eq(allowance(T0 + 4000 + 1000 / STEPS), MIB(80) / STEPS);
}

/*
 * Over a long time it is what the user asked for, whatever a pass takes: to the
 * page, whole blocks, or batches; and whenever it comes, if not too late.
 */
static u64 treat_for(unsigned int ms, u64 unit, u64 *random)
{
	u64 treated = 0;
	u64 now = T0;

	while (now < T0 + ms) {
		u64 pages = (allowance(now) + unit - 1) / unit * unit;

		if (pages)
			pass(now, pages);
		/* The host's memory has no end. */
		policy.treated = 0;
		treated += pages;
		now += wait(now) + check_random(random, 5);
	}
	return treated;
}

TEST(policy_rate_is_kept_over_time)
{
	static const u64 rates[] = {
		16, 100, 256, 300, 1000, MIB(7), MIB(50), MIB(1000), MIB(65536), TIB(1),
	};
	static const u64 units[] = { 1, 16, BLOCK, 2 * BLOCK, MIB(128), MIB(4096) };
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int i = 0; i < ARRAY_LEN(rates); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(units); k++) {
			/* A hundred units, and a hundred seconds. */
			u64 seconds = 200 + 200 * units[k] / rates[i];
			u64 want = rates[i] * seconds;
			u64 found;

			if (seconds > 20000)
				continue;
			setup_rate(rates[i]);
			found = treat_for(seconds * 1000, units[k], &random);
			check_note("rate %llu, unit %llu: %llu, not %llu", rates[i],
				   units[k], found, want);
			check(found <= want + rates[i] + units[k]);
			check(found >= want - want / 100);
		}
}

/* In no second more than what it and the one before it are worth. */
TEST(policy_rate_is_kept_in_each_second)
{
	u64 random = CHECK_RANDOM_SEED;
	u64 treated[60000 / 10] = {};
	u64 second = 0;

	setup_rate(MIB(100));
	for (unsigned int i = 0; i < ARRAY_LEN(treated); i++) {
		u64 now = T0 + 10 * i;

		if (check_random(&random, 40) == 0) {
			treated[i] = allowance(now) / (1 + check_random(&random, 3));
			policy_treat(&policy, now, treated[i], &limits);
		}
		second += treated[i];
		second -= i >= 100 ? treated[i - 100] : 0;
		check_note("at %u ms", 10 * i);
		check(second <= 2 * MIB(100));
	}
}

/*
 * Another rate counts at once.
 */
TEST(policy_rate_0_ends_a_debt)
{
	setup_rate(MIB(1));
	policy_treat(&policy, T0, MIB(16384), &limits);
	check_eq(allowance(T0 + 1000), 0);
	limits.rate = 0;
	check_eq(allowance(T0 + 1000), TIB(64) - MIB(16384));
}

TEST(policy_rate_may_rise)
{
	setup_rate(MIB(8));
	policy_treat(&policy, T0, MIB(88), &limits);
	limits.rate = MIB(80);
	check_eq(allowed_after(T0), 1000 + 1000 / STEPS);
	check_eq(allowance(T0 + 60000), MIB(80));
}

/* What was saved up is a second's worth of what it is now. */
TEST(policy_rate_may_fall)
{
	setup_rate(MIB(800));
	check_eq(allowance(T0), MIB(800));
	limits.rate = MIB(8);
	check_eq(allowance(T0), MIB(8));
	policy_treat(&policy, T0, MIB(8), &limits);
	check_eq(allowance(T0), 0);
	check_eq(allowed_after(T0), 1000 / STEPS);
}

/* What was treated without a limit was not owed for, and saved nothing. */
TEST(policy_rate_comes_without_a_past)
{
	setup_rate(0);
	for (unsigned int i = 0; i < 100; i++)
		policy_treat(&policy, T0 + i, MIB(4096), &limits);
	limits.rate = MIB(50);
	check_eq(allowance(T0 + 100), MIB(50));
}

/* At 1 TiB a second nothing is cut off. */
TEST(policy_rate_of_a_tib)
{
	setup_rate(TIB(1));
	check_eq(allowance(T0), TIB(1));
	policy_treat(&policy, T0, TIB(64), &limits);
	look(T0, TIB(128), TIB(64));
	policy.quiet_since = T0 - LONG_AGO;
	policy.lows.nr = 0;
	check_eq(allowed_after(T0), 63000 + 1000 / STEPS);
	check_eq(allowance(T0 + 63500), TIB(1) / 2);
}
