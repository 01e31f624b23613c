// SPDX-License-Identifier: GPL-2.0
/*
 * A free list of a stock kernel, as page reporting and allocations use it: freed blocks go to
 * the head, allocations take blocks from there, and reported or refused blocks go to the tail.
 */
#include <linux/minmax.h>
#include <stdlib.h>
#include <string.h>
#include "free_list.h"
#include "memory.h"

static void free_list_insert(struct free_list *l, unsigned int at, u64 pages,
			     bool treated)
{
	if (l->nr == l->room) {
		l->room = 2 * l->room + 16;
		l->stretches = memory_resize(l->stretches, l->room, sizeof(*l->stretches));
	}
	memmove(l->stretches + at + 1, l->stretches + at,
		(l->nr - at) * sizeof(*l->stretches));
	l->stretches[at] = (struct free_list_stretch) { pages, treated };
	l->nr++;
}

static void free_list_drop_head(struct free_list *l)
{
	memmove(l->stretches, l->stretches + 1, --l->nr * sizeof(*l->stretches));
}

/* Take pages from the first stretch. */
static void free_list_shrink_head(struct free_list *l, u64 pages)
{
	l->stretches[0].pages -= pages;
	if (!l->stretches[0].pages)
		free_list_drop_head(l);
}

/**
 * free_list_add_head - memory is freed
 * @l: the list
 * @pages: number of pages; they are raw
 */
void free_list_add_head(struct free_list *l, u64 pages)
{
	if (l->nr && !l->stretches[0].treated)
		l->stretches[0].pages += pages;
	else if (pages)
		free_list_insert(l, 0, pages, false);
}

/**
 * free_list_add_tail - blocks come back from page reporting
 * @l: the list
 * @pages: number of pages
 * @treated: they have been reported
 */
void free_list_add_tail(struct free_list *l, u64 pages, bool treated)
{
	if (l->nr && l->stretches[l->nr - 1].treated == treated)
		l->stretches[l->nr - 1].pages += pages;
	else if (pages)
		free_list_insert(l, l->nr, pages, treated);
}

/**
 * free_list_take - memory is allocated
 * @l: the list
 * @pages: number of pages, no more than are on the list
 *
 * Return: pages that were treated.
 */
u64 free_list_take(struct free_list *l, u64 pages)
{
	u64 treated = 0;

	while (pages) {
		u64 taken = min(pages, l->stretches[0].pages);

		if (l->stretches[0].treated)
			treated += taken;
		pages -= taken;
		free_list_shrink_head(l, taken);
	}
	return treated;
}

/**
 * free_list_isolate - take raw blocks off the list for a batch
 * @l: the list
 * @most: limit, pages
 *
 * Begins at the head. Treated blocks are skipped, and move to the tail.
 *
 * Return: pages; 0 if nothing is raw.
 */
u64 free_list_isolate(struct free_list *l, u64 most)
{
	unsigned int left = l->nr;
	u64 pages = 0;

	while (pages < most && left) {
		struct free_list_stretch head = l->stretches[0];
		u64 raw = head.treated ? 0 : min(head.pages, most - pages);

		if (head.treated || raw == head.pages)
			left--;
		free_list_shrink_head(l, head.treated ? head.pages : raw);
		if (head.treated)
			free_list_add_tail(l, head.pages, true);
		pages += raw;
	}
	return pages;
}

/**
 * free_list_clear - remove all blocks
 * @l: the list
 */
void free_list_clear(struct free_list *l)
{
	free(l->stretches);
	*l = (struct free_list) {};
}
