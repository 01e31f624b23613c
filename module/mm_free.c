// SPDX-License-Identifier: GPL-2.0
/*
 * The zones of this guest, one after another, and how much memory of a node is
 * free, as the allocator counts it anyway. Read without its locks: each number is one
 * that was true a moment ago.
 */
#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>
#include "compat/compat.h"
#include "mm_free.h"

/**
 * mm_zone_after_of - the next zone of a node that has memory
 * @zone: the one before, NULL for the first
 * @nid: the node, online
 *
 * Context: any.
 *
 * Return: the zone, NULL behind the last.
 */
struct zone *mm_zone_after_of(struct zone *zone, int nid)
{
	int i = zone ? zone_idx(zone) + 1 : 0;

	for (; i < MAX_NR_ZONES; i++)
		if (populated_zone(&NODE_DATA(nid)->node_zones[i]))
			return &NODE_DATA(nid)->node_zones[i];
	return NULL;
}

/**
 * mm_zone_after - the next zone that has memory, whichever node it is of
 * @zone: the one before, NULL for the first
 *
 * Context: any.
 *
 * Return: the zone, NULL behind the last.
 */
struct zone *mm_zone_after(struct zone *zone)
{
	int nid = zone ? zone_to_nid(zone) : first_online_node;

	for (; nid < MAX_NUMNODES; nid = next_online_node(nid), zone = NULL) {
		struct zone *next = mm_zone_after_of(zone, nid);

		if (next)
			return next;
	}
	return NULL;
}

/**
 * mm_zones_sync - let everyone finish who is in the allocator
 *
 * What a free or an allocation changed under zone->lock before this call is seen
 * after it, and who takes the lock from then on sees what we wrote.
 *
 * Context: process; interrupts are on.
 */
void mm_zones_sync(void)
{
	struct zone *zone;

	for_each_populated(zone) {
		spin_lock_irq(&zone->lock);
		spin_unlock_irq(&zone->lock);
	}
}

/**
 * mm_free_pages - all free memory of a node
 * @nid: the node; one that has memory
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 mm_free_pages(int nid)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		pages += zone_page_state(zone, NR_FREE_PAGES);
	return pages;
}

/**
 * mm_free_has_room - can blocks be taken out of a zone?
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
bool mm_free_has_room(struct zone *zone, u64 room, u64 out)
{
	u64 least = low_wmark_pages(zone) + room + READ_ONCE(zone->nr_reserved_highatomic);

	return !room || (zone_managed_pages(zone) > least &&
			 zone_page_state(zone, NR_FREE_PAGES) + out > least);
}

static u64 mm_free_zone_blocks(const struct zone *zone, unsigned int order)
{
	u64 pages = 0;

	for (; order <= MAX_PAGE_ORDER; order++)
		pages += (u64)READ_ONCE(zone->free_area[order].nr_free) << order;
	return pages;
}

/**
 * mm_free_blocks - free memory of a node in blocks of an order, and of larger ones
 * @nid: the node; one that has memory
 * @order: log2 of pages
 * @room: zones without that are passed over, see mm_free_has_room()
 * @out: what is out of the node for a batch, pages; not counted
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 mm_free_blocks(int nid, unsigned int order, u64 room, u64 out)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		if (mm_free_has_room(zone, room, out))
			pages += mm_free_zone_blocks(zone, order);
	return pages;
}

/**
 * mm_free_watermark - what a node keeps free for allocations that cannot wait
 * @nid: the node; one that has memory
 *
 * Context: any.
 *
 * Return: pages; once that little is free, the kernel reclaims memory.
 */
u64 mm_free_watermark(int nid)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		pages += high_wmark_pages(zone);
	return pages;
}

/**
 * mm_free_managed - all memory of a node that the allocator hands out
 * @nid: the node; one that has memory
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 mm_free_managed(int nid)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated_of(zone, nid)
		pages += zone_managed_pages(zone);
	return pages;
}

/**
 * mm_free_guest_pages - all free memory of the guest
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 mm_free_guest_pages(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

/**
 * mm_free_guest_watermark - what all nodes keep free for allocations that cannot wait
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 mm_free_guest_watermark(void)
{
	u64 pages = 0;
	int nid;

	for_each_online_node(nid)
		pages += mm_free_watermark(nid);
	return pages;
}
