// SPDX-License-Identifier: GPL-2.0
/* The policy: small guests that live by it. */
#include "policy_guest_fixture.h"

#define ALL		MIB(3500)
#define CHURN		MIB(512)
#define SOON_MS		1400

static struct guest guest;

/* A guest that has been idle for a while: the host knows of all that is free. */
static void setup_guest(enum guest_driver driver, u64 free)
{
	guest_start(&guest, driver, WINDOW, free);
	guest_until(&guest, T0 + 10 * MINUTE);
	check_eq(guest_raw(&guest), 0);
	check(guest_rests(&guest));
	guest_count_anew(&guest);
}

/* From the look of the one who waits for memory: until so much was not raw. */
static unsigned int ms_until_raw(u64 pages)
{
	u64 start = guest.now;

	while (guest_raw(&guest) > pages && guest.now < start + 10 * MINUTE)
		guest_until(&guest, guest.now + 1);
	return guest.now - start;
}

TEST(policy_guest_ends_a_program)
{
	unsigned int ms;

	setup_guest(GUEST_AERATOR, MIB(500));
	guest_change(&guest, guest.now, ALL, ALL);
	check(ms_until_raw(MIB(3000) - 1) >= WINDOW);
	check_eq(guest_raw(&guest), MIB(3000) - MIB(128));
	ms = WINDOW + ms_until_raw(MIB(30));
	check(ms < SOON_MS);
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest_raw(&guest), 0);
	check_eq(guest.passes, 1);
	check_eq(guest.taken_back, 0);

	/* The one to be better than. */
	setup_guest(GUEST_BALLOON, MIB(500));
	guest_change(&guest, guest.now, ALL, ALL);
	check(ms_until_raw(MIB(30)) > 10 * ms);
}

/* In less than a window memory is never let go, if it is seen to be taken. */
TEST(policy_guest_churns)
{
	static const unsigned int gaps[] = {
		0, 1, 50, 100, 300, 600, 900, 1000, 1100, 1150, 1199,
	};
	static const unsigned int uses[] = { LOOK_MAX + 1, 200, 300, 1000, 3000, 10000 };

	for (unsigned int i = 0; i < ARRAY_LEN(gaps); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(uses); k++) {
			setup_guest(GUEST_AERATOR, ALL);
			check_note("gap %u ms, use %u ms", gaps[i], uses[k]);
			check_eq(guest_churn(&guest, CHURN, gaps[i], uses[k], 100), 0);
			check_eq(guest_raw(&guest), CHURN);
			check(ms_until_raw(0) <= SOON_MS);
		}
}

/*
 * Taken and freed between two looks: that is not seen, and once in a while all of it
 * is let go. That makes the hold longer, so that it happens less and less.
 */
TEST(policy_guest_churns_unseen)
{
	static const unsigned int gaps[] = { 50, 100, 300, 600, 900, 1000, 1100, 1199 };
	static const unsigned int uses[] = { 1, 20, 60, 100 };
	unsigned int lost = 0;

	for (unsigned int i = 0; i < ARRAY_LEN(gaps); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(uses); k++) {
			unsigned int share;

			setup_guest(GUEST_AERATOR, ALL);
			share = guest_churn(&guest, CHURN, gaps[i], uses[k], 200);
			check_note("gap %u, use %u: %u", gaps[i], uses[k], share);
			check(share < 300);
			lost += share;
		}
	check_note("%u", lost);
	check(lost / (ARRAY_LEN(gaps) * ARRAY_LEN(uses)) < 60);
}

/* Longer than a window, but not than two: wrong a few times, and then known. */
TEST(policy_guest_churns_slowly)
{
	static const unsigned int gaps[] = { 1300, 1500, 1800, 2100, 2300 };
	static const unsigned int uses[] = { 100, 300, 1000, 3000, 20000 };

	for (unsigned int i = 0; i < ARRAY_LEN(gaps); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(uses); k++) {
			unsigned int share;

			setup_guest(GUEST_AERATOR, ALL);
			share = guest_churn(&guest, CHURN, gaps[i], uses[k], 100);
			check_note("gap %u, use %u: %u", gaps[i], uses[k], share);
			check(share <= 50);
			check(share >= 10);
			/* What lasts in the end is forgiveness. */
			guest_until(&guest, guest.now + MINUTE);
			check_eq(guest_raw(&guest), 0);
			check_eq(guest.policy.strikes, 0);
		}
}

/* Gaps that are a little too long are learned, though the host takes @ms for its part. */
static void check_learned(unsigned int gap_ms, unsigned int ms)
{
	unsigned int share = guest_churn(&guest, CHURN, gap_ms, 3000, 100);

	check_note("host %u ms, gap %u ms: %u", ms, gap_ms, share);
	check(share <= 50);
}

