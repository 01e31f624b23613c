/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_ZONES_H
#define AERATOR_ZONES_H

#include <linux/mmzone.h>

struct zone *zone_after(struct zone *zone);
void zones_sync(void);

/* All zones with memory in them: for_each_populated_zone() is not for modules. */
#define for_each_populated(zone)					\
	for (zone = zone_after(NULL); zone; zone = zone_after(zone))

#endif /* AERATOR_ZONES_H */
