/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free memory that the host need not keep: the contract between the page
 * allocator (mm/memory_aeration.c, from kpatch/) and the driver that tells the
 * host (aerator.ko). Installed into a patched kernel as it stands here.
 *
 * A free block is raw, or treated: the host was told that it may drop what is
 * in it. The allocator owns its lists and zone->lock, and keeps the two kinds
 * apart. The driver registers with page_reporting_register(), as one that sets
 * @aerate: then the allocator takes nothing by itself. It marks the zone of each
 * block that is freed, sets @state, and has @aerate called @delay jiffies after
 * the first. The driver sets @state to 0, clears the mark, then asks for raw
 * blocks, tells the host, and gives them back:
 *
 *	free --> ZONE_RAW, aerate() --> fill --> (host) --> drain
 *
 * A block that was filled and not drained is out of the allocator's hands, and
 * the device's until it answered or was reset. Of its first page @lru belongs
 * to the batch meanwhile, and @private is its order; nothing else is anyone's.
 */
#ifndef _LINUX_MEMORY_AERATION_H
#define _LINUX_MEMORY_AERATION_H

#include <linux/mmzone.h>
#include <linux/page_reporting.h>

/* Most blocks that are taken or given back under one hold of zone->lock. */
#define MEMORY_AERATION_HOLD	32U

unsigned int memory_aeration_fill(struct zone *zone, unsigned int min_order,
				  struct list_head *batch, unsigned int blocks);
void memory_aeration_drain(struct list_head *batch, bool treated);
void memory_aeration_count(struct zone *zone, unsigned int order,
			   unsigned long *raw, unsigned long *treated);

#endif /* _LINUX_MEMORY_AERATION_H */
