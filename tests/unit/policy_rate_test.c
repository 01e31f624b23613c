// SPDX-License-Identifier: GPL-2.0
/* The rate: a token bucket that holds the tokens of one second. */
#include <string.h>
#include "policy_fixture.h"
#include "policy_rate.h"

/* Tokens are paid out in this many steps per second. */
#define STEPS		8
#define BLOCK		MIB(2)

static struct policy_rate bucket;
static u64 limit;
static u64 wanted;

/* A full bucket, and more surplus than tokens at any time. */
static void setup_rate(u64 rate)
{
	memset(&bucket, 0, sizeof(bucket));
	limit = rate;
	wanted = TIB(64);
}

static u64 allowed(u64 now)
{
	return policy_rate_allowance(&bucket, now, wanted, limit);
}

static u64 unpaid(u64 now)
{
	return policy_rate_wait(&bucket, now, wanted, limit);
}

static void pay(u64 now, u64 pages)
{
	policy_rate_pay(&bucket, now, pages, limit);
}

/* The time until a pass is allowed, with a sample each ms. */
static unsigned int allowed_after(u64 now)
{
	unsigned int ms = 0;

	while (!allowed(now + ms) && ms < 10000000)
		ms++;
	return ms;
}

TEST(policy_rate_0_is_no_limit)
{
	setup_rate(0);
	check_eq(allowed(T0), TIB(64));
	pay(T0, TIB(32));
	check_eq(allowed(T0), TIB(64));
	check_eq(unpaid(T0), 0);
}

/* After a long time without a batch, one second's worth is allowed at once, and no more. */
TEST(policy_rate_saves_up_a_second)
{
	setup_rate(MIB(50));
	check_eq(allowed(T0), MIB(50));
	check_eq(allowed(T0 + LONG_AGO), MIB(50));
	pay(T0, MIB(50));
	check_eq(allowed(T0), 0);
	check_eq(allowed(T0 + 500), MIB(25));
	check_eq(allowed(T0 + 1000), MIB(50));
	check_eq(allowed(T0 + 1001), MIB(50));
	check_eq(allowed(T0 + LONG_AGO), MIB(50));
}

/* Tokens are paid out in steps that are worth a pass, not page by page. */
TEST(policy_rate_is_paid_in_steps)
{
	setup_rate(MIB(80));
	pay(T0, MIB(80));
	check_eq(allowed_after(T0), 1000 / STEPS);
	check_eq(allowed(T0 + 1000 / STEPS), MIB(80) / STEPS);
	check_eq(unpaid(T0), 1000 / STEPS);
	/* Less than a step is allowed if the deficit is smaller. */
	wanted = MIB(2);
	check_eq(allowed_after(T0), 25);
	check_eq(allowed(T0 + 25), MIB(2));
}

/* One large batch may exceed the tokens, and has to be paid before the next batch. */
TEST(policy_rate_debt_is_paid)
{
	setup_rate(MIB(80));
	pay(T0, MIB(400));
	check_eq(allowed_after(T0), 4000 + 1000 / STEPS);
	/* The same with two batches. */
	pay(T0 + 1000, MIB(80));
	check_eq(allowed_after(T0 + 1000), 4000 + 1000 / STEPS);
}

/* The wait until a debt is paid is exact to the millisecond. */
TEST(policy_rate_debt_has_an_end)
{
	setup_rate(MIB(80));
	pay(T0, MIB(400));
	check_eq(unpaid(T0), 4000 + 1000 / STEPS);
	check_eq(unpaid(T0 + 4000 + 1000 / STEPS - 1), 1);
	check_eq(unpaid(T0 + 4000 + 1000 / STEPS), 0);
}

/* After a quarter of an hour no debt is left, however large it was. */
TEST(policy_rate_debt_is_forgiven)
{
	const unsigned int longest = 1024000;

	setup_rate(MIB(1));
	pay(T0, MIB(4096));
	check_eq(allowed(T0 + longest - 1), 0);
	check_eq(allowed(T0 + longest), MIB(1));
	check_eq(allowed(T0 + LONG_AGO), MIB(1));
	setup_rate(1);
	pay(T0, TIB(32));
	check_eq(allowed(T0 + longest - 1), 0);
	check_eq(allowed(T0 + longest), 1);
}

/*
 * Over a long time the rate is exact, whether a pass treats single pages, whole
 * blocks or batches, and at whatever time it runs, unless it is too late.
 */
static u64 treat_for(unsigned int ms, u64 unit, u64 *random)
{
	u64 treated = 0;
	u64 now = T0;

	while (now < T0 + ms) {
		u64 pages = (allowed(now) + unit - 1) / unit * unit;

		if (pages)
			pay(now, pages);
		treated += pages;
		now += unpaid(now) + check_random(random, 5);
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
			/* Enough time for a hundred units, and a hundred seconds at least. */
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

/* In no second more is treated than the tokens of two seconds. */
TEST(policy_rate_is_kept_in_each_second)
{
	u64 random = CHECK_RANDOM_SEED;
	u64 treated[60000 / 10] = {};
	u64 second = 0;

	setup_rate(MIB(100));
	for (unsigned int i = 0; i < ARRAY_LEN(treated); i++) {
		u64 now = T0 + 10 * i;

		if (check_random(&random, 40) == 0) {
			treated[i] = allowed(now) / (1 + check_random(&random, 3));
			pay(now, treated[i]);
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
	pay(T0, MIB(16384));
	check_eq(allowed(T0 + 1000), 0);
	limit = 0;
	check_eq(allowed(T0 + 1000), TIB(64));
}

TEST(policy_rate_may_rise)
{
	setup_rate(MIB(8));
	pay(T0, MIB(88));
	limit = MIB(80);
	check_eq(allowed_after(T0), 1000 + 1000 / STEPS);
	check_eq(allowed(T0 + 60000), MIB(80));
}

/* The bucket holds one second's worth of the new rate. */
TEST(policy_rate_may_fall)
{
	setup_rate(MIB(800));
	check_eq(allowed(T0), MIB(800));
	limit = MIB(8);
	check_eq(allowed(T0), MIB(8));
	pay(T0, MIB(8));
	check_eq(allowed(T0), 0);
	check_eq(allowed_after(T0), 1000 / STEPS);
}

/* Time without a limit leaves neither a debt nor tokens. */
TEST(policy_rate_comes_without_a_past)
{
	setup_rate(0);
	for (unsigned int i = 0; i < 100; i++)
		pay(T0 + i, MIB(4096));
	limit = MIB(50);
	check_eq(allowed(T0 + 100), MIB(50));
}

/* At 1 TiB per second nothing overflows. */
TEST(policy_rate_of_a_tib)
{
	setup_rate(TIB(1));
	check_eq(allowed(T0), TIB(1));
	pay(T0, TIB(64));
	check_eq(allowed_after(T0), 63000 + 1000 / STEPS);
	check_eq(allowed(T0 + 63500), TIB(1) / 2);
}
