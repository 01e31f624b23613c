/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit tests of kpatch/ from inside of a guest. They ask three sides and want
 * the same answer of all: the driver's functions (memory_aeration.h), the free
 * lists, which anyone may read who holds zone->lock, and what an allocation gets.
 */
#ifndef AERATION_TEST_H
#define AERATION_TEST_H

#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/memory_aeration.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-isolation.h>
#include <linux/notifier.h>
#include <linux/page_reporting.h>

/* What differs between kernels: here, and nowhere else. */

/* Before v6.8, MAX_ORDER was a number of orders (6.1), or the last of them. */
#ifndef NR_PAGE_ORDERS
#define NR_PAGE_ORDERS	MAX_ORDER
#endif

/* alloc_contig_range() took a migratetype, then flags (after v6.12). */
#ifdef ACR_FLAGS_NONE
#define CONTIG_PLAIN	ACR_FLAGS_NONE
#else
#define CONTIG_PLAIN	MIGRATE_MOVABLE
#endif

#define TOP_ORDER	(NR_PAGE_ORDERS - 1)
#define TOP_PAGES	BIT(TOP_ORDER)

/*
 * The smallest order that no list of a processor holds: what is freed is on the
 * free lists at once, what is allocated comes from there.
 */
#define DIRECT_ORDER	(PAGE_ALLOC_COSTLY_ORDER + 1)

/* Free memory or none: nothing is reclaimed, nobody is woken. */
#define TAKE_MOVABLE	(__GFP_MOVABLE | __GFP_HIGHMEM | __GFP_NOWARN)
#define TAKE_UNMOVABLE	__GFP_NOWARN

/* memory.c: what is free, and how to make it so. */

/**
 * struct census - what the free lists of a zone hold, counted one by one
 * @nr: blocks, by order and list: raw ones of each type, then treated ones
 * @pages: pages on all lists but those of isolated blocks
 * @stat: NR_FREE_PAGES
 * @wrong: where a list, a count, a mark or an answer disagrees with another
 */
struct census {
	unsigned long nr[NR_PAGE_ORDERS][FREE_LISTS];
	unsigned long pages;
	unsigned long stat;
	unsigned int wrong;
};

/**
 * struct allocation - what one allocation did to the free lists
 * @gfp: flags
 * @order: log2 of pages
 * @page: what it got, or NULL
 * @before: the free lists before
 * @after: and after, with nothing in between
 */
struct allocation {
	gfp_t gfp;
	unsigned int order;
	struct page *page;
	struct census before;
	struct census after;
};

struct zone *largest_zone(void);
void take_census(struct zone *zone, struct census *census);
unsigned long blocks_of(const struct census *census, unsigned int order, bool treated);
unsigned long pages_of(const struct census *census, bool treated);
void allocate_alone(struct zone *zone, struct allocation *allocation);

struct page *hold(struct list_head *held, gfp_t gfp, unsigned int order);
void hold_page(struct list_head *held, struct page *page, unsigned int order);
void release(struct page *page);
void release_all(struct list_head *held);
void divide(struct page *page, unsigned int order, unsigned int part);
unsigned int make_apart(struct list_head *held, unsigned int blocks);
bool block_has(const struct page *block, unsigned long pfn, unsigned long nr);

/* cycle.c: a driver. */

/**
 * struct cycle - a driver whose host takes a few milliseconds for a batch
 * @treated: of so many batches one is given back treated; 0: none
 * @fills: so many are made of a zone for one batch
 * @slow: the host takes some 20 ms, so that most of the time a batch is out
 * @from: first page of a range that must not be in any batch
 * @pages: its length; 0 while there is none
 * @batches: how many were not empty
 * @met: batches with something of the range in @watch
 * @watch: first page of a range that may be in a batch, for as long as it may
 * @intruded: blocks of what must not be there that were
 * @task: its thread
 * @oom: gives back before anything is killed, as a driver has to
 * @given: pages that it gave back so far
 *
 * @from, @pages and @watch are set while it runs, the rest before.
 */
struct cycle {
	unsigned int treated;
	unsigned int fills;
	bool slow;
	unsigned long from;
	unsigned long pages;
	unsigned long batches;
	unsigned long met;
	unsigned long watch;
	unsigned long intruded;
	struct task_struct *task;
	struct notifier_block oom;
	unsigned long given;
};

int cycle_start(struct cycle *cycle);
void cycle_stop(struct cycle *cycle);
void give_back(struct list_head *batch, bool treated);
void treat_all(struct zone *zone);

/**
 * struct fake_driver - registered for page reporting, does nothing when called
 * @prdev: what is registered
 * @calls: of aerate() so far
 * @called: when the last was, in jiffies
 */
struct fake_driver {
	struct page_reporting_dev_info prdev;
	atomic_t calls;
	unsigned long called;
};

int fake_register(struct fake_driver *driver);
void fake_unregister(struct fake_driver *driver);

/* suite.c: what each case finds, and what is put right after it. */

/**
 * struct fixture - in test->priv
 * @zone: most of the memory
 * @driver: registered
 * @held: pages that were allocated, to be freed at the end
 * @batch: blocks that were filled, to be given back at the end
 * @other: more of them
 * @cycle: stopped at the end, if it was started
 */
struct fixture {
	struct zone *zone;
	struct fake_driver driver;
	struct list_head held;
	struct list_head batch;
	struct list_head other;
	struct cycle cycle;
};

extern bool instructions;

/* The cases. */

void test_register(struct kunit *test);
void test_notification(struct kunit *test);
void test_page_reporting(struct kunit *test);

void test_fill_and_drain(struct kunit *test);
void test_watermark(struct kunit *test);
void test_not_allocated(struct kunit *test);
void test_cold_end(struct kunit *test);
void test_merge(struct kunit *test);

void test_split(struct kunit *test);
void test_split_small(struct kunit *test);
void test_split_claimed(struct kunit *test);
void test_moved(struct kunit *test);
void test_raw_first(struct kunit *test);
void test_raw_first_huge(struct kunit *test);
void test_raw_first_small(struct kunit *test);

void test_isolation(struct kunit *test);
void test_drain_waits(struct kunit *test);
void test_counts(struct kunit *test);

void test_membrane(struct kunit *test);
void test_hold(struct kunit *test);

#endif /* AERATION_TEST_H */
