/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_POLICY_H
#define AERATOR_POLICY_H

#include <linux/types.h>
#include "window_min.h"

/* struct policy_view: there is no need to look again. */
#define POLICY_NEVER		(~0U)

/* struct policy_limits: the policy chooses the window. */
#define POLICY_WINDOW_AUTO	(~0U)

/*
 * Most time between two looks while memory may become surplus, ms. It is in step with no
 * pause that people choose, such as half a second.
 */
#define POLICY_LOOK_MAX		53U

/* Windows that the policy chooses from: the shortest, ms, each of the others twice the last. */
#define POLICY_WINDOW_MIN	75U
#define POLICY_WINDOWS		7U

/**
 * struct policy_limits - what the user asked for
 * @window_ms: how long memory has to be free before it is surplus, or POLICY_WINDOW_AUTO
 * @refault_ms: what it costs to fault memory in again, in ms of the host's holding it
 * @reserve: free memory that is never surplus, pages
 * @cap: most pages that are treated at a time
 */
struct policy_limits {
	unsigned int window_ms;
	unsigned int refault_ms;
	u64 reserve;
	u64 cap;
};

/**
 * struct policy_level - free memory at a moment, pages
 * @free: all of it
 * @blocks: in blocks that are large enough to be treated
 * @treated: of @blocks, what the host knows of
 *
 * What is on its way to the host counts as free and treated, and so does the balloon.
 */
struct policy_level {
	u64 free;
	u64 blocks;
	u64 treated;
};

/**
 * struct policy_view - what is to be done now
 * @window_ms: the window in use
 * @surplus: memory that was free for that long, treated or not, pages
 * @deficit: what of it is to be treated now, pages
 * @wait_ms: when to look again: 0 if there is a deficit, POLICY_NEVER if no more can
 *	become surplus by staying free, but for less than the noise
 * @watch_ms: in that case, when to look again though nothing was freed
 */
struct policy_view {
	unsigned int window_ms;
	u64 surplus;
	u64 deficit;
	unsigned int wait_ms;
	unsigned int watch_ms;
};

/**
 * struct policy_shadow - what a window of one length would have come to
 * @treated: what would be treated, pages
 * @cost: memory held for nothing and memory faulted in again, pages times ms; what is
 *	long past counts less
 */
struct policy_shadow {
	u64 treated;
	u64 cost;
};

/**
 * struct policy - how much of a node's free memory is to be treated, and when
 * @slack: a change smaller than this is noise, pages
 * @least: sliding-window minimum of @available
 * @available: what could be treated at the last look, treated or not, pages
 * @treated: what was, pages
 * @looked: when that look was, ms; 0 before the first
 * @fell: when @available was last seen to fall, ms
 * @released: when more than the noise was treated last, ms
 * @refused: deficit that a pass could not treat, pages
 * @chosen: index of the shadow with the least cost
 * @shadows: one for each window
 *
 * Times are of one clock that never goes back, and is not 0. Not locked: the caller
 * serialises.
 */
struct policy {
	u64 slack;
	struct window_min least;
	u64 available;
	u64 treated;
	u64 looked;
	u64 fell;
	u64 released;
	u64 refused;
	unsigned int chosen;
	struct policy_shadow shadows[POLICY_WINDOWS];
};

void policy_init(struct policy *p, u64 now, u64 slack);
void policy_look(struct policy *p, u64 now, const struct policy_level *level,
		 const struct policy_limits *limits, struct policy_view *view);
void policy_wake(struct policy *p);
void policy_press(struct policy *p, u64 now);
void policy_treat(struct policy *p, u64 now, u64 pages);
void policy_refuse(struct policy *p, const struct policy_view *view);

/**
 * policy_window - length of a window
 * @i: which, less than POLICY_WINDOWS
 *
 * Return: milliseconds.
 */
static inline unsigned int policy_window(unsigned int i)
{
	return POLICY_WINDOW_MIN << i;
}

#endif /* AERATOR_POLICY_H */
