/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One policy and its limits, in a guest in which all free memory is in large
 * blocks. Each test sets the limits that it tests.
 */
#ifndef UNIT_POLICY_FIXTURE_H
#define UNIT_POLICY_FIXTURE_H

#include <linux/limits.h>
#include <linux/minmax.h>
#include <string.h>
#include "check.h"
#include "policy.h"

/* Amounts are in pages of 4 KiB. */
#define MIB(_n)		((u64)(_n) << 8)
#define TIB(_n)		((u64)(_n) << 28)

#define SLACK		MIB(16)

/* The window before anything is learnt, and the longest one. */
#define WINDOW		1200U
#define WINDOW_MAX	4800U

/* The upper limit of the effective window: a quarter more, and one sample. */
#define LATE(_window)	((_window) + (_window) / 4 + 113)

/* Beyond 32 bits, so that a truncated time is noticed. */
#define T0		(3ULL << 32)
#define LONG_AGO	(3600 * 1000ULL)
#define MINUTE		60000ULL

static struct policy policy;
static struct policy_limits limits;
static struct policy_view view;

/* The next sample: free pages, all in blocks, and treated pages. */
static inline void look(u64 now, u64 free, u64 treated)
{
	const struct policy_level level = {
		.free = free, .blocks = free, .treated = treated,
	};

	policy_sample(&policy, now, &level, &limits, &view);
}

/* Take a sample each 100 ms. Returns the time of the last one. */
static inline u64 look_for(u64 now, unsigned int ms, u64 free, u64 treated)
{
	u64 end = now + ms;

	for (; now < end; now += 100)
		look(now, free, treated);
	look(end, free, treated);
	return end;
}

/* A policy without history, in memory with garbage: a field that is not set is noticed. */
static inline void setup_new(unsigned int window_ms)
{
	memset(&policy, 0xa5, sizeof(policy));
	policy_init(&policy, T0, SLACK);
	limits = (struct policy_limits) {
		.window_ms = window_ms, .refault_ms = 2000, .cap = TIB(1024 * 1024),
	};
}

/* A policy with one minute of constant free and treated memory up to T0. */
static inline void setup(unsigned int window_ms, u64 free, u64 treated)
{
	setup_new(window_ms);
	policy_init(&policy, T0 - MINUTE, SLACK);
	look_for(T0 - MINUTE, MINUTE, free, treated);
}

#endif /* UNIT_POLICY_FIXTURE_H */
