// SPDX-License-Identifier: GPL-2.0
/* The reactor's batch: its blocks, their merging, the answers to its chains. */
#include "reactor_fixture.h"

/*
 * Blocks.
 */
TEST(reactor_add_counts_blocks_and_pages)
{
	setup();
	check(!refused(reactor_fill(&reactor, T0)));
	check(reactor_add(&reactor, 0, BLOCK));
	check_eq(reactor.blocks, 1);
	check_eq(reactor.pages, BLOCK);
	check(reactor_add(&reactor, 1ULL << 40, 2 * BLOCK));
	check_eq(reactor.blocks, 2);
	check_eq(reactor.pages, 3 * BLOCK);
	check_eq(reactor.nr_runs, 2);
}

/* A full batch refuses even a block that would merge into an entry. */
TEST(reactor_full_batch_takes_no_more)
{
	unsigned int i;

	setup();
	check(!refused(reactor_fill(&reactor, T0)));
	for (i = 0; i < SIZE; i++)
		check(reactor_add(&reactor, 2 * i * BLOCK, BLOCK));
	check_eq(reactor.nr_runs, SIZE);

	remember();
	check(!reactor_add(&reactor, 99 * BLOCK, BLOCK));
	check(!reactor_add(&reactor, (2 * SIZE - 1) * BLOCK, BLOCK));
	check(unchanged());
}

/* The owner may set a smaller size between two batches. */
TEST(reactor_size_is_that_of_the_batch)
{
	setup();
	reactor.size = 1;
	check(!refused(reactor_fill(&reactor, T0)));
	check(reactor_add(&reactor, 0, BLOCK));
	check(!reactor_add(&reactor, BLOCK, BLOCK));
	check_eq(reactor.blocks, 1);
}

/*
 * Neighbours. Numbers are in blocks; an element of zero length ends a table.
 */
struct merge {
	const char *name;
	struct reactor_run added[SIZE];
	struct reactor_run want[SIZE];
};

static const struct merge merges[] = {
	{ "up", { { 4, 1 }, { 5, 1 } }, { { 4, 2 } } },
	{ "down", { { 5, 1 }, { 4, 1 } }, { { 4, 2 } } },
	{ "up, up", { { 4, 1 }, { 5, 1 }, { 6, 1 } }, { { 4, 3 } } },
	{ "down, down", { { 6, 1 }, { 5, 1 }, { 4, 1 } }, { { 4, 3 } } },
	{ "both sides", { { 5, 1 }, { 6, 1 }, { 4, 1 } }, { { 4, 3 } } },
	{ "lengths up", { { 4, 2 }, { 6, 1 } }, { { 4, 3 } } },
	{ "lengths down", { { 5, 1 }, { 3, 2 } }, { { 3, 3 } } },
	{ "a gap above", { { 4, 1 }, { 6, 1 } }, { { 4, 1 }, { 6, 1 } } },
	{ "a gap below", { { 4, 1 }, { 2, 1 } }, { { 4, 1 }, { 2, 1 } } },
	{ "the last entry only", { { 4, 1 }, { 8, 1 }, { 5, 1 } },
	  { { 4, 1 }, { 8, 1 }, { 5, 1 } } },
	{ "the last of several", { { 4, 1 }, { 8, 1 }, { 9, 1 }, { 7, 1 } },
	  { { 4, 1 }, { 7, 3 } } },
	{ "two entries are never joined", { { 4, 1 }, { 6, 1 }, { 5, 1 } },
	  { { 4, 1 }, { 5, 2 } } },
	{ "longest entry", { { 4, 2 }, { 6, 1 } }, { { 4, 3 } } },
	{ "too long up", { { 4, 2 }, { 6, 2 } }, { { 4, 2 }, { 6, 2 } } },
	{ "too long down", { { 6, 2 }, { 4, 2 } }, { { 6, 2 }, { 4, 2 } } },
	{ "on after too long",
	  { { 4, 3 }, { 7, 1 }, { 8, 1 }, { 9, 1 } },
	  { { 4, 3 }, { 7, 3 } } },
	{ "one block too long", { { 4, 9 }, { 13, 1 } },
	  { { 4, 9 }, { 13, 1 } } },
	{ "far up", { { 1ULL << 40, 1 }, { (1ULL << 40) + 1, 1 } },
	  { { 1ULL << 40, 2 } } },
	{ "alike in 32 bits", { { 4, 1 }, { (1ULL << 32) + 5, 1 } },
	  { { 4, 1 }, { (1ULL << 32) + 5, 1 } } },
	{ "address zero", { { 1, 1 }, { 0, 1 } }, { { 0, 2 } } },
};

static void check_runs(const struct reactor_run *want)
{
	unsigned int n = 0;

	for (; n < SIZE && want[n].pages; n++) {
		check_eq(runs[n].pfn, want[n].pfn * BLOCK);
		check_eq(runs[n].pages, want[n].pages * BLOCK);
	}
	check_eq(reactor.nr_runs, n);
}

static void check_merge(const struct merge *merge)
{
	const struct reactor_run *run = merge->added;
	u64 pages = 0;
	unsigned int n = 0;

	check_note("%s", merge->name);
	setup();
	check(!refused(reactor_fill(&reactor, T0)));
	for (; n < SIZE && run[n].pages; n++) {
		check(reactor_add(&reactor, run[n].pfn * BLOCK,
				  run[n].pages * BLOCK));
		pages += run[n].pages * BLOCK;
	}
	check_eq(reactor.blocks, n);
	check_eq(reactor.pages, pages);
	check_runs(merge->want);
}

