// SPDX-License-Identifier: GPL-2.0
/*
 * Iterates over the zones of the guest, and reads the allocator's counters of free memory
 * per node. The counters are read without locks: each value may be slightly outdated.
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
 * @zone: the zone before, NULL for the first
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
 * mm_zone_after - the next zone that has memory, of any node
 * @zone: the zone before, NULL for the first
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
 * mm_zones_sync - wait for all sections of zone->lock that run at present
 *
 * Takes and drops each zone->lock. After the call, the caller sees what frees and
 * allocations changed under the lock before; sections of the lock that begin after the
 * call see what the caller wrote before.
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
 * @nid: a node that has memory
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
 * mm_free_has_room - does a zone have enough memory above its low watermark?
 * @zone: a populated zone
 * @room: memory that has to be free above the low watermark, pages; 0 for no condition
 * @out: pages that a batch took out of this zone, or of another zone of its node
 *
 * The same check as zone_watermark_ok(), which is not exported: the high-order atomic
 * reserve does not count as free. @out does, but not for a zone that is too small to ever
 * have the room.
 *
 * Context: any.
 *
 * Return: true if it has.
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
 * mm_free_blocks - free memory of a node in blocks of at least an order
 * @nid: a node that has memory
 * @order: log2 of pages
 * @room: zones without this room are skipped, see mm_free_has_room()
 * @out: pages that a batch took out of the node; not part of the result
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
 * mm_free_watermark - sum of the high watermarks of a node's zones
 * @nid: a node that has memory
 *
 * Context: any.
 *
 * Return: pages. With no more memory free than this, kswapd runs or is about to.
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
 * mm_free_managed - memory of a node that the buddy allocator manages
 * @nid: a node that has memory
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
 * mm_free_guest_watermark - sum of the high watermarks of all nodes
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
