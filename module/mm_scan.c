// SPDX-License-Identifier: GPL-2.0
/*
 * Counts raw and treated free memory on kernels whose allocator keeps no such count.
 *
 * The kernel's page reporting sets PG_reported on a free block that was reported to the
 * host. The allocator clears it when the block is allocated, split or merged. Counting
 * therefore means reading struct pages. The scan follows the page frame number and not
 * the free lists: so it can drop zone->lock anywhere, and go on later.
 *
 *	0             512           1024                        2048
 *	| raw, 9      | in use  |0| | treated, 10               | treated, 9  | ...
 *	`------- one section ------'`------ the next one ------'
 *
 * Blocks are aligned to their size. One section of zone->lock covers a range of the size
 * of the largest block, aligned to it, and thus sees each block in the range as a whole.
 * Free pages on the per-CPU lists belong to no block: they are neither raw nor treated.
 *
 * Memory may go offline meanwhile, and its struct pages may be unmapped. Before it unmaps
 * them, mm calls the memory notifiers (MEM_OFFLINE): pfn_to_online_page() returns NULL by
 * then, and mm_scan_memory_offline() waits for the readers that began before. Each read,
 * from pfn_to_online_page() to the last struct page, is therefore an RCU read-side
 * critical section. It may be preempted, and the host may preempt the vCPU in it.
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

/* Most struct pages that an estimate reads in one zone. */
#define MM_SCAN_LOOKS	65536UL

/* Number of samples between two cond_resched(). */
#define MM_SCAN_AT_ONCE	1024UL

/* Smallest unit of memory that is online or offline: a subsection of mm. */
#define MM_SCAN_PIECE	(SZ_2M >> PAGE_SHIFT)

/*
 * Counts the blocks that begin in one subsection, which is online as a whole or not at
 * all. Returns the page frame number behind the last of these blocks.
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
 * mm_scan_counts - count raw and treated free memory
 * @raw: set to the raw memory, pages
 * @treated: set to the treated memory, pages
 *
 * Counts free blocks of all orders, isolated ones too. The count of each range under the
 * lock is exact; blocks may come and go between two ranges.
 *
 * A GiB takes 40 thousand instructions if all of it is free in the largest blocks,
 * 2 to 3 million if all is in use, and 5 to 6 million if every other page is in use: too
 * many for periodic work.
 *
 * Context: process, may sleep. Holds zone->lock, with interrupts off, for as many
 * struct pages as the largest block has: at most 12 thousand instructions where
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
 * Is the page in a treated block of at least @order? Runs without zone->lock: the block
 * may change during the read, and then the result for this one page is wrong. Called in
 * an RCU read-side critical section.
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
 * Distance between two samples: one block of @order; in a large zone an odd number of
 * blocks, so that samples are not in step with regular patterns of memory use. A sample
 * reads one struct page for each order that the block may have.
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
 * mm_scan_treated_blocks - estimate the treated memory of a node, in large blocks
 * @nid: the node, online
 * @order: smallest order of the blocks
 * @room: zones without this room are skipped, see mm_free_has_room()
 *
 * Reads at most 65536 struct pages in each zone, of any size. This covers every block of
 * a zone of up to 64 GiB for order 9, 256 GiB for order 10, and 0.5 GiB for order 4. In a
 * larger zone one block of every n is sampled, n odd: the error is then some 1 % of the
 * zone, and the result is the same as long as memory does not change.
 *
 * From order 9 on the estimate takes up to 50 thousand instructions per GiB, and at most
 * 6 million per zone. Smaller orders take up to 2 million, in smaller zones too.
 *
 * Context: process, may sleep; takes no lock. The result is wrong for blocks that change
 * during the scan, each by itself.
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

/* pfn_to_online_page() returns NULL from now on, the struct pages are still mapped. */
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
 * mm_scan_start - make memory offlining wait for running scans
 *
 * Context: at load, before the first scan.
 * Return: 0 or a negative errno.
 */
int mm_scan_start(void)
{
	return register_memory_notifier(&mm_scan_memory_nb);
}

/**
 * mm_scan_stop - undo mm_scan_start()
 *
 * Context: at unload, after the last scan.
 */
void mm_scan_stop(void)
{
	unregister_memory_notifier(&mm_scan_memory_nb);
}
