// SPDX-License-Identifier: GPL-2.0
/* A driver at work, and other users of the blocks that it has. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/string.h>
#include <linux/stringify.h>
#include <linux/umh.h>
#include "aeration_test.h"

#define ISOLATIONS	100
#define CHURN_SECONDS	5
#define CHURN		"/bin/memtool --small churn 300 20 " __stringify(CHURN_SECONDS)

/* Find and free a movable block, and return its first page. */
static unsigned long find_range(struct fixture *fixture)
{
	struct page *page = hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER);
	unsigned long pfn;

	if (!page)
		return 0;
	pfn = page_to_pfn(page);
	release(page);
	return pfn;
}

static int allocate_range(unsigned long pfn, unsigned long pages)
{
	return alloc_contig_range(pfn, pfn + pages, CONTIG_PLAIN, GFP_KERNEL);
}

/* Allocate the range; while it is allocated, no part of it may be in a batch. */
static unsigned int isolate(struct cycle *cycle, unsigned long pfn, unsigned long pages)
{
	if (allocate_range(pfn, pages))
		return 0;
	WRITE_ONCE(cycle->watch, 0);
	WRITE_ONCE(cycle->from, pfn);
	/* Publishes cycle->from, too: pairs with smp_load_acquire() in cycle.c. */
	smp_store_release(&cycle->pages, pages);
	usleep_range(10000, 11000);
	WRITE_ONCE(cycle->pages, 0);
	WRITE_ONCE(cycle->watch, pfn);
	free_contig_range(pfn, pages);
	return 1;
}

/* Isolate all of a block of the top order, or one of its pageblocks, again and again. */
static unsigned int isolate_often(struct cycle *cycle, unsigned long pfn)
{
	unsigned int nr, succeeded = 0;

	for (nr = 0; nr < ISOLATIONS; nr++) {
		succeeded += isolate(cycle, pfn, nr % 2 ? TOP_PAGES : pageblock_nr_pages);
		/* Meet the driver in any phase. */
		usleep_range(1000 + nr * 37, 1000 + nr * 37 + 100);
	}
	return succeeded;
}

void test_isolation(struct kunit *test)
{
	struct allocation *seen = kunit_kzalloc(test, sizeof(*seen), GFP_KERNEL);
	struct fixture *fixture = test->priv;
	unsigned int without, with;
	unsigned long pfn;

	KUNIT_ASSERT_NOT_NULL(test, seen);
	/* All other memory is treated: the driver takes the range whenever it is free. */
	treat_all(fixture->zone);
	pfn = find_range(fixture);
	KUNIT_ASSERT_NE(test, pfn, 0UL);

	without = isolate_often(&fixture->cycle, pfn);
	fixture->cycle.watch = pfn;
	/* Fill it even if it is freed in small parts. */
	fixture->cycle.fills = 32;
	KUNIT_ASSERT_EQ(test, cycle_start(&fixture->cycle), 0);
	with = isolate_often(&fixture->cycle, pfn);
	cycle_stop(&fixture->cycle);

	kunit_info(test, "figure: %u of %u isolations succeed, %u without a driver; the range was in %lu of %lu batches",
		   with, ISOLATIONS, without, fixture->cycle.met, fixture->cycle.batches);
	KUNIT_EXPECT_EQ(test, without, (unsigned int)ISOLATIONS);
	KUNIT_EXPECT_EQ(test, with, without);
	KUNIT_EXPECT_EQ(test, fixture->cycle.intruded, 0UL);
	KUNIT_EXPECT_GT(test, fixture->cycle.met, ISOLATIONS / 4UL);

	seen->gfp = TAKE_MOVABLE;
	allocate_alone(fixture->zone, seen);
	if (seen->page)
		hold_page(&fixture->held, seen->page, 0);
	KUNIT_EXPECT_EQ(test, seen->before.wrong + seen->after.wrong, 0U);
}

/* A host that answers after a delay. */
struct answer {
	struct delayed_work work;
	struct zone *zone;
	struct list_head batch;
	unsigned int filled;
	bool marked;
};

static void answer(struct work_struct *work)
{
	struct answer *answer = container_of(work, struct answer, work.work);

	/* A task waits for the batch: no other batch may go out. */
	clear_bit(ZONE_RAW, &answer->zone->flags);
	answer->filled = memory_aeration_fill(answer->zone, 0, &answer->batch,
					      MEMORY_AERATION_HOLD);
	answer->marked = test_bit(ZONE_RAW, &answer->zone->flags);
	give_back(&answer->batch, true);
}

static unsigned int took_ms(struct kunit *test, unsigned long pfn)
{
	u64 start = ktime_get_ns();
	int err = allocate_range(pfn, TOP_PAGES);
	unsigned int ms = div_u64(ktime_get_ns() - start, NSEC_PER_MSEC);

	KUNIT_EXPECT_EQ(test, err, 0);
	if (!err)
		free_contig_range(pfn, TOP_PAGES);
	return ms;
}

/* Isolation waits for a batch that does not come back, but not forever. */
static void wait_in_vain(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	unsigned long pfn = find_range(fixture);
	unsigned int ms;

	KUNIT_ASSERT_NE(test, pfn, 0UL);
	KUNIT_ASSERT_NOT_NULL(test, hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER));
	treat_all(fixture->zone);
	release_all(&fixture->held);
	KUNIT_ASSERT_EQ(test, memory_aeration_fill(fixture->zone, TOP_ORDER,
						   &fixture->batch, 1), 1U);
	if (block_has(list_first_entry(&fixture->batch, struct page, lru), pfn, TOP_PAGES)) {
		hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER);
		pfn = find_range(fixture);
	}
	ms = took_ms(test, pfn);
	kunit_info(test, "figure: waited for a batch in vain: %u ms", ms);
	KUNIT_EXPECT_GE(test, ms, 90U);
	KUNIT_EXPECT_LE(test, ms, 200U);
	give_back(&fixture->batch, true);

	ms = took_ms(test, pfn);
	kunit_info(test, "figure: with no batch out: %u ms", ms);
	KUNIT_EXPECT_LE(test, ms, 40U);
}

