/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit tests of kpatch/, which run in a guest. They compare three views, which must
 * agree: the driver's functions (memory_aeration.h), the free lists, read under
 * zone->lock, and the pages that allocations get.
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

/* Differences between kernels are only here. */

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
 * The smallest order that is not in per-CPU lists: such blocks are freed to the free lists
 * at once, and allocated from there.
 */
#define DIRECT_ORDER	(PAGE_ALLOC_COSTLY_ORDER + 1)

/* The allocation fails if nothing is free: no reclaim, and kswapd is not woken. */
#define TAKE_MOVABLE	(__GFP_MOVABLE | __GFP_HIGHMEM | __GFP_NOWARN)
#define TAKE_UNMOVABLE	__GFP_NOWARN

/* memory.c: counting free memory, and allocating and freeing pages. */

/**
 * struct census - the blocks on the free lists of a zone, counted one by one
 * @nr: blocks, by order and list: raw ones of each type, then treated ones
 * @pages: pages on all lists but those of isolated blocks
 * @stat: NR_FREE_PAGES
 * @wrong: number of contradictions between lists, counters, page flags and the driver's API
 */
struct census {
	unsigned long nr[NR_PAGE_ORDERS][FREE_LISTS];
	unsigned long pages;
	unsigned long stat;
	unsigned int wrong;
};

/**
 * struct allocation - one allocation and its effect on the free lists
 * @gfp: flags
 * @order: log2 of pages
 * @page: the page that it got, or NULL
 * @before: the free lists before
 * @after: the free lists after; only the allocation has changed them
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

/* cycle.c: drivers. */

/**
 * struct cycle - a driver whose host takes a few milliseconds for a batch
 * @treated: one of this many batches is returned as treated; 0: none
 * @fills: number of fills of a zone for one batch
 * @slow: the host takes some 20 ms, so that most of the time a batch is out
 * @from: first page of a range that must not be in any batch
 * @pages: length of that range; 0 while there is none
 * @batches: number of batches that were not empty
 * @met: number of batches with a part of the range at @watch
 * @watch: first page of a range that may be in a batch; 0 if there is none
 * @intruded: number of blocks that overlapped the range at @from
 * @task: the driver's thread
 * @oom: OOM notifier that waits for the return of the batch, as a driver has to
 * @given: pages returned so far
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
 * struct fake_driver - a driver that only counts its calls
 * @prdev: the device that is registered for page reporting
 * @calls: number of calls of aerate() so far
 * @called: time of the last call, in jiffies
 */
struct fake_driver {
	struct page_reporting_dev_info prdev;
	atomic_t calls;
	unsigned long called;
};

int fake_register(struct fake_driver *driver);
void fake_unregister(struct fake_driver *driver);

/* suite.c: setup and cleanup of each case. */

/**
 * struct fixture - the state of a case, in test->priv
 * @zone: the zone with most of the memory
 * @driver: the registered driver
 * @held: allocated pages, freed at the end
 * @batch: filled blocks, drained at the end
 * @other: more filled blocks
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
