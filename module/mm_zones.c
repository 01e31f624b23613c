// SPDX-License-Identifier: GPL-2.0
/*
 * The zones of this guest, one after another.
 */
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/spinlock.h>
#include "mm_zones.h"

/**
 * zone_after_of - the next zone of a node that has memory
 * @zone: the one before, NULL for the first
 * @nid: the node, online
 *
 * Context: any.
 *
 * Return: the zone, NULL behind the last.
 */
struct zone *zone_after_of(struct zone *zone, int nid)
{
	int i = zone ? zone_idx(zone) + 1 : 0;

	for (; i < MAX_NR_ZONES; i++)
		if (populated_zone(&NODE_DATA(nid)->node_zones[i]))
			return &NODE_DATA(nid)->node_zones[i];
	return NULL;
}

/**
 * zone_after - the next zone that has memory, whichever node it is of
 * @zone: the one before, NULL for the first
 *
 * Context: any.
 *
 * Return: the zone, NULL behind the last.
 */
struct zone *zone_after(struct zone *zone)
{
	int nid = zone ? zone_to_nid(zone) : first_online_node;

	for (; nid < MAX_NUMNODES; nid = next_online_node(nid), zone = NULL) {
		struct zone *next = zone_after_of(zone, nid);

		if (next)
			return next;
	}
	return NULL;
}

/**
 * zones_sync - let everyone finish who is in the allocator
 *
 * What a free or an allocation changed under zone->lock before this call is seen
 * after it, and who takes the lock from then on sees what we wrote.
 *
 * Context: process; interrupts are on.
 */
void zones_sync(void)
{
	struct zone *zone;

	for_each_populated(zone) {
		spin_lock_irq(&zone->lock);
		spin_unlock_irq(&zone->lock);
	}
}
