// SPDX-License-Identifier: GPL-2.0
/*
 * How much is free, as the allocator counts it anyway. Read without its locks:
 * each number is one that was true a moment ago.
 */
#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include "compat/compat.h"
#include "level.h"
#include "zones.h"

/**
 * level_free - all free memory
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_free(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

/**
 * level_blocks - free memory in blocks of an order, and of larger ones
 * @order: log2 of pages
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 level_blocks(unsigned int order)
{
	struct zone *zone;
	u64 pages = 0;
	unsigned int i;

	for_each_populated(zone)
		for (i = order; i <= MAX_PAGE_ORDER; i++)
			pages += (u64)READ_ONCE(zone->free_area[i].nr_free) << i;
	return pages;
}

/**
 * level_watermark - what is kept free for those who cannot wait
 *
 * Context: any.
 *
 * Return: pages; once that little is free, the kernel reclaims memory.
 */
u64 level_watermark(void)
{
	struct zone *zone;
	u64 pages = 0;

	for_each_populated(zone)
		pages += high_wmark_pages(zone);
	return pages;
}
