// SPDX-License-Identifier: GPL-2.0
/*
 * Raw and treated free memory, where the allocator keeps no count of it.
 *
 * The kernel's page reporting sets PG_reported on a free block that the host was
 * told of, and the allocator ends it when the block is taken, split or merged. So
 * who wants to know looks at the pages themselves. By page number and not along
 * the free lists: there it can stop anywhere, let others have the lock, and go on.
 *
 *	0             512           1024                        2048
 *	| raw, 9      | in use  |0| | treated, 10               | treated, 9  | ...
 *	`--------- one hold -------'`--------- the next -------'
 *
 * Blocks stand at multiples of their size. So a hold from one multiple of the
 * largest one's size to the next sees each block in it whole. Free pages that a
 * processor keeps to itself are in no block, and neither raw nor treated.
 *
 * Memory may go offline meanwhile, and its page structs may be unmapped. mm says so
 * between the two: pfn_to_online_page() finds the memory offline from then on, and mm
 * waits there for looks that began before. So each look, from pfn_to_online_page() to
 * the last page struct, is an RCU read section: it may be preempted, by the host too.
 */
#include <linux/kernel.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/page-flags.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include "compat/compat.h"
#include "mm_free.h"
#include "mm_scan.h"

/* Most page structs that an estimate looks at in one zone. */
#define MM_SCAN_LOOKS	65536UL

/* As many pages are looked for before others may run. */
#define MM_SCAN_AT_ONCE	1024UL

/* Memory is online or offline in no smaller pieces: mm's subsections. */
#define MM_SCAN_PIECE	(SZ_2M >> PAGE_SHIFT)

/*
 * The blocks that begin in one piece: it is online as a whole, or not at all.
 * Returns where the last of them ends.
 */
static unsigned long mm_scan_piece(const struct zone *zone, unsigned long pfn,
				   unsigned long end, u64 *raw, u64 *treated)
{
	struct page *page = pfn_to_online_page(pfn);
	unsigned long pages;

	end = min(end, ALIGN(pfn + 1, MM_SCAN_PIECE));
	if (!page)
		return end;
	for (; pfn < end; pfn += pages, page += pages) {
		pages = 1;
		if (!PageBuddy(page) || page_zone(page) != zone)
			continue;
		pages <<= page_private(page);
		*(PageReported(page) ? treated : raw) += pages;
	}
	return pfn;
}

static void mm_scan_hold(struct zone *zone, unsigned long pfn, unsigned long end,
			 u64 *raw, u64 *treated)
{
	unsigned long flags;

	rcu_read_lock();
	spin_lock_irqsave(&zone->lock, flags);
	while (pfn < end)
		pfn = mm_scan_piece(zone, pfn, end, raw, treated);
	spin_unlock_irqrestore(&zone->lock, flags);
	rcu_read_unlock();
}

static void mm_scan_zone(struct zone *zone, u64 *raw, u64 *treated)
{
	unsigned long pfn = zone->zone_start_pfn;
	unsigned long end = zone_end_pfn(zone);
	unsigned long next;

	for (; pfn < end; pfn = next) {
		next = min(end, ALIGN(pfn + 1, MAX_ORDER_NR_PAGES));
		mm_scan_hold(zone, pfn, next, raw, treated);
		cond_resched();
	}
}

/**
 * mm_scan_counts - how much free memory is raw, and how much treated
 * @raw: where to put what the host has to keep, pages
 * @treated: where to put what it knows it need not, pages
 *
 * Free blocks of all orders, those that are isolated too. Each piece is exact at
 * the moment when it was looked at; between pieces, blocks come and go.
 *
 * A GiB takes 40 thousand instructions if all of it is free in the largest blocks,
 * 2 to 3 million if all is in use, and 5 to 6 million if every other page is: this
 * is for people who look, not for what runs by itself.
 *
 * Context: process, may sleep. Holds zone->lock, with interrupts off, for as many
 * page structs as the largest block has: at most 12 thousand instructions where
 * all of them are in use, 22 thousand where every other one is.
 */
