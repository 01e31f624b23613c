/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One policy and its limits. Each test sets those that it is about.
 */
#ifndef UNIT_POLICY_FIXTURE_H
#define UNIT_POLICY_FIXTURE_H

#include <string.h>
#include "check.h"
#include "policy.h"

/* Amounts are in pages of 4 KiB. */
#define MIB(_n)		((u64)(_n) << 8)
#define TIB(_n)		((u64)(_n) << 28)

#define SLACK		MIB(16)
#define WINDOW		1000U
#define PACE		POLICY_KERNEL_PACE_MS

/* Doubled three times this is still below the pace, so that each counts. */
#define SHORT_WINDOW	200U

/* Beyond 32 bits, so that no time is cut off unseen. */
#define T0		(3ULL << 32)

static struct policy policy;
static struct policy_limits limits;

static inline void setup(unsigned int window_ms)
{
	/* Garbage, so that what is not set is seen. */
	memset(&policy, 0xa5, sizeof(policy));
	policy_init(&policy, SLACK);
	limits = (struct policy_limits) { .window_ms = window_ms };
}

static inline void request(u64 now, u64 free)
{
	policy_request(&policy, now, free, &limits);
}

static inline void sample(u64 now, u64 free)
{
	policy_sample(&policy, now, free, &limits);
}

static inline void passed(u64 now, u64 pages)
{
	policy_passed(&policy, now, pages, &limits);
}

static inline unsigned int wait(u64 now)
{
	return policy_wait(&policy, now, &limits);
}

static inline unsigned int hold(void)
{
	return policy_hold(&policy, &limits);
}

static inline u64 surplus(u64 free)
{
	return policy_surplus(&policy, free, &limits);
}

#endif /* UNIT_POLICY_FIXTURE_H */
