/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_FREE_H
#define AERATOR_MM_FREE_H

#include <linux/mmzone.h>
#include <linux/types.h>

struct zone *mm_zone_after(struct zone *zone);
struct zone *mm_zone_after_of(struct zone *zone, int nid);
void mm_zones_sync(void);

/* All zones that have memory; for_each_populated_zone() cannot be used by a module. */
#define for_each_populated(zone)					\
	for (zone = mm_zone_after(NULL); zone; zone = mm_zone_after(zone))

/* All zones that have memory of one node, which is online. */
#define for_each_populated_of(zone, nid)				\
	for (zone = mm_zone_after_of(NULL, nid); zone; zone = mm_zone_after_of(zone, nid))

u64 mm_free_pages(int nid);
bool mm_free_has_room(struct zone *zone, u64 room, u64 out);
u64 mm_free_blocks(int nid, unsigned int order, u64 room, u64 out);
u64 mm_free_watermark(int nid);
u64 mm_free_managed(int nid);
u64 mm_free_guest_pages(void);
u64 mm_free_guest_watermark(void);

#endif /* AERATOR_MM_FREE_H */