TEST(reactor_merges_neighbours)
{
	for (unsigned int i = 0; i < ARRAY_LEN(merges); i++)
		check_merge(&merges[i]);
}

/* RUN_MAX pages are allowed in an entry, one more is not. */
TEST(reactor_run_max_is_exact)
{
	setup();
	check(!refused(reactor_fill(&reactor, T0)));
	check(reactor_add(&reactor, 10, RUN_MAX - 1));
	check(reactor_add(&reactor, 10 + RUN_MAX - 1, 1));
	check_eq(reactor.nr_runs, 1);
	check_eq(runs[0].pages, RUN_MAX);
	check(reactor_add(&reactor, 10 + RUN_MAX, 1));
	check_eq(reactor.nr_runs, 2);
	check(reactor_add(&reactor, 9, 1));
	check_eq(reactor.nr_runs, 3);
}

/*
 * Answers: in time, late, none.
 */
/* Reach a batch of three entries, none of them sent. */
static u64 reach_three(void)
{
	u64 now = reach(FILL_MOST);

	check(reactor_react(&reactor, now));
	check_eq(reactor.nr_runs, 3);
	return now;
}

TEST(reactor_chains_are_answered_one_by_one)
{
	u64 now = reach_three();
	unsigned int i;

	for (i = 0; i < 3; i++)
		check(!refused(reactor_sent(&reactor, 1)));
	check_eq(reactor.chains, 3);
	check(!refused(reactor_settle(&reactor, now)));
	check(!reactor_decant(&reactor, now));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 2);
	check(!reactor_decant(&reactor, now));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 1);
	check(!reactor_decant(&reactor, now));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 0);
	check(refused(reactor_answer(&reactor)));
	check(reactor_decant(&reactor, now));
	check(reactor.treated);
	check(!reactor.expired);
}

/* Answers to all sent chains are not enough: there may be more entries to send. */
TEST(reactor_is_answered_as_a_whole)
{
	u64 now = reach_three();

	check(!refused(reactor_settle(&reactor, now)));
	check_eq(reactor_unsent(&reactor), 3);
	check(!reactor_answered(&reactor));
	check(!refused(reactor_sent(&reactor, 2)));
	check_eq(reactor.chains, 1);
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 0);
	check_eq(reactor_unsent(&reactor), 1);
	check(!reactor_answered(&reactor));
	check(!reactor_decant(&reactor, now));
	check(!refused(reactor_sent(&reactor, 1)));
	check(!reactor_answered(&reactor));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 0);
	check(reactor_answered(&reactor));
	check(reactor_decant(&reactor, now));
}

TEST(reactor_equip_changes_the_room)
{
	struct reactor_run one[1];

	setup();
	check(!refused(reactor_set_runs(&reactor, one, ARRAY_LEN(one))));
	check(!refused(reactor_fill(&reactor, T0)));
	check(reactor_add(&reactor, BLOCK, BLOCK));
	check(!reactor_add(&reactor, 5 * BLOCK, BLOCK));
	check_eq(one[0].pfn, BLOCK);
	check(refused(reactor_set_runs(&reactor, runs, SIZE)));
}

TEST(reactor_late_answer_is_one)
{
	u64 now = reach(SETTLE);

	check(!refused(reactor_expire(&reactor)));
	check(reactor.expired);
	check_eq(reactor.chains, 2);
	check(!reactor_decant(&reactor, now));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 1);
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 0);
	check(reactor_decant(&reactor, now));
	check(reactor.treated);
	check(reactor.expired);
}

TEST(reactor_may_be_told_twice_that_it_expired)
{
	reach(SETTLE);
	check(!refused(reactor_expire(&reactor)));
	check(!refused(reactor_expire(&reactor)));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 1);
	check(!refused(reactor_expire(&reactor)));
	check_eq(reactor.stage, REACTOR_SETTLE);
}

TEST(reactor_answered_batch_does_not_expire)
{
	reach(ANSWERED);
	check(refused(reactor_expire(&reactor)));
	check(!reactor.expired);
}

/* The blocks of an aborted batch are raw, even if some chains were answered. */
TEST(reactor_abort_leaves_the_blocks_raw)
{
	static const enum state froms[] = {
		REACT, SETTLE_UNSENT, SETTLE_PART, SETTLE_PART_ANSWERED,
		SETTLE, SETTLE_LAST, SETTLE_EXPIRED,
		SETTLE_EXPIRED_LAST, ANSWERED, ANSWERED_LATE,
	};

	for (unsigned int i = 0; i < ARRAY_LEN(froms); i++) {
		u64 now = reach(froms[i]);

		check_note("from %s", ways[froms[i]].name);
		check(!refused(reactor_abort(&reactor, now)));
		check_eq(reactor.stage, REACTOR_DECANT);
		check(!reactor.treated);
		check_eq(reactor.chains, 0);
		check_eq(reactor.blocks, 2);
		check(refused(reactor_answer(&reactor)));
	}
}

/* The observer is called when no chain is in flight any more. */
TEST(reactor_abort_is_told_without_chains)
{
	u64 now = reach(SETTLE);

	check(!refused(reactor_abort(&reactor, now)));
	check_eq(last_departure()->chains, 0);
}
