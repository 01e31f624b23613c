// SPDX-License-Identifier: GPL-2.0
/* The effect of the driver's functions on the free lists. */
#include "aeration_test.h"

/* Tries, as other tasks may allocate memory during a check. */
#define TRIES	5

/* The numbers of blocks of each order in a batch. */
struct moved {
	unsigned long nr[NR_PAGE_ORDERS];
	unsigned long pages;
};

static void count_batch(struct kunit *test, struct list_head *batch, struct moved *moved)
{
	struct page *block;

	memset(moved, 0, sizeof(*moved));
	list_for_each_entry(block, batch, lru) {
		unsigned long order = page_private(block);

		KUNIT_ASSERT_LE(test, order, (unsigned long)TOP_ORDER);
		KUNIT_EXPECT_FALSE(test, PageBuddy(block));
		KUNIT_EXPECT_FALSE(test, PageReported(block));
		KUNIT_EXPECT_EQ(test, page_ref_count(block), 0);
		moved->nr[order]++;
		moved->pages += 1UL << order;
	}
}

/* Whether exactly these blocks were added (1) or taken (-1) between two censuses. */
static bool moved_exactly(const struct census *before, const struct census *after,
			  const struct moved *moved, int raw, int treated)
{
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		if (blocks_of(after, order, false) !=
			    blocks_of(before, order, false) + raw * moved->nr[order] ||
		    blocks_of(after, order, true) !=
			    blocks_of(before, order, true) + treated * moved->nr[order])
			return false;
	return after->pages == before->pages + (raw + treated) * moved->pages &&
	       after->stat == before->stat + (raw + treated) * moved->pages;
}

struct passage {
	struct census before, out, after;
	struct moved moved;
};

/* Fill and drain blocks of the top order, which cannot merge. */
static bool pass_through(struct kunit *test, struct passage *passage, bool treated)
{
	struct fixture *fixture = test->priv;
	unsigned int nr;

	take_census(fixture->zone, &passage->before);
	nr = memory_aeration_fill(fixture->zone, TOP_ORDER, &fixture->batch, 1000);
	take_census(fixture->zone, &passage->out);
	KUNIT_EXPECT_EQ(test, nr, MEMORY_AERATION_HOLD);
	count_batch(test, &fixture->batch, &passage->moved);
	KUNIT_EXPECT_EQ(test, passage->moved.nr[TOP_ORDER], (unsigned long)nr);
	give_back(&fixture->batch, treated);
	KUNIT_EXPECT_TRUE(test, list_empty(&fixture->batch));
	take_census(fixture->zone, &passage->after);
	KUNIT_EXPECT_EQ(test, passage->before.wrong + passage->out.wrong +
			passage->after.wrong, 0U);
	return moved_exactly(&passage->before, &passage->out, &passage->moved, -1, 0) &&
	       moved_exactly(&passage->out, &passage->after, &passage->moved,
			     !treated, treated);
}

/* Blocks of the top order leave the free lists, and come back raw as before, or treated. */
void test_fill_and_drain(struct kunit *test)
{
	struct passage *passage = kunit_kzalloc(test, sizeof(*passage), GFP_KERNEL);
	struct fixture *fixture = test->priv;
	unsigned int treated, tries, nr;

	KUNIT_ASSERT_NOT_NULL(test, passage);
	/* Make raw blocks, as earlier cases may have treated all. */
	for (nr = 0; nr < 4 * MEMORY_AERATION_HOLD; nr++)
		hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER);
	release_all(&fixture->held);

	for (treated = 0; treated < 2; treated++) {
		for (tries = 0; tries < TRIES; tries++)
			if (pass_through(test, passage, treated))
				break;
		KUNIT_EXPECT_LT(test, tries, TRIES);
	}
}

/* Filling stops at the high watermark, and not much above it. */
void test_watermark(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	unsigned long high = high_wmark_pages(fixture->zone), left;
	struct census *census = kunit_kzalloc(test, sizeof(*census), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, census);
	/* Make all memory raw. */
	while (hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER))
		;
	release_all(&fixture->held);
	while (memory_aeration_fill(fixture->zone, 0, &fixture->batch, MEMORY_AERATION_HOLD))
		;
	take_census(fixture->zone, census);
	left = zone_page_state(fixture->zone, NR_FREE_PAGES);
	give_back(&fixture->batch, false);
	kunit_info(test, "figure: %lu pages left, high watermark %lu", left, high);
	KUNIT_EXPECT_GE(test, left, high);
	/* Filling stops if the next block, of up to TOP_PAGES, would go below the watermark. */
	KUNIT_EXPECT_TRUE(test, left < high + TOP_PAGES || !pages_of(census, false));
}

/* All other memory is allocated: none of it belongs to the driver's batch. */
void test_not_allocated(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page *page, *block;
	int order;

	KUNIT_ASSERT_GT(test, memory_aeration_fill(fixture->zone, 0, &fixture->batch,
						   MEMORY_AERATION_HOLD), 0U);
	for (order = TOP_ORDER; order >= 0; order--)
		while ((page = hold(&fixture->held, TAKE_MOVABLE, order)))
			list_for_each_entry(block, &fixture->batch, lru)
				KUNIT_ASSERT_FALSE(test, block_has(block, page_to_pfn(page),
								   1UL << order));
	KUNIT_EXPECT_FALSE(test, list_empty(&fixture->held));
	release_all(&fixture->held);
	give_back(&fixture->batch, true);
}

