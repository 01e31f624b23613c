// SPDX-License-Identifier: GPL-2.0
/* The policy: small guests that live by it. */
#include "policy_fixture.h"

/*
 * A guest, replayed from a table of its free memory. It asks and looks as the
 * module does: a rise asks for a pass if none waits, while one waits free
 * memory is looked at eight times a second, a pass that left something goes on,
 * and one that shall never run waits no more.
 */
#define GUEST_PASS	MIB(256)
#define GUEST_PASS_MS	5
#define GUEST_LOOK_MS	125

struct moment {
	unsigned int ms;
	unsigned int mib;
};

struct recording {
	const struct moment *moments;
	unsigned int nr;
	unsigned int repeats;
	unsigned int period_ms;
	unsigned int end_ms;
};

static struct {
	u64 free;
	u64 raw;
	u64 look;
	u64 last;
	bool waiting;
	unsigned int passes;
	unsigned int first_ms;
	unsigned int last_ms;
	unsigned int gap_min;
} guest;

static void guest_change(u64 now, u64 free)
{
	if (free > guest.free) {
		guest.raw += free - guest.free;
		if (!guest.waiting) {
			request(now, guest.free);
			guest.look = now;
		}
		guest.waiting = true;
	} else {
		guest.raw -= guest.raw < guest.free - free ?
			     guest.raw : guest.free - free;
	}
	guest.free = free;
}

static void guest_pass(u64 now)
{
	u64 pages = guest.raw < GUEST_PASS ? guest.raw : GUEST_PASS;

	if (!guest.passes++)
		guest.first_ms = now - T0;
	else if (now - guest.last < guest.gap_min)
		guest.gap_min = now - guest.last;
	guest.last_ms = now - T0;
	guest.last = now;
	guest.raw -= pages;
	guest.waiting = guest.raw;
	passed(now, pages);
}

/* Returns when to look again, if a pass still waits then. */
static u64 guest_look(u64 now)
{
	unsigned int ms;

	sample(now, guest.free);
	ms = wait(now);
	if (ms == POLICY_NEVER)
		guest.waiting = false;
	if (ms)
		return now + (ms < GUEST_LOOK_MS ? ms : GUEST_LOOK_MS);
	guest_pass(now);
	return now + GUEST_PASS_MS;
}

static void guest_until(u64 now, u64 end)
{
	for (; now < end; now++)
		if (guest.waiting && now >= guest.look)
			guest.look = guest_look(now);
}

static void guest_replay(const struct recording *rec)
{
	u64 now = T0;

	memset(&guest, 0, sizeof(guest));
	guest.gap_min = ~0U;
	guest.free = MIB(rec->moments[0].mib);
	for (unsigned int i = 0; i < rec->repeats; i++) {
		for (unsigned int k = 0; k < rec->nr; k++) {
			u64 then = T0 + (u64)i * rec->period_ms +
				   rec->moments[k].ms;

			guest_until(now, then);
			guest_change(then, MIB(rec->moments[k].mib));
			now = then;
		}
	}
	guest_until(now, T0 + rec->end_ms);
}

/* A program ends in a guest that then does nothing: 3 GiB, all at once. */
static const struct moment idle_release[] = {
	{ 0, 310 }, { 0, 3382 }, { 400, 3380 }, { 1500, 3379 }, { 2500, 3384 },
};

TEST(policy_replay_idle_release)
{
	const struct recording rec = {
		idle_release, ARRAY_LEN(idle_release), 1, 0, 30000,
	};

	setup(WINDOW);
	guest_replay(&rec);
	check_eq(guest.first_ms, WINDOW);
	/* Once allowed they stay so until all is done, noise or not. */
	check(guest.gap_min == GUEST_PASS_MS);
	check_eq(guest.raw, 0);
	check_eq(policy.strikes, 0);
	check_eq(guest.passes, 3072 / 256 + 1);
	/* The last one for the noise at the end, on top of a release that lasts. */
	check_eq(guest.last_ms, 2500 + WINDOW / 8);
}

/* 512 MiB are taken and freed all the time, 0.3 s each. */
static const struct moment fast_churn[] = {
	{ 0, 200 }, { 300, 712 },
};

