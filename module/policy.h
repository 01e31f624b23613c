/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_POLICY_H
#define AERATOR_POLICY_H

#include <linux/types.h>
#include "lows.h"

/* policy_wait(), policy_watch(): there is no need. */
#define POLICY_NEVER		(~0U)

/**
 * struct policy_limits - what the user asked for
 * @window_ms: how long memory has to stay free before it is surplus
 * @reserve: free memory that is never surplus, pages
 * @cap: most pages that are treated at a time
 * @coarse: a pass takes what it gets, also what was freed last
 */
struct policy_limits {
	unsigned int window_ms;
	u64 reserve;
	u64 cap;
	bool coarse;
};

/**
 * struct policy_level - what is free at a moment, pages
 * @free: all of it
 * @blocks: in blocks that are large enough to be treated
 * @treated: of @blocks, what the host knows of
 * @given: not free, nor in use: given up for the host's sake
 *
 * What is on its way to the host is free, and treated.
 */
struct policy_level {
	u64 free;
	u64 blocks;
	u64 treated;
	u64 given;
};

/**
 * struct policy - when to treat, and how much
 * @slack: a rise or fall smaller than this is noise, pages
 * @lows: the least there was
 * @learned: how little it was when memory was freed, found out later than that; at 0
 *	if nothing was
 * @available: what could be treated at the last look, treated or not, pages
 * @treated: what was, pages
 * @given: what was given up, pages
 * @looked: when that look was, ms
 * @peak: most of @available since @quiet_since, pages
 * @quiet_since: when @available was last seen to fall, ms
 * @fell: when that fall began, or those before it with less than a hold in between, ms
 * @most: most of @available since @most_since, pages
 * @most_before: likewise in the span before that, 0 if it was quiet for a hold since
 * @most_since: when @most began to count anew, ms
 * @refused: surplus of which a pass could treat nothing, pages
 * @released: when the last release ended, ms; 0 once it was taken back, or is old
 * @release: what it treated, pages
 * @mark: what was treated with the last of it, pages
 * @sent: likewise in the pass that is under way; 0 if it is no release
 * @strikes: releases in a row that the guest took back at once
 *
 * Times are of one clock that never goes back, and is not 0. Not locked: that is
 * up to the caller.
 */
struct policy {
	u64 slack;
	struct lows lows;
	struct low learned;
	u64 available;
	u64 treated;
	u64 given;
	u64 looked;
	u64 peak;
	u64 quiet_since;
	u64 fell;
	u64 most;
	u64 most_before;
	u64 most_since;
	u64 refused;
	u64 released;
	u64 release;
	u64 mark;
	u64 sent;
	unsigned int strikes;
};

void policy_init(struct policy *p, u64 now, u64 slack);
void policy_sample(struct policy *p, u64 now, const struct policy_level *level,
		   const struct policy_limits *limits);
void policy_request(struct policy *p, u64 now, const struct policy_limits *limits);
void policy_learn(struct policy *p, u64 freed);
void policy_press(struct policy *p, u64 now);
u64 policy_surplus(const struct policy *p, u64 now,
		   const struct policy_limits *limits);
u64 policy_deficit(const struct policy *p, u64 now,
		   const struct policy_limits *limits);
void policy_treat(struct policy *p, u64 now, u64 pages,
		  const struct policy_limits *limits);
void policy_refuse(struct policy *p, u64 now, const struct policy_limits *limits);
void policy_passed(struct policy *p, u64 now, u64 pages,
		   const struct policy_limits *limits);
unsigned int policy_wait(const struct policy *p, u64 now,
			 const struct policy_limits *limits);
unsigned int policy_watch(const struct policy *p, u64 now,
			  const struct policy_limits *limits);
unsigned int policy_hold(const struct policy *p,
			 const struct policy_limits *limits);
u64 policy_available(const struct policy_level *level,
		     const struct policy_limits *limits);

#endif /* AERATOR_POLICY_H */