void mm_scan_counts(u64 *raw, u64 *treated)
{
	struct zone *zone;

	*raw = 0;
	*treated = 0;
	for_each_populated(zone)
		mm_scan_zone(zone, raw, treated);
}

/*
 * Is that page in a treated block of at least that order? A head that we look at
 * without the lock may be none any more: then this one page is told wrong. Called in
 * an RCU read section.
 */
static bool mm_scan_is_treated(const struct zone *zone, unsigned long pfn,
			       unsigned int order)
{
	struct page *page = pfn_to_online_page(pfn);
	struct page *head;

	for (; page && order <= MAX_PAGE_ORDER; order++) {
		head = page - (pfn & ((1UL << order) - 1));
		if (PageBuddy(head) && READ_ONCE(page_private(head)) >= order)
			return page_zone(head) == zone && PageReported(head);
	}
	return false;
}

/*
 * From one page that is looked for to the next: a block of @order. In a large
 * zone, an odd number of them, so as not to keep step with how memory is used.
 * For each page, a look at one head for every order that its block may have.
 */
static unsigned long mm_scan_step(const struct zone *zone, unsigned int order)
{
	unsigned long samples = MM_SCAN_LOOKS / (MAX_PAGE_ORDER + 1 - order);
	unsigned long blocks = zone->spanned_pages >> order;

	return (DIV_ROUND_UP(blocks, samples) | 1) << order;
}

static u64 mm_scan_zone_treated(const struct zone *zone, unsigned int order)
{
	unsigned long pfn = ALIGN(zone->zone_start_pfn, 1UL << order);
	unsigned long step = mm_scan_step(zone, order);
	unsigned long end = zone_end_pfn(zone);
	unsigned long seen = 0;
	u64 pages = 0;

	for (; pfn < end; pfn += step) {
		rcu_read_lock();
		if (mm_scan_is_treated(zone, pfn, order))
			pages += step;
		rcu_read_unlock();
		if (!(++seen % MM_SCAN_AT_ONCE))
			cond_resched();
	}
	return pages;
}

/**
 * mm_scan_treated_blocks - how much of a node is treated, in large blocks: an estimate
 * @nid: the node, online
 * @order: smallest order of the blocks
 * @room: zones without that are passed over, see mm_free_has_room()
 *
 * In each zone it looks at no more than 65536 page structs, however much memory
 * there is. From order 9 those are all that matter in 64 GiB, from order 10 in
 * 256 GiB, from order 4 in 0.5 GiB. In a larger zone one block in an odd number is
 * looked for, and stands for the others: the figure is right within some 1 % of the
 * zone then, and the same each time that memory has not changed.
 *
 * From order 9 it takes up to 50 thousand instructions a GiB, and 6 million a zone
 * at most. Smaller orders take up to 2 million, in smaller zones too.
 *
 * Context: process, may sleep; takes no lock. What changes meanwhile may be told
 * wrong, page by page.
 * Return: pages.
 */
u64 mm_scan_treated_blocks(int nid, unsigned int order, u64 room)
{
	struct zone *zone;
	u64 pages = 0;

	if (order > MAX_PAGE_ORDER)
		return 0;
	for_each_populated_of(zone, nid)
		if (mm_free_has_room(zone, room, 0))
			pages += mm_scan_zone_treated(zone, order);
	return pages;
}

/* It is offline for every look from now on, and still mapped. */
static int mm_scan_memory_offline(struct notifier_block *nb, unsigned long event, void *arg)
{
	if (event == MEM_OFFLINE)
		synchronize_rcu();
	return NOTIFY_OK;
}

static struct notifier_block mm_scan_memory_nb = {
	.notifier_call = mm_scan_memory_offline,
};

/**
 * mm_scan_start - have mm wait for looks at memory that goes
 *
 * Context: at load, before the first scan.
 * Return: 0 or a negative errno.
 */
int mm_scan_start(void)
{
	return register_memory_notifier(&mm_scan_memory_nb);
}

/**
 * mm_scan_stop - have mm wait no more
 *
 * Context: at unload, after the last scan.
 */
void mm_scan_stop(void)
{
	unregister_memory_notifier(&mm_scan_memory_nb);
}