/* The block that a fill has to take next: of the largest order, at the tail of its list. */
static struct page *next_block(struct zone *zone)
{
	struct page *page = NULL;
	int order, mt;

	spin_lock_irq(&zone->lock);
	for (order = TOP_ORDER; order >= 0 && !page; order--)
		for (mt = 0; mt < MIGRATE_TYPES && !page; mt++)
			if (!is_migrate_isolate(mt) &&
			    !list_empty(&zone->free_area[order].free_list[mt]))
				page = list_last_entry(&zone->free_area[order].free_list[mt],
						       struct page, lru);
	spin_unlock_irq(&zone->lock);
	return page;
}

static unsigned int fill_expected(struct fixture *fixture)
{
	struct page *page = next_block(fixture->zone);

	memory_aeration_fill(fixture->zone, 0, &fixture->batch, 1);
	return !list_empty(&fixture->batch) &&
	       list_last_entry(&fixture->batch, struct page, lru) == page;
}

/* Blocks that have been on their list for longest come first, also with shuffled lists. */
void test_cold_end(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page *block, *first;
	unsigned int nr, found = 0;

	for (nr = 0; nr < 4 * MEMORY_AERATION_HOLD; nr++)
		hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER);
	release_all(&fixture->held);

	for (nr = 0; nr < MEMORY_AERATION_HOLD; nr++)
		found += fill_expected(fixture);
	/* Other tasks may allocate memory in between. */
	KUNIT_EXPECT_GE(test, found, MEMORY_AERATION_HOLD - 2);

	/* Blocks that are returned as raw go to the tail of their list: they come first again. */
	first = list_first_entry(&fixture->batch, struct page, lru);
	list_move_tail(&first->lru, &fixture->batch);
	give_back(&fixture->batch, false);
	KUNIT_EXPECT_EQ(test, memory_aeration_fill(fixture->zone, TOP_ORDER,
						   &fixture->batch, 1), 1U);
	block = list_first_entry_or_null(&fixture->batch, struct page, lru);
	KUNIT_EXPECT_PTR_EQ(test, block, first);
	give_back(&fixture->batch, false);
}

/* Two buddies of DIRECT_ORDER, held, as is the buddy of both together. */
static struct page *hold_buddies(struct fixture *fixture)
{
	struct page *page = hold(&fixture->held, TAKE_MOVABLE, DIRECT_ORDER + 2);

	if (!page)
		return NULL;
	divide(page, DIRECT_ORDER + 2, DIRECT_ORDER);
	hold_page(&fixture->held, page + (1 << DIRECT_ORDER), DIRECT_ORDER);
	hold_page(&fixture->held, page + (2 << DIRECT_ORDER), DIRECT_ORDER);
	hold_page(&fixture->held, page + (3 << DIRECT_ORDER), DIRECT_ORDER);
	return page;
}

/* Free the block and fill it: all other memory is treated, so a fill takes this block. */
static bool fill_this(struct fixture *fixture, struct page *page, struct list_head *batch)
{
	release(page);
	return memory_aeration_fill(fixture->zone, DIRECT_ORDER, batch, 1) == 1 &&
	       list_first_entry(batch, struct page, lru) == page;
}

/* Return both buddies, the lower one first; they must merge to one block of the next order. */
static bool merge(struct kunit *test, bool lower, bool upper)
{
	struct fixture *fixture = test->priv;
	struct page *page;
	bool done = false;

	treat_all(fixture->zone);
	page = hold_buddies(fixture);
	KUNIT_ASSERT_NOT_NULL(test, page);
	treat_all(fixture->zone);
	if (fill_this(fixture, page, &fixture->batch) &&
	    fill_this(fixture, page + (1 << DIRECT_ORDER), &fixture->other)) {
		give_back(&fixture->batch, lower);
		KUNIT_EXPECT_EQ(test, PageReported(page), lower);
		give_back(&fixture->other, upper);
		KUNIT_EXPECT_TRUE(test, PageBuddy(page));
		KUNIT_EXPECT_EQ(test, page_private(page), DIRECT_ORDER + 1UL);
		KUNIT_EXPECT_EQ(test, PageReported(page), lower && upper);
		done = true;
	}
	give_back(&fixture->batch, false);
	give_back(&fixture->other, false);
	release_all(&fixture->held);
	return done;
}

/* A block that was allocated and freed merges with a treated one. */
static void merge_with_freed(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page *page;

	page = hold_buddies(fixture);
	KUNIT_ASSERT_NOT_NULL(test, page);
	release(page);
	treat_all(fixture->zone);
	KUNIT_EXPECT_TRUE(test, PageReported(page));
	release(page + (1 << DIRECT_ORDER));
	KUNIT_EXPECT_EQ(test, page_private(page), DIRECT_ORDER + 1UL);
	KUNIT_EXPECT_FALSE(test, PageReported(page));
	release_all(&fixture->held);
}

/* Two treated buddies merge to a treated block; if one is raw, the result is raw. */
void test_merge(struct kunit *test)
{
	unsigned int which, tries;

	for (which = 0; which < 4; which++) {
		for (tries = 0; tries < TRIES; tries++)
			if (merge(test, which & 1, which & 2))
				break;
		KUNIT_EXPECT_LT(test, tries, TRIES);
	}
	merge_with_freed(test);
}
