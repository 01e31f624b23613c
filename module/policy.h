/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_POLICY_H
#define AERATOR_POLICY_H

#include <linux/types.h>

/* What virtio_balloon waits before each pass. */
#define POLICY_KERNEL_PACE_MS	2000U

/* A release taken back within this many holds was a wrong guess. */
#define POLICY_REGRET		4U

/* policy_wait(): there is nothing to wait for, only a new request helps. */
#define POLICY_NEVER		(~0U)

/**
 * struct policy_limits - what the user asked for
 * @window_ms: how long memory has to stay free before it is treated
 * @reserve: no pass begins while this much or less is free, pages
 * @rate: most pages a second, 0 for no limit
 */
struct policy_limits {
	unsigned int window_ms;
	u64 reserve;
	u64 rate;
};

/**
 * struct policy - when to treat
 * @slack: a fall of free memory smaller than this is noise, pages
 * @free: free memory at the last sample, pages
 * @peak: most free memory since @quiet_since, pages
 * @low: least free memory since the request that waits, pages
 * @quiet_since: when the request came, or memory was last taken after it, ms
 * @asked: when the pass that waits was asked for, or the last one ended, ms
 * @released: when the last pass ended, ms; 0 once that was judged
 * @guessed: that pass ran because memory was quiet, not because it was its turn
 * @owed: what was treated beyond the rate, pages
 * @owed_at: when that was so, ms
 * @follows: the request came on top of a release that lasts
 * @strikes: releases in a row that the guest took back at once
 *
 * Times are of one clock that never goes back. Not locked: the caller is the
 * one work item that runs the passes.
 */
struct policy {
	u64 slack;
	u64 free;
	u64 peak;
	u64 low;
	u64 quiet_since;
	u64 asked;
	u64 released;
	bool guessed;
	u64 owed;
	u64 owed_at;
	bool follows;
	unsigned int strikes;
};

void policy_init(struct policy *p, u64 slack);
void policy_request(struct policy *p, u64 now, u64 free,
		    const struct policy_limits *limits);
void policy_sample(struct policy *p, u64 now, u64 free,
		   const struct policy_limits *limits);
void policy_passed(struct policy *p, u64 now, u64 pages,
		   const struct policy_limits *limits);
unsigned int policy_wait(const struct policy *p, u64 now,
			 const struct policy_limits *limits);
unsigned int policy_hold(const struct policy *p,
			 const struct policy_limits *limits);
u64 policy_surplus(const struct policy *p, u64 free,
		   const struct policy_limits *limits);

#endif /* AERATOR_POLICY_H */