/* The host is slow: what is released is taken back while it still is at it. */
TEST(policy_guest_churns_beside_a_slow_host)
{
	static const unsigned int batches[] = { 20, 40, 60, 100 };
	static const unsigned int gaps[] = { 1250, 1300, 1400, 1500 };

	for (unsigned int i = 0; i < ARRAY_LEN(batches); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(gaps); k++) {
			setup_guest(GUEST_AERATOR, ALL);
			guest.batch_ms = batches[i];
			check_learned(gaps[k], batches[i]);
		}
}

/* Or takes longer than the window to bring it back: what falls has not lasted. */
TEST(policy_guest_churns_beside_a_host_that_swaps)
{
	static const unsigned int touches[] = { 200, 700, 1500, 3000, 4000 };
	static const unsigned int gaps[] = { 1250, 1500, 1800, 2000 };

	for (unsigned int i = 0; i < ARRAY_LEN(touches); i++)
		for (unsigned int k = 0; k < ARRAY_LEN(gaps); k++) {
			setup_guest(GUEST_AERATOR, ALL);
			guest.touch_ms = touches[i];
			check_learned(gaps[k], touches[i]);
		}
}

/*
 * It takes 32 MiB for a moment, 0.7 s after 0.7 s, and so is never quiet. Returns when
 * that was so for @ms.
 */
static void guest_bustles(u64 free, unsigned int ms)
{
	u64 end = guest.now + ms;

	while (guest.now < end) {
		guest_change(&guest, guest.now + 400, free - MIB(32), free - MIB(32));
		guest_change(&guest, guest.now + 300, free, free);
	}
}

/* Its falls are older than what it frees for good, which lasts, and counts. */
TEST(policy_guest_bustles_and_is_forgiven)
{
	static const unsigned int pauses[] = { 10000, 15000, 20000, 30000, 40000 };

	for (unsigned int i = 0; i < ARRAY_LEN(pauses); i++) {
		u64 free = MIB(500);

		setup_guest(GUEST_AERATOR, free);
		guest.policy.strikes = 4;
		for (u64 end = guest.now + 20 * MINUTE; guest.now < end; free += MIB(40))
			guest_bustles(free, pauses[i]);
		check_note("each %u ms", pauses[i]);
		check_eq(guest.policy.strikes, 0);
	}
}

/* Nor is it wrong to release what it then leaves alone for longer than the hold. */
TEST(policy_guest_bustles_and_comes_back_late)
{
	static const unsigned int gaps[] = { 7000, 8000, 9000, 10000, 20000 };

	for (unsigned int i = 0; i < ARRAY_LEN(gaps); i++) {
		setup_guest(GUEST_AERATOR, ALL);
		for (u64 end = guest.now + 20 * MINUTE; guest.now < end;) {
			guest_bustles(ALL, gaps[i]);
			guest_bustles(ALL - MIB(1024), 5000);
		}
		check_note("gap %u ms", gaps[i]);
		check_eq(guest.policy.strikes, 0);
	}
}

/* Much longer: to the host the memory is worth more than it costs the guest. */
TEST(policy_guest_comes_back_late)
{
	setup_guest(GUEST_AERATOR, ALL);
	check_eq(guest_churn(&guest, CHURN, 5000, 1000, 20), 1000);
	check_eq(guest.policy.strikes, 0);
	check(ms_until_raw(0) <= SOON_MS);
}

/* What is never touched is given away while the rest comes and goes. */
TEST(policy_guest_churns_beside_free_memory)
{
	guest_start(&guest, GUEST_AERATOR, WINDOW, ALL);
	guest_churn(&guest, CHURN, 300, 300, 200);
	check_eq(guest_raw(&guest), CHURN);
	check_eq(guest.level.treated, ALL - CHURN);
	check_eq(guest.taken_back, 0);
	/* And so is what comes free meanwhile. */
	guest_change(&guest, guest.now, ALL + MIB(1000), ALL + MIB(1000));
	guest_churn(&guest, CHURN, 300, 300, 200);
	check_eq(guest.level.treated, ALL + MIB(1000) - CHURN);
	check_eq(guest.taken_back, 0);
}

