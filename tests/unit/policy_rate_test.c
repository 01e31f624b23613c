// SPDX-License-Identifier: GPL-2.0
/* The policy: the rate, its debts, and large amounts. */
#include "policy_fixture.h"

TEST(policy_rate_is_paid_in_time)
{
	setup(WINDOW);
	limits.rate = MIB(50);
	request(T0, MIB(900));
	passed(T0 + WINDOW, MIB(200));
	check_eq(wait(T0 + WINDOW), 4000);
	check_eq(wait(T0 + WINDOW + 3999), 1);
	check_eq(wait(T0 + WINDOW + 4000), 0);
}

/* Whatever else happens meanwhile: memory is taken, asked for, not found. */
TEST(policy_rate_is_paid_in_time_only)
{
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = MIB(50);
	request(T0, MIB(900));
	passed(now, MIB(200));
	sample(now + 100, MIB(500));
	check_eq(wait(now + 100), 3900);
	request(now + 200, MIB(500));
	check_eq(wait(now + 200), 3800);
	passed(now + 300, 0);
	check_eq(wait(now + 300), 3700);
}

/* To look often does not cost what is paid between two looks. */
TEST(policy_rate_is_paid_in_small_parts)
{
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = MIB(1);
	request(T0, MIB(900));
	passed(now, MIB(1));
	for (unsigned int ms = 0; ms < 500; ms++)
		sample(now + ms, MIB(900));
	check_eq(wait(now + 500), 500);
	check_eq(wait(now + 1000), 0);
}

/* Some passes are not held (a flush): then they are paid for one by one. */
TEST(policy_rate_adds_up)
{
	setup(WINDOW);
	limits.rate = MIB(50);
	request(T0, MIB(900));
	passed(T0 + 1000, MIB(200));
	passed(T0 + 2000, MIB(100));
	check_eq(wait(T0 + 2000), 5000);
	passed(T0 + 2000, 0);
	check_eq(wait(T0 + 2000), 5000);
}

/* Who was idle for an hour has not saved an hour's worth. */
TEST(policy_rate_gives_no_credit)
{
	setup(WINDOW);
	limits.rate = MIB(50);
	request(T0, MIB(900));
	passed(T0 + 1000, MIB(200));
	passed(T0 + 3600000, MIB(50));
	check_eq(wait(T0 + 3600000), 1000);
}

TEST(policy_rate_does_not_shorten_the_window)
{
	setup(WINDOW);
	limits.rate = MIB(50);
	request(T0, MIB(900));
	passed(T0 + 10, MIB(1));
	request(T0 + 10, MIB(900));
	check_eq(wait(T0 + 10), WINDOW);
}

TEST(policy_no_rate_is_no_limit)
{
	setup(WINDOW);
	request(T0, MIB(900));
	passed(T0 + WINDOW, TIB(64));
	check_eq(wait(T0 + WINDOW), 0);
}

/*
 * Another rate. It counts at once, for what is owed already as well.
 */
TEST(policy_rate_0_ends_the_debt)
{
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = MIB(1);
	request(T0, MIB(20000));
	passed(now, MIB(16384));
	check_eq(wait(now), 16384000);
	limits.rate = 0;
	check_eq(wait(now), 0);
	/* The window is kept, as ever. */
	request(now + 5000, MIB(20000));
	check_eq(wait(now + 5000), WINDOW);
	check_eq(wait(now + 5000 + WINDOW), 0);
}

TEST(policy_rate_sets_how_long_a_debt_lasts)
{
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = MIB(1);
	request(T0, MIB(20000));
	passed(now, MIB(16384));
	limits.rate = MIB(10);
	check_eq(wait(now), 1638400);
	check_eq(wait(now + 1638399), 1);
	check_eq(wait(now + 1638400), 0);
	limits.rate = MIB(100);
	check_eq(wait(now), 163840);
	limits.rate = MIB(1) / 2;
	check_eq(wait(now), 2 * 16384000);
	/* Later as well: what is left is left for a tenth of the time. */
	limits.rate = MIB(1);
	check_eq(wait(now + 1000000), 15384000);
	limits.rate = MIB(10);
	check(wait(now + 1000000) <= 1538400);
}

/* What was treated without a limit is no debt of many passes. */
TEST(policy_rate_comes_without_a_past)
{
	setup(WINDOW);
	request(T0, MIB(20000));
	for (unsigned int i = 0; i < 10; i++)
		passed(T0 + WINDOW, MIB(200));
	limits.rate = MIB(50);
	check(wait(T0 + WINDOW) <= 4000);
	check_eq(wait(T0 + WINDOW + 4000), 0);
}

/* Over ten minutes: never more than the rate allows and one pass. */
TEST(policy_rate_holds_over_time)
{
	u64 treated = 0;

	setup(WINDOW);
	limits.rate = MIB(50);
	request(T0, MIB(900));
	for (u64 ms = 0; ms <= 600000; ms += 10) {
		sample(T0 + ms, MIB(900));
		if (wait(T0 + ms))
			continue;
		passed(T0 + ms, MIB(64));
		treated += MIB(64);
		check(treated <= limits.rate * ms / 1000 + MIB(64));
	}
	check(treated >= MIB(50) * 590);
}