TEST(policy_replay_fast_churn)
{
	const struct recording rec = {
		fast_churn, ARRAY_LEN(fast_churn), 100, 600, 60000,
	};

	setup(WINDOW);
	guest_replay(&rec);
	check(guest.gap_min >= PACE);
	/* Not faster than virtio_balloon, but not much slower either. */
	check(guest.passes <= 60000 / PACE);
	check(guest.passes >= 60000 / (PACE + 800));
	check(guest.first_ms >= PACE);
}

/* A guest that rests for 3 s, which is not the window that its user wants. */
static const struct moment short_rests[] = {
	{ 0, 200 }, { 300, 712 },
};

TEST(policy_replay_long_window_is_kept)
{
	const struct recording rec = {
		short_rests, ARRAY_LEN(short_rests), 200, 3300, 660000,
	};

	setup(5000);
	guest_replay(&rec);
	check(guest.first_ms >= 2 * 5000);
	check(guest.gap_min >= 2 * 5000);
	check(guest.passes >= 660000 / (2 * 5000 + 3300));
	check_eq(policy.strikes, 0);
}

/*
 * 512 MiB are kept for 0.1 s and free for 1.2 s: longer than the window, so
 * that the first guesses are wrong. Then the guest is known.
 */
static const struct moment slow_churn[] = {
	{ 0, 200 }, { 100, 712 },
};

TEST(policy_replay_slow_churn)
{
	struct recording rec = {
		slow_churn, ARRAY_LEN(slow_churn), 2, 1300, 2600,
	};

	setup(WINDOW);
	guest_replay(&rec);
	check_eq(guest.first_ms, 100 + WINDOW);
	check(guest.gap_min < PACE);

	setup(WINDOW);
	rec.repeats = 46;
	rec.end_ms = 46 * 1300;
	guest_replay(&rec);
	check(guest.passes <= 2 * 2 + rec.end_ms / PACE);
	check(guest.passes >= rec.end_ms / (PACE + 1300));
}

/* A build ends, and what it freed is wanted again after ten minutes only. */
static const struct moment long_release[] = {
	{ 0, 512 }, { 10, 768 }, { 600000, 516 }, { 660000, 768 },
};

TEST(policy_replay_long_release)
{
	const struct recording rec = {
		long_release, ARRAY_LEN(long_release), 1, 0, 700000,
	};

	setup(WINDOW);
	guest_replay(&rec);
	check_eq(guest.first_ms, 10 + WINDOW);
	check_eq(guest.passes, 2);
	check_eq(guest.last_ms, 660000 + WINDOW);
	check_eq(policy.strikes, 0);
	check_eq(hold(), WINDOW);
}

/* Small frees within the reserve ask in vain, the large one does not. */
static const struct moment reserved[] = {
	{ 0, 200 }, { 0, 900 }, { 4000, 1000 }, { 5000, 1500 },
};

TEST(policy_replay_reserve)
{
	const struct recording rec = {
		reserved, ARRAY_LEN(reserved), 1, 0, 30000,
	};

	setup(WINDOW);
	limits.reserve = MIB(1000);
	guest_replay(&rec);
	check_eq(guest.first_ms, 5000 + WINDOW);
	check_eq(guest.raw, 0);
}

/*
 * Whatever the guest does, and whatever it did before: a pass that was asked
 * for runs, and by the time that virtio_balloon would have run it.
 */
TEST(policy_nobody_starves)
{
	u64 random = CHECK_RANDOM_SEED;
	u64 asked = T0;
	unsigned int passes = 0;

	setup(WINDOW);
	request(T0, MIB(500));
	for (u64 now = T0; now < T0 + 1000000; now += 10) {
		sample(now, MIB(1 + check_random(&random, 1000)));
		check_note("at %llu ms", now - T0);
		check(wait(now) <= PACE);
		check(now - asked <= PACE);
		if (wait(now))
			continue;
		passed(now, MIB(1));
		passes++;
		asked = now;
		if (check_random(&random, 2))
			request(now, MIB(500));
	}
	check_eq(passes, 1000000 / PACE - 1);
}
