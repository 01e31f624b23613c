/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_WINDOW_MIN_H
#define AERATOR_WINDOW_MIN_H

#include <linux/types.h>

/*
 * Two samples are merged if their distance is at most 1/4 of their age. So the effective
 * window is at most 1/4 longer than the requested one, and WINDOW_MIN_SAMPLES entries are
 * enough for windows from 10 ms to a minute.
 */
#define WINDOW_MIN_GRAIN	4U
#define WINDOW_MIN_SAMPLES	80U

/**
 * struct window_min_sample - one sample, or several merged ones
 * @from: time of the first sample, ms
 * @at: time of the last sample, ms
 * @pages: minimum of the samples
 */
struct window_min_sample {
	u64 from;
	u64 at;
	u64 pages;
};

/**
 * struct window_min - sliding-window minimum, for any length of the window
 * @samples: monotonic queue: time and value rise from the first entry to the last
 * @nr: number of entries in @samples
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
