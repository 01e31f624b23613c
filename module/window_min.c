// SPDX-License-Identifier: GPL-2.0
/*
 * A sliding-window minimum, for windows of any length that end now.
 *
 * The samples are a monotonic queue: a new sample removes all older samples that are not
 * smaller, since these can no longer be the minimum of any window. The remaining samples
 * rise from the oldest to the newest, and the oldest one within a window is the minimum
 * of this window. Two samples are merged if they are close to each other compared with
 * their age. The density of the samples is thus logarithmic in their age, and a window
 * of 75 ms and one of 5 s have the same relative precision.
 *
 * Pure: no clock, no mm.
 */
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/stddef.h>
#include "window_min.h"

/* Merge a sample with its successor: the smaller value, until the later time. */
static void window_min_merge(struct window_min *w, unsigned int i)
{
	w->samples[i].at = w->samples[i + 1].at;
	for (i++; i + 1 < w->nr; i++)
		w->samples[i] = w->samples[i + 1];
	w->nr--;
}

/* Drop the samples that cannot be a minimum any more, or that are older than @span. */
static void window_min_expire(struct window_min *w, u64 now, u64 pages, u64 span)
{
	unsigned int i, old = 0;

	while (w->nr && w->samples[w->nr - 1].pages >= pages)
		w->nr--;
	while (old < w->nr && now - w->samples[old].at >= span)
		old++;
	for (i = old; old && i < w->nr; i++)
		w->samples[i - old] = w->samples[i];
	w->nr -= old;
}

static void window_min_compact(struct window_min *w, u64 now)
{
	unsigned int i = 0;

	while (i + 1 < w->nr) {
		const struct window_min_sample *next = &w->samples[i + 1];

		if ((next->at - w->samples[i].from) * WINDOW_MIN_GRAIN <= now - next->at)
			window_min_merge(w, i);
		else
			i++;
	}
	if (w->nr == WINDOW_MIN_SAMPLES)
		window_min_merge(w, 0);
}

/**
 * window_min_add - add a sample
 * @w: the minimum
 * @now: milliseconds, not before the @now of an earlier call
 * @pages: the value
 * @span: length of the longest window that will be read, ms
 */
void window_min_add(struct window_min *w, u64 now, u64 pages, u64 span)
{
	window_min_expire(w, now, pages, span);
	window_min_compact(w, now);
	w->samples[w->nr++] = (struct window_min_sample) {
		.from = now, .at = now, .pages = pages,
	};
}

/**
 * window_min_reset - drop all samples
 * @w: the minimum
 * @now: milliseconds
 *
 * The value counts as zero up to @now.
 */
void window_min_reset(struct window_min *w, u64 now)
{
	w->nr = 0;
	window_min_add(w, now, 0, 0);
}

static const struct window_min_sample *window_min_oldest(const struct window_min *w,
							 u64 now, u64 span)
{
	unsigned int i;

	for (i = 0; i < w->nr; i++)
		if (now - w->samples[i].at < span)
			return &w->samples[i];
	return NULL;
}

/**
 * window_min_since - the minimum of a window
 * @w: the minimum
 * @now: milliseconds; the end of the window
 * @span: its length, ms
 *
 * Return: the minimum; U64_MAX if the window has no sample.
 */
u64 window_min_since(const struct window_min *w, u64 now, u64 span)
{
	const struct window_min_sample *oldest = window_min_oldest(w, now, span);

	return oldest ? oldest->pages : U64_MAX;
}

/**
 * window_min_next - time until the minimum can rise
 * @w: the minimum
 * @now: milliseconds
 * @span: length of the window, ms
 *
 * Return: milliseconds until the window's smallest sample leaves it; U64_MAX if it has
 * no sample.
 */
u64 window_min_next(const struct window_min *w, u64 now, u64 span)
{
	const struct window_min_sample *oldest = window_min_oldest(w, now, span);

	return oldest ? oldest->at + span - now : U64_MAX;
}