/* It takes less and less, or more and more; no more than that is lost. */
TEST(policy_guest_churns_with_a_trend)
{
	static const int steps[] = { -4, 4 };

	for (unsigned int i = 0; i < ARRAY_LEN(steps); i++) {
		u64 pages = MIB(1000);

		setup_guest(GUEST_AERATOR, ALL);
		for (unsigned int round = 0; round < 100; round++) {
			guest_change(&guest, guest.now + 500, ALL - pages, ALL - pages);
			if (!round)
				guest_count_anew(&guest);
			guest_change(&guest, guest.now + 300, ALL, ALL);
			pages += MIB(steps[i]);
		}
		check_note("by %d MiB", steps[i]);
		check(guest.taken_back <= (steps[i] > 0 ? 100 * MIB(4) : 0));
		check(ms_until_raw(0) <= SOON_MS);
	}
}

/*
 * Rest.
 */
/* Whatever it did: nothing is left in the end, and nobody looks any more. */
TEST(policy_guest_goes_to_rest)
{
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int i = 0; i < 300; i++) {
		unsigned int changes = check_random(&random, 200);

		guest_start(&guest, GUEST_AERATOR, WINDOW, ALL);
		while (changes--) {
			u64 free = MIB(check_random(&random, 3500)) +
				   check_random(&random, 100);

			guest_change(&guest, guest.now + check_random(&random, 3000),
				     free, free);
		}
		guest_count_anew(&guest);
		guest_until(&guest, guest.now + 5 * MINUTE);
		check_note("guest %u: %u times", i, guest.works + guest.looks);
		check(guest_rests(&guest));
		check_eq(guest_raw(&guest), 0);
		check(guest.works + guest.looks <= 8 * WINDOW / LOOK_MAX * 2);
	}
}

/* One free, one release: a look now and then for a window, and a few after it. */
TEST(policy_guest_is_woken_few_times)
{
	setup_guest(GUEST_AERATOR, MIB(500));
	guest_change(&guest, guest.now, ALL, ALL);
	guest_until(&guest, guest.now + 10 * MINUTE);
	check(guest.works <= WINDOW / LOOK_MAX + 4);
	check(guest.looks <= SPAN + 1);
	guest_count_anew(&guest);
	guest_until(&guest, guest.now + 60 * MINUTE);
	check_eq(guest.works + guest.looks, 0);
}

/* A few MiB up and down are left alone; a look for each, or two. */
TEST(policy_guest_makes_noise)
{
	setup_guest(GUEST_AERATOR, ALL);
	guest_churn(&guest, MIB(12), 700, 300, 1000);
	check(guest.passes <= 2);
	check(guest.taken_back <= 2 * MIB(12));
	check(guest.works <= 1001);
	check(guest.looks <= 1001);
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest_raw(&guest), 0);
}

/*
 * What the user asked for.
 */
TEST(policy_guest_keeps_a_reserve)
{
	guest_start(&guest, GUEST_AERATOR, WINDOW, ALL);
	guest.limits.reserve = MIB(700);
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest_raw(&guest), MIB(700));
	check(guest_rests(&guest));
	guest_change(&guest, guest.now, ALL - MIB(600), ALL - MIB(600));
	guest_change(&guest, guest.now, ALL, ALL);
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest.taken_back, 0);
	guest_change(&guest, guest.now, MIB(600), MIB(600));
	guest_change(&guest, guest.now, MIB(700), MIB(700));
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest_raw(&guest), MIB(100));
	check(guest_rests(&guest));
}

/* Fragmented: most of what is free is in small blocks, which count for the reserve. */
TEST(policy_guest_has_small_blocks)
{
	guest_start(&guest, GUEST_AERATOR, WINDOW, ALL);
	guest.limits.reserve = MIB(700);
	guest_change(&guest, T0, ALL, MIB(1000));
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest.level.treated, MIB(1000));
	check(guest_rests(&guest));
}

TEST(policy_guest_keeps_a_rate)
{
	guest_start(&guest, GUEST_AERATOR, WINDOW, ALL);
	guest.rate_limit = MIB(100);
	guest_until(&guest, T0 + WINDOW + 1000);
	check(guest.treated <= 2 * MIB(100));
	guest_until(&guest, T0 + WINDOW + 20000);
	check(guest.treated <= 21 * MIB(100));
	check(guest.treated >= 20 * MIB(100));
	check(ms_until_raw(0) <= 15000);
	guest_until(&guest, guest.now + MINUTE);
	check(guest_rests(&guest));
	check(guest.works <= 35 * 9 + 20);
}

TEST(policy_guest_keeps_below_a_cap)
{
	guest_start(&guest, GUEST_AERATOR, WINDOW, ALL);
	guest.limits.cap = MIB(1000);
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest.level.treated, MIB(1000));
	check(guest_rests(&guest));
	guest_churn(&guest, CHURN, 5000, 1000, 10);
	check_eq(guest.taken_back, 0);
}
