// SPDX-License-Identifier: GPL-2.0
/*
 * How little there was: a sliding minimum, for every start of the window at once.
 *
 * A low that is followed by one that is no higher says nothing any more, so those that
 * are kept rise, and the oldest within a time is the least of it. Pure, as policy.c.
 */
#include <linux/minmax.h>
#include <linux/stddef.h>
#include "lows.h"

/* The oldest but @i. */
static struct low *lows_nth(struct lows *l, unsigned int i)
{
	return &l->ring[(l->first + i) % LOWS_MAX];
}

static void lows_drop_oldest(struct lows *l)
{
	l->first = (l->first + 1) % LOWS_MAX;
	l->nr--;
}

/* Drop lows that are not lower than @pages, and those older than @span. */
static void lows_expire(struct lows *l, u64 now, u64 pages, u64 span)
{
	while (l->nr && lows_nth(l, l->nr - 1)->pages >= pages)
		l->nr--;
	while (l->nr && now - lows_nth(l, 0)->at >= span)
		lows_drop_oldest(l);
}

/* Make room: for all that is known then, the oldest low lasted as long as the next. */
static void lows_merge_oldest(struct lows *l)
{
	lows_nth(l, 1)->pages = lows_nth(l, 0)->pages;
	lows_drop_oldest(l);
}

/* Likewise the last but one as long as the last, if it began hardly before that. */
static void lows_merge_close(struct lows *l, u64 grain)
{
	struct low *before, *last;

	if (l->nr < 2)
		return;
	before = lows_nth(l, l->nr - 2);
	last = lows_nth(l, l->nr - 1);
	if (last->at - before->from > grain)
		return;
	before->at = last->at;
	l->nr--;
}

/**
 * lows_remember - this is how little there was until now
 * @l: the lows
 * @now: milliseconds, no less than in any call before
 * @pages: how little
 * @span: how far back anyone will look, ms
 *
 * Lows that follow each other closely count as one, the lower: this bounds their
 * number, and no minimum is too high.
 */
void lows_remember(struct lows *l, u64 now, u64 pages, u64 span)
{
	lows_expire(l, now, pages, span);
	lows_merge_close(l, span / LOWS_GRAINS);
	if (l->nr == LOWS_MAX)
		lows_merge_oldest(l);
	*lows_nth(l, l->nr++) = (struct low) {
		.from = now, .at = now, .pages = pages,
	};
}

/**
 * lows_forget - start anew
 * @l: the lows
 * @now: milliseconds
 *
 * For all that is known, there was nothing until now.
 */
void lows_forget(struct lows *l, u64 now)
{
	l->nr = 0;
	lows_remember(l, now, 0, 0);
}

/**
 * lows_since - the least of the last while
 * @l: the lows
 * @now: milliseconds
 * @span: how long that is, ms
 *
 * Return: the oldest low that is younger than @span, or NULL if there is none.
 */
const struct low *lows_since(const struct lows *l, u64 now, u64 span)
{
	const struct low *low;
	unsigned int i;

	for (i = 0; i < l->nr; i++) {
		low = &l->ring[(l->first + i) % LOWS_MAX];
		if (now - low->at < span)
			return low;
	}
	return NULL;
}

/**
 * lows_take_off - so much was never there
 * @l: the lows
 * @pages: how much
 */
void lows_take_off(struct lows *l, u64 pages)
{
	unsigned int i;

	for (i = 0; i < l->nr; i++)
		lows_nth(l, i)->pages -= min(lows_nth(l, i)->pages, pages);
}
