/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_LOWS_H
#define AERATOR_LOWS_H

#include <linux/types.h>

/*
 * Lows are told apart that are more than this part of the span from each other, and the
 * last two: so many are remembered.
 */
#define LOWS_GRAINS		64U
#define LOWS_MAX		(LOWS_GRAINS + 2U)

/**
 * struct low - how little there was at some time
 * @from: when it was so, ms
 * @at: until when it was, for all that is known
 * @pages: the least in between
 */
struct low {
	u64 from;
	u64 at;
	u64 pages;
};

/**
 * struct lows - the least there was since any time of the last span
 * @ring: oldest and smallest first
 * @first: index of the oldest
 * @nr: how many there are
 *
 * Not locked: that is up to the caller.
 */
struct lows {
	struct low ring[LOWS_MAX];
	unsigned int first;
	unsigned int nr;
};

void lows_forget(struct lows *l, u64 now);
void lows_remember(struct lows *l, u64 now, u64 pages, u64 span);
const struct low *lows_since(const struct lows *l, u64 now, u64 span);
void lows_take_off(struct lows *l, u64 pages);

#endif /* AERATOR_LOWS_H */
