// SPDX-License-Identifier: GPL-2.0
/*
 * Free memory, counted from the free lists and compared with the kernel's counters; and pages
 * that tests hold, divide and release.
 */
#include <linux/nodemask.h>
#include <linux/page_ref.h>
#include <linux/stop_machine.h>
#include "aeration_test.h"

struct zone *largest_zone(void)
{
	struct zone *largest = NULL, *zone;
	int node;

	for_each_online_node(node)
		for (zone = NODE_DATA(node)->node_zones;
		     zone < NODE_DATA(node)->node_zones + MAX_NR_ZONES; zone++)
			if (!largest || zone_managed_pages(zone) > zone_managed_pages(largest))
				largest = zone;
	return largest;
}

/* Count the blocks of one list, and check each page; zone->lock is held. */
static void count_list(struct zone *zone, unsigned int order, int list, struct census *census)
{
	bool treated = list >= MIGRATE_TYPES;
	struct page *page;

	list_for_each_entry(page, &zone->free_area[order].free_list[list], lru) {
		census->nr[order][list]++;
		if (!PageBuddy(page) || page_private(page) != order ||
		    page_zone(page) != zone || PageReported(page) != treated)
			census->wrong++;
	}
	if (!is_migrate_isolate(list % MIGRATE_TYPES))
		census->pages += census->nr[order][list] << order;
}

/* Compare an order with the kernel's counters; zone->lock is held. */
static void compare_order(struct zone *zone, unsigned int order, struct census *census)
{
	struct free_area *area = &zone->free_area[order];
	unsigned long raw = blocks_of(census, order, false);
	unsigned long treated = blocks_of(census, order, true);

	census->wrong += area->nr_free != raw + treated;
	census->wrong += area->nr_treated != treated;
}

/**
 * take_census - count free memory, block by block
 * @zone: the zone
 * @census: the result
 *
 * Holds zone->lock all the time.
 */
void take_census(struct zone *zone, struct census *census)
{
	unsigned long flags;
	unsigned int order;
	int list;

	memset(census, 0, sizeof(*census));
	spin_lock_irqsave(&zone->lock, flags);
	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		for (list = 0; list < FREE_LISTS; list++)
			count_list(zone, order, list, census);
		compare_order(zone, order, census);
	}
	census->stat = zone_page_state_snapshot(zone, NR_FREE_PAGES);
	spin_unlock_irqrestore(&zone->lock, flags);
}

unsigned long blocks_of(const struct census *census, unsigned int order, bool treated)
{
	int first = treated ? MIGRATE_TYPES : 0, list;
	unsigned long nr = 0;

	for (list = first; list < first + MIGRATE_TYPES; list++)
		nr += census->nr[order][list];
	return nr;
}

unsigned long pages_of(const struct census *census, bool treated)
{
	unsigned long pages = 0;
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		pages += blocks_of(census, order, treated) << order;
	return pages;
}

struct alone {
	struct zone *zone;
	struct allocation *allocation;
};

/* Compare with memory_aeration's counts: the free lists do not change meanwhile. */
static void compare_answers(struct zone *zone, struct census *census)
{
	unsigned long raw, treated, isolated;
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		memory_aeration_count(zone, order, &raw, &treated);
		isolated = census->nr[order][MIGRATE_ISOLATE];
		census->wrong += raw != blocks_of(census, order, false) - isolated;
		census->wrong += treated != blocks_of(census, order, true) + isolated;
	}
	census->wrong += census->stat != census->pages;
}

static int allocate_stopped(void *data)
{
	struct allocation *allocation = ((struct alone *)data)->allocation;
	struct zone *zone = ((struct alone *)data)->zone;

	take_census(zone, &allocation->before);
	compare_answers(zone, &allocation->before);
	allocation->page = alloc_pages(allocation->gfp, allocation->order);
	take_census(zone, &allocation->after);
	compare_answers(zone, &allocation->after);
	return 0;
}

/**
 * allocate_alone - observe one allocation, with the machine stopped
 * @zone: the zone whose free lists are counted
 * @allocation: gfp and order are set by the caller, the rest here. Must not block.
 */
void allocate_alone(struct zone *zone, struct allocation *allocation)
{
	struct alone alone = { .zone = zone, .allocation = allocation };

	stop_machine(allocate_stopped, &alone, NULL);
}

void hold_page(struct list_head *held, struct page *page, unsigned int order)
{
	set_page_private(page, order);
	list_add_tail(&page->lru, held);
}

/* Allocate a page, which stays on the list until it is released; NULL if there is none. */
struct page *hold(struct list_head *held, gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	if (page)
		hold_page(held, page, order);
	return page;
}

void release(struct page *page)
{
	unsigned int order = page_private(page);

	list_del(&page->lru);
	set_page_private(page, 0);
	__free_pages(page, order);
}

void release_all(struct list_head *held)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, held, lru) {
		release(page);
		cond_resched();
	}
}

/**
 * divide - divide one allocation into several
 * @page: not compound, held
 * @order: its order
 * @part: order of each part. The first part is held in place of the whole.
 */
void divide(struct page *page, unsigned int order, unsigned int part)
{
	unsigned long at;

	set_page_private(page, part);
	for (at = 1UL << part; at < 1UL << order; at += 1UL << part)
		set_page_count(page + at, 1);
}

/**
 * make_apart - make raw blocks of DIRECT_ORDER that cannot merge
 * @held: list to which their buddies are added
 * @blocks: number of blocks
 *
 * Return: the number of blocks that were made.
 */
unsigned int make_apart(struct list_head *held, unsigned int blocks)
{
	LIST_HEAD(upper);
	unsigned int nr;

	for (nr = 0; nr < blocks; nr++) {
		struct page *page = hold(held, TAKE_MOVABLE, DIRECT_ORDER + 1);

		if (!page)
			break;
		divide(page, DIRECT_ORDER + 1, DIRECT_ORDER);
		/* Do not free it yet, or the next allocation might use it. */
		hold_page(&upper, page + (1 << DIRECT_ORDER), DIRECT_ORDER);
	}
	release_all(&upper);
	return nr;
}

/* Whether a filled block overlaps a range. */
bool block_has(const struct page *block, unsigned long pfn, unsigned long nr)
{
	unsigned long first = page_to_pfn(block);

	return first < pfn + nr && pfn < first + (1UL << page_private(block));
}
