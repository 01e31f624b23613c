/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One policy and its limits, in a guest in which all free memory is in large
 * blocks. Each test sets those that it is about.
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
#define WINDOW		1200U

/* In holds: how far back a guest that took memory is looked at. */
#define SPAN		4U

/* Lows no further from each other count as one; a part of four holds, ms. */
#define GRAIN(_hold)	(SPAN * (_hold) / 64)

/* In parts: what follows a release, of that and of the hold; looks in a hold. */
#define PART		8U

/* Time between two looks, ms. */
#define LOOK_MIN	10U
#define LOOK_MAX	113U

/* Beyond 32 bits, so that no time is cut off unseen. */
#define T0		(3ULL << 32)
#define LONG_AGO	(3600 * 1000ULL)
#define MINUTE		60000ULL

static struct policy policy;
static struct policy_limits limits;

static inline void look(u64 now, u64 free, u64 treated)
{
	const struct policy_level level = {
		.free = free, .blocks = free, .treated = treated,
	};

	policy_sample(&policy, now, &level, &limits);
}

/* A policy without history, and garbage before it: what is not set is seen. */
static inline void setup_new(unsigned int window_ms)
{
	memset(&policy, 0xa5, sizeof(policy));
	policy_init(&policy, T0, SLACK);
	limits = (struct policy_limits) { .window_ms = window_ms, .cap = TIB(1024) };
}

/* One that has seen that much free, and treated, for long. */
static inline void setup(unsigned int window_ms, u64 free, u64 treated)
{
	setup_new(window_ms);
	policy_init(&policy, T0 - LONG_AGO, SLACK);
	look(T0 - LONG_AGO / 2, free, treated);
	look(T0, free, treated);
}

/* The guest freed something while nobody looked. */
static inline void wake(u64 now, u64 free, u64 treated)
{
	look(now, free, treated);
	policy_request(&policy, now, &limits);
}

static inline u64 surplus(u64 now)
{
	return policy_surplus(&policy, now, &limits);
}

static inline u64 deficit(u64 now)
{
	return policy_deficit(&policy, now, &limits);
}

static inline unsigned int wait(u64 now)
{
	return policy_wait(&policy, now, &limits);
}

static inline unsigned int watch(u64 now)
{
	return policy_watch(&policy, now, &limits);
}

static inline unsigned int hold(void)
{
	return policy_hold(&policy, &limits);
}

/* A whole pass, which treated so much. */
static inline void pass(u64 now, u64 pages)
{
	policy_treat(&policy, now, pages, &limits);
	policy_passed(&policy, now, pages, &limits);
}

#endif /* UNIT_POLICY_FIXTURE_H */
