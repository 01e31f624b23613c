// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory of a node is free, as the allocator counts it anyway. Read
 * without its locks: each number is one that was true a moment ago.
 */
#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/vmstat.h>
#include "compat/compat.h"
#include "mm_free.h"
#include "mm_zones.h"

/**
 * level_free - all free memory of a node
 * @nid: the node; one that has memory
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_free(int nid)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		pages += zone_page_state(zone, NR_FREE_PAGES);
	return pages;
}

/**
 * level_has_room - can blocks be taken out of a zone?
 * @zone: a populated one
 * @room: what has to be free beyond the low watermark, pages; 0 if nothing has to
 * @out: what is out of it for a batch, or of another zone of its node, pages
 *
 * As zone_watermark_ok() has it, which is not for modules: what is kept for
 * allocations that cannot wait is not free. What is out is, but is no reason to count
 * a zone that is too small to ever have the room.
 *
 * Context: any.
 *
 * Return: true if they can.
 */
bool level_has_room(struct zone *zone, u64 room, u64 out)
{
	u64 least = low_wmark_pages(zone) + room + READ_ONCE(zone->nr_reserved_highatomic);

	return !room || (zone_managed_pages(zone) > least &&
			 zone_page_state(zone, NR_FREE_PAGES) + out > least);
}

static u64 level_zone_blocks(const struct zone *zone, unsigned int order)
{
	u64 pages = 0;

	for (; order <= MAX_PAGE_ORDER; order++)
		pages += (u64)READ_ONCE(zone->free_area[order].nr_free) << order;
	return pages;
}

/**
 * level_blocks - free memory of a node in blocks of an order, and of larger ones
 * @nid: the node; one that has memory
 * @order: log2 of pages
 * @room: zones without that are passed over, see level_has_room()
 * @out: what is out of the node for a batch, pages; not counted
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_blocks(int nid, unsigned int order, u64 room, u64 out)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		if (level_has_room(zone, room, out))
			pages += level_zone_blocks(zone, order);
	return pages;
}

/**
 * level_watermark - what a node keeps free for allocations that cannot wait
 * @nid: the node; one that has memory
 *
 * Context: any.
 *
 * Return: pages; once that little is free, the kernel reclaims memory.
 */
u64 level_watermark(int nid)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		pages += high_wmark_pages(zone);
	return pages;
}

/**
 * level_managed - all memory of a node that the allocator hands out
 * @nid: the node; one that has memory
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_managed(int nid)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		pages += zone_managed_pages(zone);
	return pages;
}

/**
 * level_guest_free - all free memory of the guest
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_guest_free(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

/**
 * level_guest_watermark - what all nodes keep free for allocations that cannot wait
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_guest_watermark(void)
{
	u64 pages = 0;
	int nid;

	for_each_online_node(nid)
		pages += level_watermark(nid);
	return pages;
}
