// SPDX-License-Identifier: GPL-2.0
/*
 * Costs in get_cycles(): instructions with QEMU's icount. The smallest of several figures is
 * used, as it does not include an interrupt.
 */
#include <linux/timex.h>
#include "aeration_test.h"

#define LOOKS	8

/*
 * A debug build counts short lists at every change: the lists of both measurements are
 * longer.
 */
#define RAW_BLOCKS	512

static u64 fill_cycles(struct fixture *fixture, unsigned int order, unsigned int *nr)
{
	u64 start = get_cycles();

	*nr = memory_aeration_fill(fixture->zone, order, &fixture->batch,
				   MEMORY_AERATION_HOLD);
	return get_cycles() - start;
}

/* The cost of one fill of raw blocks, while there are @blocks treated ones of their order. */
static u64 fill_beside(struct kunit *test, unsigned int blocks)
{
	struct fixture *fixture = test->priv;
	unsigned long raw, treated;
	unsigned int look, nr;
	u64 least = U64_MAX;

	treat_all(fixture->zone);
	KUNIT_ASSERT_EQ(test, make_apart(&fixture->held, blocks), blocks);
	treat_all(fixture->zone);
	memory_aeration_count(fixture->zone, DIRECT_ORDER, &raw, &treated);
	KUNIT_ASSERT_GE(test, treated, (unsigned long)blocks);
	KUNIT_ASSERT_EQ(test, make_apart(&fixture->held, RAW_BLOCKS), (unsigned int)RAW_BLOCKS);

	for (look = 0; look < LOOKS; look++) {
		least = min(least, fill_cycles(fixture, DIRECT_ORDER, &nr));
		KUNIT_ASSERT_EQ(test, nr, MEMORY_AERATION_HOLD);
		give_back(&fixture->batch, false);
	}
	memory_aeration_count(fixture->zone, DIRECT_ORDER, &raw, &treated);
	kunit_info(test, "figure: filling %u blocks beside %lu treated ones: %llu", nr,
		   treated, least);
	release_all(&fixture->held);
	return least;
}

/* A fill visits no treated block: their number does not change the cost. */
void test_membrane(struct kunit *test)
{
	u64 few = fill_beside(test, 16);
	u64 many = fill_beside(test, 4096);

	if (!instructions)
		kunit_skip(test, "cycles are not instructions");
	KUNIT_EXPECT_LE(test, many * 100, few * 102);
	KUNIT_EXPECT_LE(test, few * 100, many * 102);
}

struct held {
	u64 fill;	/* the longest call; each takes zone->lock once */
	u64 drain;	/* the whole drain */
};

static struct held hold_once(struct kunit *test, unsigned int blocks, unsigned int order,
			     bool treated)
{
	struct fixture *fixture = test->priv;
	unsigned int nr, filled = 0;
	struct held held = {};
	u64 start;

	while (filled < blocks) {
		held.fill = max(held.fill, fill_cycles(fixture, order, &nr));
		KUNIT_ASSERT_EQ(test, nr, MEMORY_AERATION_HOLD);
		filled += nr;
	}
	start = get_cycles();
	give_back(&fixture->batch, treated);
	held.drain = get_cycles() - start;
	return held;
}

/*
 * The time for which zone->lock is held. Drain takes the lock once for each
 * MEMORY_AERATION_HOLD blocks, which cannot be measured separately: print the mean.
 */
static void hold_for(struct kunit *test, unsigned int blocks, unsigned int order, bool treated)
{
	struct held least = { .fill = U64_MAX, .drain = U64_MAX };
	unsigned int look;

	/* Blocks that were returned as treated cannot be filled again: measure once. */
	for (look = 0; look < (treated ? 1 : LOOKS); look++) {
		struct held held = hold_once(test, blocks, order, treated);

		least.fill = min(least.fill, held.fill);
		least.drain = min(least.drain, held.drain);
	}
	kunit_info(test, "figure: %u blocks from order %u: longest fill %llu, drain %s %llu for each hold",
		   blocks, order, least.fill, treated ? "treated" : "raw",
		   div_u64(least.drain, blocks / MEMORY_AERATION_HOLD));
}

static void hold_for_all(struct kunit *test, unsigned int order, unsigned int most)
{
	unsigned int blocks;

	for (blocks = MEMORY_AERATION_HOLD; blocks <= most; blocks *= blocks < 256 ? 8 : 4)
		hold_for(test, blocks, order, false);
	hold_for(test, MEMORY_AERATION_HOLD, order, true);
}

void test_hold(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	unsigned int nr;

	treat_all(fixture->zone);
	/* More blocks than are filled: a debug build counts a list that is nearly empty. */
	KUNIT_ASSERT_EQ(test, make_apart(&fixture->held, 1024 + RAW_BLOCKS),
			1024U + RAW_BLOCKS);
	hold_for_all(test, DIRECT_ORDER, 1024);
	release_all(&fixture->held);

	for (nr = 0; nr < 2 * MEMORY_AERATION_HOLD; nr++)
		KUNIT_ASSERT_NOT_NULL(test, hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER));
	release_all(&fixture->held);
	hold_for_all(test, TOP_ORDER, MEMORY_AERATION_HOLD);
}
