// SPDX-License-Identifier: GPL-2.0
/* The policy: what guests did, recorded in traces/. */
#include "policy_guest_fixture.h"

#define SOON_MS		1400

static struct trace trace;
static struct guest guest;

static void replay(const char *name, enum guest_driver driver)
{
	trace_read(&trace, name);
	guest_start(&guest, driver, WINDOW, trace.moments[0].blocks);
	trace_replay(&trace, &guest);
}

/* What was raw so long after the last free that is no noise. */
static u64 raw_after(const char *name, enum guest_driver driver, unsigned int ms)
{
	u64 end;

	trace_read(&trace, name);
	end = trace_last_free(&trace) + ms;
	guest_start(&guest, driver, WINDOW, trace.moments[0].blocks);
	for (const struct moment *m = trace.moments; T0 + m->ms <= end; m++)
		guest_change(&guest, T0 + m->ms, m->free, m->blocks);
	guest_until(&guest, end);
	return guest_raw(&guest);
}

/* What allocations took in all. */
static u64 taken(void)
{
	u64 pages = 0;

	for (unsigned int i = 1; i < trace.nr; i++)
		if (trace.moments[i].blocks < trace.moments[i - 1].blocks)
			pages += trace.moments[i - 1].blocks - trace.moments[i].blocks;
	return pages;
}

/* Nothing is left in the end, and nobody looks any more. */
static void check_rest(void)
{
	guest_until(&guest, guest.now + MINUTE);
	check_eq(guest_raw(&guest), 0);
	check(guest_rests(&guest));
}

/* Of 3000 MiB 1 % may be raw then. virtio_balloon has hardly begun. */
TEST(policy_trace_release)
{
	const u64 freed = MIB(3000);
	u64 end;

	replay("release", GUEST_AERATOR);
	check_eq(guest.taken_back, 0);
	check_rest();

	/* The large one; what trickles in later follows it. */
	end = T0 + trace.moments[2].ms;
	check(trace.moments[2].blocks - trace.moments[0].blocks > freed * 98 / 100);
	guest_start(&guest, GUEST_AERATOR, WINDOW, trace.moments[0].blocks);
	for (unsigned int i = 0; T0 + trace.moments[i].ms < end + SOON_MS; i++)
		guest_change(&guest, T0 + trace.moments[i].ms, trace.moments[i].free,
			     trace.moments[i].blocks);
	guest_until(&guest, end + SOON_MS);
	check(guest_raw(&guest) <= freed / 100);
	check(raw_after("release", GUEST_BALLOON, SOON_MS) > freed / 2);
}

/* 512 MiB that are free for no longer than a second are left alone. */
static void check_churn(const char *name)
{
	const u64 first = MIB(512);

	replay(name, GUEST_AERATOR);
	check_note("%s: %llu of %llu MiB", name, guest.taken_back / MIB(1),
		   taken() / MIB(1));
	check(guest.taken_back <= first + (taken() - first) / 50);
	check_rest();
	/* The last free is treated, but for what trickles in. */
	check(raw_after(name, GUEST_AERATOR, SOON_MS) <= SLACK);
}

TEST(policy_trace_churn_with_short_gaps)
{
	check_churn("churn-0.1");
}

TEST(policy_trace_churn_with_gaps_of_a_second)
{
	check_churn("churn-1");
}

/* Longer than two windows: given away each time, and back each time. */
TEST(policy_trace_churn_with_long_gaps)
{
	u64 held;

	replay("churn-3", GUEST_BALLOON);
	held = guest.held;
	replay("churn-3", GUEST_AERATOR);
	check(guest.taken_back <= taken());
	check(guest.held < held / 3);
	check_eq(guest.policy.strikes, 0);
	check_rest();
	check(raw_after("churn-3", GUEST_AERATOR, SOON_MS) <= SLACK);
}

/* It begins with all that it takes, and gives little away but at its end. */
TEST(policy_trace_pattern)
{
	replay("pattern", GUEST_AERATOR);
	check(guest.taken_back <= MIB(1024) + MIB(16));
	check_rest();
	check(raw_after("pattern", GUEST_AERATOR, SOON_MS) <= SLACK);
}

/* Written in ten seconds, and gone within one. */
TEST(policy_trace_file)
{
	replay("file", GUEST_AERATOR);
	check(guest.taken_back <= MIB(1500) + MIB(16));
	check(guest.works + guest.looks < 100);
	check_rest();
	check(raw_after("file", GUEST_AERATOR, SOON_MS) <= MIB(15));
}

/* Noise: next to nothing is treated, and the guest is hardly woken for it. */
TEST(policy_trace_small)
{
	replay("small", GUEST_AERATOR);
	check(guest.taken_back <= MIB(60));
	check(guest.works + guest.looks < 4 * 31);
	check_rest();
}