/* The range is in the batch: it is isolated, and the wait ends when the batch is drained. */
static void wait_for_answer(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct answer late = { .zone = fixture->zone };
	struct page *page;
	unsigned int ms;

	INIT_DELAYED_WORK_ONSTACK(&late.work, answer);
	INIT_LIST_HEAD(&late.batch);
	treat_all(fixture->zone);
	KUNIT_ASSERT_NOT_NULL(test, hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER));
	release_all(&fixture->held);
	KUNIT_ASSERT_EQ(test, memory_aeration_fill(fixture->zone, TOP_ORDER,
						   &late.batch, 1), 1U);
	page = list_first_entry(&late.batch, struct page, lru);
	schedule_delayed_work(&late.work, msecs_to_jiffies(40));
	ms = took_ms(test, page_to_pfn(page));
	flush_delayed_work(&late.work);
	destroy_delayed_work_on_stack(&late.work);

	kunit_info(test, "figure: waited for a batch of 40 ms: %u ms", ms);
	KUNIT_EXPECT_GE(test, ms, 30U);
	KUNIT_EXPECT_LE(test, ms, 95U);
	KUNIT_EXPECT_EQ(test, late.filled, 0U);
	KUNIT_EXPECT_TRUE(test, late.marked);
}

void test_drain_waits(struct kunit *test)
{
	wait_in_vain(test);
	wait_for_answer(test);
}

/* A thread that counts the free lists all the time. */
struct recount {
	struct census census;
	unsigned int wrong;
	unsigned long times;
};

static int recount_thread(void *data)
{
	struct recount *recount = data;
	int node, index;

	while (!kthread_should_stop()) {
		for_each_online_node(node)
			for (index = 0; index < MAX_NR_ZONES; index++) {
				struct zone *zone = &NODE_DATA(node)->node_zones[index];

				if (!populated_zone(zone))
					continue;
				take_census(zone, &recount->census);
				recount->wrong += recount->census.wrong;
				recount->times++;
			}
		usleep_range(200, 400);
	}
	return 0;
}

struct churn {
	struct work_struct work;
	int status;
};

/* A program churns small pages: blocks split and merge, and allocations fall back. */
static void churn(struct work_struct *work)
{
	struct churn *churn = container_of(work, struct churn, work);
	char **words = argv_split(GFP_KERNEL, CHURN, NULL);

	churn->status = -ENOMEM;
	if (!words)
		return;
	churn->status = call_usermodehelper(words[0], words, NULL, UMH_WAIT_PROC);
	argv_free(words);
}

/*
 * Free a block of one pageblock whose buddy stays held: isolation moves it as it is, raw or
 * treated.
 */
static struct page *leave_pageblock(struct fixture *fixture)
{
	struct page *page = hold(&fixture->held, TAKE_MOVABLE, pageblock_order + 1);
	unsigned int half = pageblock_order - 1;

	if (!page)
		return NULL;
	divide(page, pageblock_order + 1, half);
	hold_page(&fixture->held, page + (1UL << half), half);
	hold_page(&fixture->held, page + (2UL << half), half);
	hold_page(&fixture->held, page + (3UL << half), half);
	/* In halves: a whole pageblock would be put into the per-CPU list of huge pages. */
	release(page);
	release(page + (1UL << half));
	return page;
}

static unsigned int isolate_while_churning(struct fixture *fixture)
{
	unsigned long end = jiffies + CHURN_SECONDS * HZ;
	unsigned int succeeded = 0;

	while (time_before(jiffies, end)) {
		struct page *page = leave_pageblock(fixture);
		unsigned long pfn = page ? page_to_pfn(page) : 0;

		/* Time in which blocks become treated, or are used by others. */
		usleep_range(5000, 20000);
		if (pfn && !allocate_range(pfn, pageblock_nr_pages)) {
			free_contig_range(pfn, pageblock_nr_pages);
			succeeded++;
		}
		release_all(&fixture->held);
	}
	return succeeded;
}

void test_counts(struct kunit *test)
{
	struct recount *recount = kunit_kzalloc(test, sizeof(*recount), GFP_KERNEL);
	struct fixture *fixture = test->priv;
	struct task_struct *task;
	unsigned int isolated;
	struct churn work;

	KUNIT_ASSERT_NOT_NULL(test, recount);
	fixture->cycle.treated = 2;
	fixture->cycle.fills = 4;
	KUNIT_ASSERT_EQ(test, cycle_start(&fixture->cycle), 0);
	task = kthread_run(recount_thread, recount, "aeration_recount");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	INIT_WORK_ONSTACK(&work.work, churn);
	queue_work(system_unbound_wq, &work.work);
	isolated = isolate_while_churning(fixture);
	flush_work(&work.work);
	destroy_work_on_stack(&work.work);
	kthread_stop(task);
	cycle_stop(&fixture->cycle);

	kunit_info(test, "figure: %lu recounts during %lu batches, %u isolations and %d s of churn",
		   recount->times, fixture->cycle.batches, isolated, CHURN_SECONDS);
	KUNIT_EXPECT_EQ(test, work.status, 0);
	KUNIT_EXPECT_EQ(test, recount->wrong, 0U);
	KUNIT_EXPECT_GT(test, isolated, 10U);
	KUNIT_EXPECT_GT(test, recount->times, 100UL);
	KUNIT_EXPECT_GT(test, fixture->cycle.batches, 50UL);
}
