/* SPDX-License-Identifier: GPL-2.0 */
/* A free list of a stock kernel. */
#ifndef REPLAY_FREE_LIST_H
#define REPLAY_FREE_LIST_H

#include <linux/types.h>

/**
 * struct free_list_stretch - neighbours on the list that are all raw or all treated
 * @pages: number of pages
 * @treated: they have been reported
 */
struct free_list_stretch {
	u64 pages;
	bool treated;
};

/**
 * struct free_list - raw and treated blocks, in the order of allocation
 * @stretches: array, from the head on
 * @nr: number of stretches
 * @room: allocated size of the array
 */
struct free_list {
	struct free_list_stretch *stretches;
	unsigned int nr;
	unsigned int room;
};

void free_list_add_head(struct free_list *l, u64 pages);
void free_list_add_tail(struct free_list *l, u64 pages, bool treated);
u64 free_list_take(struct free_list *l, u64 pages);
u64 free_list_isolate(struct free_list *l, u64 most);
void free_list_clear(struct free_list *l);

#endif /* REPLAY_FREE_LIST_H */
