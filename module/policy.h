/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_POLICY_H
#define AERATOR_POLICY_H

#include <linux/types.h>
#include "window_min.h"

/* struct policy_view: no further sample is needed. */
#define POLICY_NEVER		(~0U)

/* struct policy_limits: the policy chooses the window. */
#define POLICY_WINDOW_AUTO	(~0U)

/*
 * Longest interval between two samples while raw memory may become surplus, ms. The
 * interval is a prime, so that sampling does not run in step with a workload that pauses
 * for a round time, such as half a second.
 */
#define POLICY_SAMPLE_MAX		53U

/* Windows to choose from: the shortest, ms; each next one is twice as long. */
#define POLICY_WINDOW_MIN	75U
#define POLICY_WINDOWS		7U

/**
 * struct policy_limits - the user's settings, as they apply to one policy
 * @window_ms: how long memory has to be free before it is surplus, or POLICY_WINDOW_AUTO
 * @refault_ms: cost of the refault of a page: as much as keeping a free page in the
 *	host for so many ms
 * @reserve: free memory that is never surplus, pages
 * @cap: upper limit of treated memory, pages
 */
struct policy_limits {
	unsigned int window_ms;
	unsigned int refault_ms;
	u64 reserve;
	u64 cap;
};

/**
 * struct policy_level - one sample of free memory, pages
 * @free: all free memory
 * @blocks: free memory in blocks of at least the reporting order
 * @treated: the part of @blocks that was reported to the host
 *
 * Blocks of a running batch and pages in the balloon count as free and as treated.
 */
struct policy_level {
	u64 free;
	u64 blocks;
	u64 treated;
};

/**
 * struct policy_view - the policy's decision after a sample
 * @window_ms: the window in use
 * @surplus: memory that was free for that window, treated or not, pages
 * @deficit: the part of @surplus that is to be treated now, pages
 * @wait_ms: time until the next sample: 0 if there is a deficit, POLICY_NEVER if at most
 *	an amount below the noise threshold can still become surplus without a free
 * @watch_ms: if @wait_ms is POLICY_NEVER: time until the next sample without a free
 */
struct policy_view {
	unsigned int window_ms;
	u64 surplus;
	u64 deficit;
	unsigned int wait_ms;
	unsigned int watch_ms;
};

/**
 * struct policy_shadow - simulated result of a window of one length
 * @treated: memory that would be treated with this window, pages
 * @cost: cost of idle raw memory and of refaults, pages times ms; decays exponentially
 */
struct policy_shadow {
	u64 treated;
	u64 cost;
};

/**
 * struct policy - how much of a node's free memory is to be treated, and when
 * @slack: noise threshold: a smaller change is ignored, pages
 * @least: sliding-window minimum of @available
 * @available: upper limit of treatable memory at the last sample, treated or not, pages
 * @treated: treated memory at the last sample, and treated since, pages
 * @sampled: time of the last sample, ms; 0 before the first
 * @last_fall: time of the last sample that showed a fall of @available, ms
 * @last_release: when at least @slack pages were last treated in one batch, ms
 * @deferred: the deficit that a pass could not treat; one that is not larger counts as 0, pages
 * @chosen: index of the shadow with the lowest cost
 * @shadows: one for each window
 *
 * All times are of one monotonic clock, which never reads 0. Not locked: the caller
 * serialises.
 */
struct policy {
	u64 slack;
	struct window_min least;
	u64 available;
	u64 treated;
	u64 sampled;
	u64 last_fall;
	u64 last_release;
	u64 deferred;
	unsigned int chosen;
	struct policy_shadow shadows[POLICY_WINDOWS];
};

void policy_init(struct policy *p, u64 now, u64 slack);
void policy_sample(struct policy *p, u64 now, const struct policy_level *level,
		 const struct policy_limits *limits, struct policy_view *view);
void policy_wake(struct policy *p);
void policy_pressure(struct policy *p, u64 now);
void policy_treat(struct policy *p, u64 now, u64 pages);
void policy_defer(struct policy *p, const struct policy_view *view);

/**
 * policy_window - length of a window
 * @i: index of the window, less than POLICY_WINDOWS
 *
 * Return: milliseconds.
 */
static inline unsigned int policy_window(unsigned int i)
{
	return POLICY_WINDOW_MIN << i;
}

#endif /* AERATOR_POLICY_H */
