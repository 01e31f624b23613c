// SPDX-License-Identifier: GPL-2.0
/* The policy: its effect in a modelled guest, with the patch and without. */
#include "policy_guest_fixture.h"

#define TOP		MIB(2800)
#define CHURN		MIB(512)

/* The time until 90 % of raw memory are treated, ms. */
static unsigned int back_after(void)
{
	u64 raw = model_raw(&guest);
	unsigned int ms = 0;

	while (model_raw(&guest) > raw / 10 && ms < MINUTE) {
		guest_pass(1);
		ms++;
	}
	return ms;
}

TEST(policy_guest_releases)
{
	for_each_intake(in) {
		unsigned int first, second;

		guest_start(MODEL_AERATOR, in, TOP);
		guest_pass(2000);
		guest_touch(MIB(50), 5000);
		guest_pass(MINUTE);
		guest_set(TOP);
		first = back_after();
		guest_pass(MINUTE);
		guest_touch(MIB(50), 5000);
		guest_pass(MINUTE);
		guest_set(TOP);
		second = back_after();
			check_note("%s: the first after %u ms, the second after %u", intakes[in],
			   first, second);
		check(first <= 1300);
		check(second <= 300);
	}
}

/* Allocate and free 512 MiB in rounds; all is free at the end. Returns the refaults. */
static u64 churn(unsigned int gap_ms, unsigned int rounds)
{
	u64 before = guest.refaulted;

	for (unsigned int i = 0; i < rounds; i++) {
		guest_pass(gap_ms);
		guest_touch(TOP - CHURN, 400);
		guest_pass(50);
		guest_set(TOP);
	}
	return guest.refaulted - before;
}

static u64 churn_of(enum model_driver driver, enum model_intake in, unsigned int gap_ms)
{
	guest_start(driver, in, TOP);
	guest_pass(3000);
	churn(gap_ms, 10);
	return churn(gap_ms, 40);
}

/*
 * With the patch, hardly any memory is reported after ten rounds. Without the patch, a refused
 * batch may end behind treated memory (intake_batch.c), and all churning memory is reported
 * once. The last free is reported soon after the longest pause that the guest has shown.
 */
TEST(policy_guest_churn)
{
	static const unsigned int gaps[] = { 100, 200, 300, 500, 700, 1000 };

	for (unsigned int i = 0; i < ARRAY_LEN(gaps); i++)
		for_each_intake(in) {
			u64 rival = churn_of(MODEL_BALLOON, in, gaps[i]);
			u64 refaulted = churn_of(MODEL_AERATOR, in, gaps[i]);
			unsigned int ms = back_after();

			check_note("%s, gap %u: %llu of %llu MiB; %u ms", intakes[in], gaps[i],
				   refaulted / MIB(1), rival / MIB(1), ms);
			check(rival > 0);
			check(refaulted <= rival / 20 + (in == MODEL_TREATED ? 0 : CHURN));
			check(ms <= 1500);
		}
}

/* Once all is treated nothing runs; this takes neither long nor many samples. */
static void check_rest(u64 raw)
{
	unsigned int looks = guest.looks;

	guest_pass(3 * MINUTE);
	check(model_raw(&guest) <= raw);
	check(model_rests(&guest));
	check(guest.looks - looks < 400);
}

TEST(policy_guest_that_is_idle_rests)
{
	for_each_intake(in) {
		guest_start(MODEL_AERATOR, in, TOP);
		check_note("%s", intakes[in]);
		check_rest(0);
		guest_touch(MIB(50), 5000);
		check_rest(0);
		guest_set(TOP);
		check_rest(0);
		/* A fall that is smaller than the noise. */
		guest_touch(TOP - MIB(12), 100);
		guest_set(TOP);
		check_rest(0);
	}
}

