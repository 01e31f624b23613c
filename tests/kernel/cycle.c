// SPDX-License-Identifier: GPL-2.0
/*
 * Two drivers: one that registers and counts its calls, and one that fills and drains
 * batches in a loop, as if it had a host.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/nodemask.h>
#include <linux/oom.h>
#include <linux/wait_bit.h>
#include "aeration_test.h"

/* Tests clear the state themselves: until then there is no second call. */
static void aerate(struct work_struct *work)
{
	struct fake_driver *driver =
		container_of(work, struct fake_driver, prdev.work.work);

	driver->called = jiffies;
	atomic_inc(&driver->calls);
}

int fake_register(struct fake_driver *driver)
{
	memset(driver, 0, sizeof(*driver));
	driver->prdev.aerate = aerate;
	driver->prdev.order = pageblock_order;
	driver->prdev.delay = HZ / 10;
	return page_reporting_register(&driver->prdev);
}

void fake_unregister(struct fake_driver *driver)
{
	page_reporting_unregister(&driver->prdev);
}

/* Unlike memory_aeration_drain(), this accepts an empty batch. */
void give_back(struct list_head *batch, bool treated)
{
	if (!list_empty(batch))
		memory_aeration_drain(batch, treated);
}

/* Make all raw memory treated, down to single pages. */
void treat_all(struct zone *zone)
{
	LIST_HEAD(batch);

	while (memory_aeration_fill(zone, 0, &batch, MEMORY_AERATION_HOLD)) {
		give_back(&batch, true);
		cond_resched();
	}
}

static void fill_zone(struct cycle *cycle, struct zone *zone, struct list_head *batch)
{
	unsigned int fills = cycle->fills;

	while (fills-- && memory_aeration_fill(zone, 0, batch,
					       MEMORY_AERATION_HOLD))
		;
}

static void count(struct cycle *cycle, struct list_head *batch)
{
	unsigned long watch = READ_ONCE(cycle->watch);
	struct page *block;

	if (list_empty(batch))
		return;
	cycle->batches++;
	list_for_each_entry(block, batch, lru)
		if (watch && block_has(block, watch, TOP_PAGES)) {
			cycle->met++;
			return;
		}
}

static void expect_nothing_of_range(struct cycle *cycle, struct list_head *batch)
{
	/* Pairs with the smp_store_release(): cycle->from was set before. */
	unsigned long pages = smp_load_acquire(&cycle->pages);
	struct page *block;

	list_for_each_entry(block, batch, lru)
		if (pages && block_has(block, READ_ONCE(cycle->from), pages))
			cycle->intruded++;
}

static unsigned long batch_pages(const struct list_head *batch)
{
	unsigned long pages = 0;
	struct page *block;

	list_for_each_entry(block, batch, lru)
		pages += 1UL << page_private(block);
	return pages;
}

/* Nearly all memory may be out: return it before a program is killed. */
static int cycle_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	struct cycle *cycle = container_of(nb, struct cycle, oom);
	unsigned long given = READ_ONCE(cycle->given);

	wait_var_event_timeout(&cycle->given, READ_ONCE(cycle->given) != given, HZ);
	*(unsigned long *)freed += READ_ONCE(cycle->given) - given;
	return NOTIFY_OK;
}

static void cycle_give(struct cycle *cycle, struct list_head *batch, bool treated)
{
	unsigned long pages = batch_pages(batch);

	give_back(batch, treated);
	WRITE_ONCE(cycle->given, cycle->given + pages);
	wake_up_var(&cycle->given);
}

static int cycle_thread(void *data)
{
	struct cycle *cycle = data;
	unsigned int nr = 0;

	while (!kthread_should_stop()) {
		LIST_HEAD(batch);
		int node, index;

		for_each_online_node(node)
			for (index = 0; index < MAX_NR_ZONES; index++) {
				struct zone *zone = &NODE_DATA(node)->node_zones[index];

				if (populated_zone(zone))
					fill_zone(cycle, zone, &batch);
			}
		count(cycle, &batch);
		expect_nothing_of_range(cycle, &batch);
		usleep_range(cycle->slow ? 20000 : 2000, cycle->slow ? 25000 : 4000);
		/* Check the batch: the range may have been isolated while the batch was out. */
		expect_nothing_of_range(cycle, &batch);
		cycle_give(cycle, &batch, cycle->treated && ++nr % cycle->treated == 0);
		usleep_range(500, 1000);
	}
	return 0;
}

int cycle_start(struct cycle *cycle)
{
	struct task_struct *task = kthread_run(cycle_thread, cycle, "aeration_cycle");

	if (IS_ERR(task))
		return PTR_ERR(task);
	cycle->task = task;
	cycle->oom.notifier_call = cycle_oom;
	return register_oom_notifier(&cycle->oom);
}

void cycle_stop(struct cycle *cycle)
{
	if (!cycle->task)
		return;
	unregister_oom_notifier(&cycle->oom);
	kthread_stop(cycle->task);
	cycle->task = NULL;
}