/*
 * Large amounts.
 */
TEST(policy_64_tib_does_not_overflow)
{
	setup(WINDOW);
	limits.rate = TIB(64);
	limits.reserve = TIB(1);
	request(T0, TIB(64));
	sample(T0 + 1, TIB(64) - SLACK - 1);
	check_eq(wait(T0 + 1), WINDOW);
	request(T0, TIB(63));
	sample(T0 + 1, TIB(64));
	check_eq(surplus(TIB(64)), TIB(62));
	check_eq(wait(T0 + WINDOW), 0);
	passed(T0 + WINDOW, TIB(64));
	check_eq(surplus(TIB(64)), TIB(63));
	check_eq(wait(T0 + WINDOW), 1000);
	check_eq(wait(T0 + WINDOW + 999), 1);
	check_eq(wait(T0 + WINDOW + 1000), 0);
	sample(T0 + WINDOW, TIB(64) - SLACK - 1);
	check_eq(policy.strikes, 1);
}

/* At the highest rate that a user can set, 1 TiB a second. */
TEST(policy_64_tib_is_paid_in_64_s)
{
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = TIB(1);
	request(T0, TIB(64));
	passed(now, TIB(64));
	check_eq(wait(now), 64000);
	check_eq(wait(now + 1), 63999);
	check_eq(wait(now + 63999), 1);
	check_eq(wait(now + 64000), 0);
	passed(now + 32000, TIB(64));
	check_eq(policy.owed, TIB(96));
	check_eq(policy.owed_at, now + 32000);
	check_eq(wait(now + 32000), 96000);
}

/* A debt of most of a day, and one of more: a page every ms. */
TEST(policy_debt_is_exact_for_a_day)
{
	const u64 day = 24 * 3600 * 1000;
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = 1000;
	request(T0, TIB(64));
	passed(now, day - 1);
	check_eq(wait(now), day - 1);
	check_eq(wait(now + day - 2), 1);
	check_eq(wait(now + day - 1), 0);

	setup(WINDOW);
	limits.rate = 1000;
	request(T0, TIB(64));
	passed(now, day + 5000);
	check_eq(wait(now), day + 5000);
	check_eq(wait(now + day / 2), day / 2 + 5000);
	check_eq(wait(now + day - 1), 5001);
}

/*
 * Idle for days: at powers of two that a product without bounds would lose, so
 * that the debt came back.
 */
TEST(policy_debt_is_gone_after_days)
{
	u64 now = T0 + WINDOW;

	for (unsigned int bit = 17; bit < 40; bit++) {
		check_note("after 2^%u ms", bit);
		setup(WINDOW);
		limits.rate = TIB(64);
		request(T0, TIB(64));
		passed(now, TIB(64));
		check_eq(wait(now + (1ULL << bit)), 0);
		passed(now + (1ULL << bit), TIB(32));
		check_eq(policy.owed, TIB(32));
		check_eq(wait(now + (1ULL << bit)), 500);
	}
}

/* A wait that has no room in its type is the longest one that is not never. */
TEST(policy_longest_wait_is_not_never)
{
	static const struct {
		u64 ms;
		unsigned int wait;
	} rows[] = {
		{ POLICY_NEVER - 2, POLICY_NEVER - 2 },
		{ POLICY_NEVER - 1, POLICY_NEVER - 1 },
		{ POLICY_NEVER, POLICY_NEVER - 1 },
		{ POLICY_NEVER + 1ULL, POLICY_NEVER - 1 },
		{ POLICY_NEVER + 2ULL, POLICY_NEVER - 1 },
		{ TIB(64), POLICY_NEVER - 1 },
		{ TIB(64) * 1000, POLICY_NEVER - 1 },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(rows); i++) {
		check_note("%llu ms", rows[i].ms);
		setup(WINDOW);
		limits.rate = 1000;
		request(T0, TIB(64));
		passed(T0 + WINDOW, rows[i].ms);
		check_eq(wait(T0 + WINDOW), rows[i].wait);
	}
	setup(WINDOW);
	limits.rate = 1;
	request(T0, TIB(64));
	passed(T0 + WINDOW, TIB(64));
	check_eq(wait(T0 + WINDOW), POLICY_NEVER - 1);
}

/* A debt older than a day is forgiven, whatever is left of it. */
TEST(policy_debt_ends_after_a_day)
{
	const u64 day = 24 * 3600 * 1000;
	u64 now = T0 + WINDOW;

	setup(WINDOW);
	limits.rate = 1000;
	request(T0, TIB(64));
	passed(now, day + 5000);
	check_eq(wait(now + day - 1), 5001);
	check_eq(wait(now + day), 0);
	check_eq(wait(now + 30 * day), 0);
}

/* What was treated without a limit is no debt. */
TEST(policy_no_rate_makes_no_debt)
{
	setup(WINDOW);
	request(T0, MIB(20000));
	passed(T0 + WINDOW, MIB(16384));
	limits.rate = MIB(1);
	check_eq(wait(T0 + WINDOW), 0);
}