/* Memory is allocated and freed between two samples, which do not see that, at any time. */
TEST(policy_guest_dips_between_two_looks)
{
	for (unsigned int ms = 0; ms < 3000; ms += 7) {
		guest_start(MODEL_AERATOR, MODEL_REPORTING, TOP);
		check_rest(0);
		guest_set(TOP - MIB(100));
		guest_set(TOP);
		guest_pass(ms);
		guest_set(TOP - MIB(300));
		guest_set(TOP);
		check_note("%u ms after a free", ms);
		check_rest(0);
	}
}

static u64 random_amount(u64 *random)
{
	return MIB(check_random(random, 3) ? check_random(random, 56) * 50 :
					     check_random(random, 2800));
}

/* The amount of free memory that may be treated now. */
static u64 allowed(void)
{
	u64 reserve = min(guest.limits.reserve, guest.free);

	return min(guest.free - reserve, guest.limits.cap);
}

/* Let time pass in steps of 10 ms, and check the limits after each pass. */
static void pass_within_limits(unsigned int ms)
{
	for (unsigned int i = 0; i < ms; i += 10) {
		u64 reported = guest.reported;

		guest_pass(10);
		check(guest.treated <= guest.blocks);
		if (guest.reported != reported)
			check(guest.treated <= allowed());
	}
}

static void random_guest(enum model_intake in, u64 *random)
{
	guest_start(MODEL_AERATOR, in, random_amount(random));
	if (!check_random(random, 2))
		guest.limits.reserve = MIB(check_random(random, 500));
	if (!check_random(random, 2))
		guest.limits.cap = MIB(500 + check_random(random, 2300));
	if (!check_random(random, 4))
		guest.limits.window_ms = check_random(random, 3000);
	for (unsigned int i = 0; i < 30; i++) {
		pass_within_limits(check_random(random, 1000));
		if (check_random(random, 20) == 0)
			policy_pressure(&guest.policy, guest.now);
		if (check_random(random, 3))
			guest_set(random_amount(random));
		else
			guest_touch(min(random_amount(random), guest.blocks), 160);
	}
}

static u64 may_be_left(void)
{
	bool limited = guest.limits.reserve || guest.limits.cap != U64_MAX;

	return limited && guest.intake == MODEL_REPORTING ? MODEL_BATCH : 0;
}

/*
 * The limits are kept, and memory that stays free is treated in the end; without the patch,
 * less than a batch above the reserve may stay raw.
 */
TEST(policy_guest_with_random_histories)
{
	u64 random = CHECK_RANDOM_SEED;

	for_each_intake(in)
		for (unsigned int i = 0; i < 300; i++) {
			check_note("%s, history %u", intakes[in], i);
			random_guest(in, &random);
			pass_within_limits(2 * MINUTE);
			check(guest.treated + may_be_left() >= min(allowed(), guest.blocks));
			check_rest(U64_MAX);
		}
}

/* With a fixed window nothing is treated earlier, whatever was learnt. */
TEST(policy_guest_with_a_fixed_window)
{
	static const unsigned int windows[] = { 0, 75, 700, 1200, 10000 };

	for (unsigned int i = 0; i < ARRAY_LEN(windows); i++)
		for_each_intake(in) {
			unsigned int ms;

			guest_start(MODEL_AERATOR, in, MIB(100));
			guest.limits.window_ms = windows[i];
			guest_pass(MINUTE);
			guest_set(TOP);
			guest_pass(windows[i] ? windows[i] - 1 : 0);
			check_note("%s, window %u", intakes[in], windows[i]);
			check_eq(guest.treated, MIB(100));
			ms = back_after();
			check(ms <= windows[i] / 4 + 150);
		}
}

/* A batch that would exceed the reserve is never accepted. */
TEST(policy_guest_keeps_a_reserve_from_batches)
{
	guest_start(MODEL_AERATOR, MODEL_REPORTING, MIB(100));
	guest.limits.reserve = MIB(300);
	guest_pass(MINUTE);
	guest_set(MIB(1000));
	pass_within_limits(MINUTE);
	check(guest.treated > MIB(100));
	check(guest.free - guest.treated >= MIB(300));
	check(model_rests(&guest));
}
