// SPDX-License-Identifier: GPL-2.0
/*
 * The effect of allocations on treated blocks. Each allocation is observed with the machine
 * stopped: it has made all differences.
 */
#include "aeration_test.h"

/* The limit is reached only if no allocation splits a treated block. */
#define MOST_ALLOCATIONS	20000

static struct allocation *prepare(struct kunit *test, gfp_t gfp, unsigned int order)
{
	struct allocation *one = kunit_kzalloc(test, sizeof(*one), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, one);
	one->gfp = gfp;
	one->order = order;
	return one;
}

/* Allocate, check the properties of every allocated page, and hold the pages. */
static bool allocate(struct kunit *test, struct allocation *one)
{
	struct fixture *fixture = test->priv;

	allocate_alone(fixture->zone, one);
	if (one->page)
		hold_page(&fixture->held, one->page, one->order);
	KUNIT_ASSERT_EQ(test, one->before.wrong + one->after.wrong, 0U);
	if (!one->page)
		return false;
	KUNIT_ASSERT_FALSE(test, PageReported(one->page));
	KUNIT_ASSERT_FALSE(test, PageBuddy(one->page));
	return page_zone(one->page) == fixture->zone;
}

static long change(const struct allocation *one, unsigned int order, bool treated)
{
	return blocks_of(&one->after, order, treated) -
	       blocks_of(&one->before, order, treated);
}

static bool all_treated(const struct allocation *one)
{
	unsigned int order;

	for (order = one->order; order < NR_PAGE_ORDERS; order++)
		if (blocks_of(&one->before, order, false))
			return false;
	return true;
}

/* The order of the block that was taken; NR_PAGE_ORDERS if no single block was. */
static unsigned int order_taken(const struct allocation *one)
{
	unsigned int order = one->order;

	while (order < NR_PAGE_ORDERS && change(one, order, true) != -1)
		order++;
	return order;
}

/*
 * A treated block of order @from was taken, one treated block of each order from the page's
 * own up to below @from was added, and nothing else has changed.
 */
static bool rest_is_treated(const struct allocation *one, unsigned int from)
{
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		long wanted = order >= one->order && order < from;

		if (order == from)
			wanted = -1;
		if (change(one, order, true) != wanted || change(one, order, false))
			return false;
	}
	return one->before.pages - one->after.pages == 1UL << one->order;
}

/*
 * Allocate until one allocation was split from a treated block, as raw blocks may have been
 * freed meanwhile; the rest of the block is treated. The block's order is stored. Returns
 * false without memory, or if @nr has reached the maximum.
 */
static bool split_treated(struct kunit *test, struct allocation *one,
			  unsigned int *nr, unsigned int *from)
{
	struct fixture *fixture = test->priv;

	for (; *nr < MOST_ALLOCATIONS && allocate(test, one); ++*nr) {
		if (!all_treated(one)) {
			treat_all(fixture->zone);
			continue;
		}
		*from = order_taken(one);
		KUNIT_ASSERT_TRUE_MSG(test, rest_is_treated(one, *from),
				      "allocation %u, of a block of order %u", *nr, *from);
		++*nr;
		return true;
	}
	return false;
}

/* Without raw blocks each allocation splits a treated block, up to the largest ones. */
void test_split(struct kunit *test)
{
	struct allocation *one = prepare(test, TAKE_MOVABLE, DIRECT_ORDER);
	struct fixture *fixture = test->priv;
	unsigned int nr = 0, from = 0, seen = 0;

	treat_all(fixture->zone);
	while (from != TOP_ORDER && split_treated(test, one, &nr, &from))
		seen++;
	KUNIT_EXPECT_EQ(test, from, (unsigned int)TOP_ORDER);
	kunit_info(test, "figure: %u allocations out of treated blocks only", seen);
}

/*
 * Single pages go to the per-CPU lists, many at a time: the rest of a split block does not
 * become raw.
 */
void test_split_small(struct kunit *test)
{
	struct allocation *one = prepare(test, TAKE_MOVABLE, 0);
	struct fixture *fixture = test->priv;
	unsigned long taken = 0, lost, treated;
	unsigned int nr;

	treat_all(fixture->zone);
	for (nr = 0; nr < MOST_ALLOCATIONS && taken < 2 * TOP_PAGES; nr++) {
		KUNIT_ASSERT_TRUE(test, allocate(test, one));
		if (!all_treated(one)) {
			treat_all(fixture->zone);
			continue;
		}
		lost = one->before.pages - one->after.pages;
		treated = pages_of(&one->before, true) - pages_of(&one->after, true);
		KUNIT_ASSERT_EQ(test, treated, lost);
		KUNIT_ASSERT_EQ(test, pages_of(&one->after, false), 0UL);
		taken += lost;
	}
	KUNIT_EXPECT_GE(test, taken, 2 * TOP_PAGES);
}

static long change_of_list(const struct allocation *one, unsigned int order, int list)
{
	return one->after.nr[order][list] - one->before.nr[order][list];
}

/*
 * Unmovable memory has run out: a movable block is claimed as a whole, and the rest of it
 * becomes unmovable, and stays treated.
 */
