// SPDX-License-Identifier: GPL-2.0
/*
 * The reactor in a long sequence of random calls, most of them refused. The test
 * computes the sums of the successful calls, too, and both must agree.
 */
#include <string.h>
#include "reactor_fixture.h"

#define WALK_CALLS	100000

static struct {
	u64 random;
	u64 now;
	u64 spent;
	u64 batches;
	u64 pages;
	unsigned int blocks;
	unsigned int unsent;
	unsigned int awaited;
	bool aborted;
	unsigned int left[REACTOR_STAGES];
} walk;

/* The state diagram at the head of reactor.c. */
static const bool picture[REACTOR_STAGES][REACTOR_STAGES] = {
	[REACTOR_IDLE] = { [REACTOR_FILL] = true },
	[REACTOR_FILL] = { [REACTOR_REACT] = true, [REACTOR_IDLE] = true },
	[REACTOR_REACT] = { [REACTOR_SETTLE] = true, [REACTOR_DECANT] = true },
	[REACTOR_SETTLE] = { [REACTOR_DECANT] = true },
	[REACTOR_DECANT] = { [REACTOR_FILL] = true, [REACTOR_IDLE] = true },
};

static void walk_observe(struct reactor *r, enum reactor_stage stage, u64 ns)
{
	departed++;
	walk.left[stage]++;
	walk.spent += ns;
	check(picture[stage][r->stage]);
	/* The most important rule: blocks are only returned once no chain is in flight. */
	if (r->stage == REACTOR_DECANT)
		check((!walk.awaited && !walk.unsent) || walk.aborted);
}

static unsigned int walk_random(unsigned int below)
{
	return check_random(&walk.random, below);
}

static void walk_fill(void)
{
	if (refused(reactor_fill(&reactor, walk.now)))
		return;
	walk.batches++;
	walk.blocks = 0;
	walk.pages = 0;
	walk.aborted = false;
}

/* Block numbers are close together, so that neighbours are frequent. */
static void walk_add(void)
{
	u64 pfn = walk_random(8) * BLOCK;
	u64 pages = (1 + walk_random(3)) * BLOCK;
	const struct reactor_run *last;

	if (!reactor_add(&reactor, pfn, pages))
		return;
	walk.blocks++;
	walk.pages += pages;
	last = &runs[reactor.nr_runs - 1];
	check(last->pfn <= pfn && pfn + pages <= last->pfn + last->pages);
}

static void walk_react(void)
{
	if (reactor_react(&reactor, walk.now))
		walk.unsent = reactor.nr_runs;
}

static void walk_sent(void)
{
	unsigned int entries = walk_random(SIZE + 1);

	if (refused(reactor_sent(&reactor, entries)))
		return;
	check(entries && entries <= walk.unsent);
	walk.unsent -= entries;
	walk.awaited++;
}

static void walk_answer(void)
{
	if (!refused(reactor_answer(&reactor)))
		check_eq(reactor.chains, --walk.awaited);
}

/* The caller of abort guarantees that the device was reset, so no chain is in flight. */
static void walk_abort(void)
{
	bool was = walk.aborted;

	walk.aborted = true;
	if (refused(reactor_abort(&reactor, walk.now)))
		walk.aborted = was;
	else
		walk.awaited = 0;
}

static void walk_rest(void)
{
	enum reactor_stage stage = reactor.stage;

	if (!refused(reactor_rest(&reactor, walk.now)) && stage == REACTOR_FILL)
		walk.batches--;
}

static void walk_call(enum call call)
{
	switch (call) {
	case CALL_FILL:
		walk_fill();
		break;
	case CALL_ADD:
		walk_add();
		break;
	case CALL_REACT:
		walk_react();
		break;
	case CALL_SENT:
		walk_sent();
		break;
	case CALL_ANSWER:
		walk_answer();
		break;
	case CALL_ABORT:
		walk_abort();
		break;
	case CALL_REST:
		walk_rest();
		break;
	default:
		do_call(call, walk.now);
		break;
	}
}

static void check_batch(void)
{
	u64 pages = 0;

	for (unsigned int i = 0; i < reactor.nr_runs; i++) {
		check(runs[i].pages >= BLOCK);
		check(runs[i].pages <= RUN_MAX);
		pages += runs[i].pages;
	}
	check_eq(pages, reactor.pages);
	check_eq(reactor.pages, walk.pages);
	check_eq(reactor.blocks, walk.blocks);
	check(reactor.blocks <= reactor.size);
	check(reactor.nr_runs <= reactor.blocks);
	check_eq(!reactor.nr_runs, !reactor.blocks);
}

static void check_stage(void)
{
	check_eq(reactor.chains, walk.awaited);
	check_eq(reactor.cycle, walk.batches);
	check_eq(walk.spent, reactor.since);
	if (reactor.chains)
		check(reactor.stage == REACTOR_REACT ||
		      reactor.stage == REACTOR_SETTLE);
	if (reactor.stage == REACTOR_REACT || reactor.stage == REACTOR_SETTLE)
		check_eq(reactor_unsent(&reactor), walk.unsent);
	if (reactor.stage != REACTOR_IDLE && reactor.stage != REACTOR_FILL)
		check(reactor.blocks);
	if (reactor.stage == REACTOR_DECANT)
		check_eq(reactor.treated, !walk.aborted);
	else if (reactor.stage != REACTOR_IDLE)
		check(!reactor.treated);
	if (reactor.stage == REACTOR_FILL || reactor.stage == REACTOR_REACT)
		check(!reactor.expired);
}

/* The observer was called exactly if the stage has changed. */
static void check_told(void)
{
	if (departed == before.departed)
		check_eq(reactor.stage, before.reactor.stage);
	else
		check_eq(departed, before.departed + 1);
}

TEST(reactor_random_walk)
{
	setup();
	reactor.left = walk_observe;
	memset(&walk, 0, sizeof(walk));
	walk.random = CHECK_RANDOM_SEED;
	for (unsigned int i = 0; i < WALK_CALLS; i++) {
		enum call call = 1 + walk_random(CALLS - 1);

		check_note("call %u, %s in %s", i, call_names[call],
			   reactor_stage_name(reactor.stage));
		walk.now += walk_random(1U << 30);
		remember();
		walk_call(call);
		check_batch();
		check_stage();
		check_told();
	}
	/* Each stage was reached many times. */
	for (unsigned int i = 0; i < REACTOR_STAGES; i++) {
		check_note("%s left %u times", reactor_stage_name(i),
			   walk.left[i]);
		check(walk.left[i] > WALK_CALLS / 200);
	}
}
