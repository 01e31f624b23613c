// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that this module took out of the allocator for the host's sake: what is in
 * the balloon, and what a migration was told of. By node, since the policy would
 * otherwise take the same amount for memory that the guest began to use there.
 *
 * A page is counted by the function that allocates it, right after it did, and
 * taken off by the one that frees it.
 */
#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include "mm_ballooned.h"

static atomic_long_t mm_ballooned_nodes[MAX_NUMNODES];

/**
 * mm_ballooned_add - count pages that were taken out of the allocator, or go back
 * @page: the first of them; all are of one node
 * @pages: how many; less than 0 when they go back
 *
 * Context: any.
 */
void mm_ballooned_add(const struct page *page, long pages)
{
	atomic_long_add(pages, &mm_ballooned_nodes[page_to_nid(page)]);
}

/**
 * mm_ballooned_pages - what of a node is in the balloon or with a migration
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
