/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_WINDOW_MIN_H
#define AERATOR_WINDOW_MIN_H

#include <linux/types.h>

/*
 * Samples closer to each other than this part of their age are merged, so that a window
 * is at most so much longer than asked for, and windows from 10 ms to a minute fit in.
 */
#define WINDOW_MIN_GRAIN	4U
#define WINDOW_MIN_SAMPLES	80U

/**
 * struct window_min_sample - a minimum, and when it was seen
 * @from: the first time, ms
 * @at: the last time, ms
 * @pages: the minimum
 */
struct window_min_sample {
	u64 from;
	u64 at;
	u64 pages;
};

/**
 * struct window_min - the minimum of windows of any length that end now
 * @samples: oldest and smallest first
 * @nr: how many there are
 *
 * Not locked: the caller serialises.
 */
struct window_min {
	struct window_min_sample samples[WINDOW_MIN_SAMPLES];
	unsigned int nr;
};

void window_min_reset(struct window_min *w, u64 now);
void window_min_add(struct window_min *w, u64 now, u64 pages, u64 span);
u64 window_min_since(const struct window_min *w, u64 now, u64 span);
u64 window_min_next(const struct window_min *w, u64 now, u64 span);

#endif /* AERATOR_WINDOW_MIN_H */
