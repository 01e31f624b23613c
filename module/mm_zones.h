/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_ZONES_H
#define AERATOR_MM_ZONES_H

#include <linux/mmzone.h>

struct zone *zone_after(struct zone *zone);
struct zone *zone_after_of(struct zone *zone, int nid);
void zones_sync(void);

/* All zones with memory in them: for_each_populated_zone() is not for modules. */
#define for_each_populated(zone)					\
	for (zone = zone_after(NULL); zone; zone = zone_after(zone))

/* Those of one node, which is online. */
#define for_each_populated_of(zone, nid)				\
	for (zone = zone_after_of(NULL, nid); zone; zone = zone_after_of(zone, nid))

#endif /* AERATOR_MM_ZONES_H */
