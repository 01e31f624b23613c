// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the memory that this module allocated for the host, per node: pages in the
 * balloon, and free page hints of a migration. The policy needs the count: otherwise an
 * allocation by the module would look like memory that the guest began to use.
 *
 * The function that allocates a page adds it right after the allocation, and the
 * function that frees a page subtracts it.
 */
#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include "mm_ballooned.h"

static atomic_long_t mm_ballooned_nodes[MAX_NUMNODES];

/**
 * mm_ballooned_add - count pages that were allocated for the host, or go back
 * @page: the first page; all pages are of one node
 * @pages: number of pages; negative when the pages go back
 *
 * Context: any.
 */
void mm_ballooned_add(const struct page *page, long pages)
{
	atomic_long_add(pages, &mm_ballooned_nodes[page_to_nid(page)]);
}

/**
 * mm_ballooned_pages - pages of a node in the balloon, or hinted to a migration
 * @nid: the node
 *
 * Context: any.
 *
 * Return: pages.
 */
u64 mm_ballooned_pages(int nid)
{
	return max(atomic_long_read(&mm_ballooned_nodes[nid]), 0L);
}