static bool claimed(struct kunit *test, const struct allocation *one)
{
	unsigned int order;

	if (change_of_list(one, TOP_ORDER, MIGRATE_TREATED(MIGRATE_MOVABLE)) != -1)
		return false;
	for (order = one->order; order < TOP_ORDER; order++)
		KUNIT_EXPECT_EQ(test, change_of_list(one, order,
				MIGRATE_TREATED(MIGRATE_UNMOVABLE)), 1L);
	return true;
}

void test_split_claimed(struct kunit *test)
{
	struct allocation *one = prepare(test, TAKE_UNMOVABLE, pageblock_order - 1);
	struct fixture *fixture = test->priv;
	unsigned int nr = 0, from, claims = 0;

	treat_all(fixture->zone);
	while (claims < 4 && split_treated(test, one, &nr, &from))
		claims += claimed(test, one);
	KUNIT_EXPECT_EQ(test, claims, 4U);
}

/*
 * Free a half and an eighth of each pageblock of a held block, which cannot merge: a pageblock
 * is claimed only if more than half of it is free, and one part must be left after the other
 * was split.
 */
static void free_parts(struct fixture *fixture, struct page *page)
{
	unsigned int part = pageblock_order - 3, at;
	struct page *rest = page + (1UL << part);

	divide(page, TOP_ORDER, part);
	for (; rest < page + TOP_PAGES; rest += 1UL << part)
		hold_page(&fixture->held, rest, part);
	for (at = 0; at < TOP_PAGES >> part; at++)
		if (at % 8 < 4 || at % 8 == 5)
			release(page + ((unsigned long)at << part));
}

/* Make all free memory treated, in blocks that are smaller than a pageblock. */
static void leave_parts(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page *page, *next;
	unsigned int nr = 0;
	LIST_HEAD(large);

	while (hold(&large, TAKE_MOVABLE, TOP_ORDER))
		;
	list_for_each_entry_safe(page, next, &large, lru) {
		list_move_tail(&page->lru, &fixture->held);
		if (nr++ < 48)
			free_parts(fixture, page);
	}
	while (hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER))
		;
	while (hold(&fixture->held, TAKE_MOVABLE, pageblock_order))
		;
	treat_all(fixture->zone);
}

/*
 * Unmovable memory and large blocks have run out: the free parts of a movable pageblock
 * become unmovable, and stay treated on their new list.
 */
void test_moved(struct kunit *test)
{
	struct allocation *one = prepare(test, TAKE_UNMOVABLE, DIRECT_ORDER);
	unsigned int half = pageblock_order - 1, nr, moves = 0;

	leave_parts(test);
	for (nr = 0; nr < MOST_ALLOCATIONS && moves < 4; nr++) {
		if (!allocate(test, one))
			break;
		moves += change_of_list(one, half, MIGRATE_TREATED(MIGRATE_MOVABLE)) == -1 &&
			 change_of_list(one, half, MIGRATE_TREATED(MIGRATE_UNMOVABLE)) == 1;
	}
	KUNIT_EXPECT_EQ(test, moves, 4U);
}

/*
 * The number of orders of which a treated block was used although there was a raw one of the
 * same order and type. Raw blocks that are the rest of a split are newer than the use, if no
 * treated block of their order is left.
 */
static unsigned int used_too_early(const struct allocation *one)
{
	unsigned int order, wrong = 0;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		int list = MIGRATE_TREATED(MIGRATE_MOVABLE);

		wrong += change_of_list(one, order, list) < 0 &&
			 one->after.nr[order][MIGRATE_MOVABLE] &&
			 one->after.nr[order][list];
	}
	return wrong;
}

static unsigned long movable_pages(const struct census *census, bool treated)
{
	unsigned long pages = 0;
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		pages += census->nr[order][treated ? MIGRATE_TREATED(MIGRATE_MOVABLE) :
						     MIGRATE_MOVABLE] << order;
	return pages;
}

/* Half of the free memory is treated; then more than half of it is allocated. */
static void expect_raw_first(struct kunit *test, unsigned int order)
{
	struct allocation *one = prepare(test, TAKE_MOVABLE, order);
	struct fixture *fixture = test->priv;
	unsigned long half, raw = 0, treated = 0;
	unsigned int nr;

	treat_all(fixture->zone);
	take_census(fixture->zone, &one->before);
	half = one->before.pages / 2;
	for (nr = 0; nr < half >> TOP_ORDER; nr++)
		KUNIT_ASSERT_NOT_NULL(test, hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER));
	release_all(&fixture->held);

	/* The loop ends when treated blocks were used, too; of the largest order, the last one. */
	do {
		if (!allocate(test, one))
			break;
		KUNIT_ASSERT_EQ(test, used_too_early(one), 0U);
		raw += movable_pages(&one->before, false) - movable_pages(&one->after, false);
		treated += movable_pages(&one->before, true) - movable_pages(&one->after, true);
	} while (one->before.nr[TOP_ORDER][MIGRATE_MOVABLE]);
	kunit_info(test, "figure: order %u: %lu raw pages used before the last, and %lu treated ones",
		   order, raw, treated);
	KUNIT_EXPECT_GE(test, raw, half * 8 / 10);
}

void test_raw_first(struct kunit *test)
{
	expect_raw_first(test, TOP_ORDER);
}

void test_raw_first_huge(struct kunit *test)
{
	expect_raw_first(test, pageblock_order);
}

void test_raw_first_small(struct kunit *test)
{
	expect_raw_first(test, 0);
}
