// SPDX-License-Identifier: GPL-2.0
/*
 * A token bucket: how much may be treated a second, however many nodes it is on.
 *
 * The bucket holds a second's worth. A batch that cannot be made smaller may take
 * more than is in it; the next batch waits until that debt is paid.
 */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "policy_rate.h"

/* Tokens are paid out in so many parts of a second: less is not worth a pass. */
#define POLICY_RATE_STEPS	8U

/* No debt lasts longer: that of 4 GiB at 4 MiB a second. Keeps sums in 64 bits. */
#define POLICY_RATE_DEBT_MS_MAX	(1024ULL * MSEC_PER_SEC)

static s64 policy_rate_tokens(const struct policy_rate *r, u64 now, u64 limit)
{
	s64 full = limit * MSEC_PER_SEC;
	u64 ms = now - r->at;

	if (ms >= POLICY_RATE_DEBT_MS_MAX)
		return full;
	return min_t(s64, full, r->tokens + (s64)(limit * ms));
}

/* What the bucket has to hold before a pass begins, pages. */
static u64 policy_rate_step(u64 wanted, u64 limit)
{
	return min(wanted, max_t(u64, limit / POLICY_RATE_STEPS, 1));
}

/**
 * policy_rate_wait - how long until so much may be treated
 * @r: the bucket
 * @now: milliseconds
 * @wanted: pages
 * @limit: pages a second, 0 for no limit
 *
 * Return: milliseconds until the bucket holds @wanted, or an eighth of a second's
 * worth if that is less; 0 if it does.
 */
u64 policy_rate_wait(const struct policy_rate *r, u64 now, u64 wanted, u64 limit)
{
	s64 step = policy_rate_step(wanted, limit) * MSEC_PER_SEC;
	s64 tokens;

	if (!limit)
		return 0;
	tokens = policy_rate_tokens(r, now, limit);
	return tokens < step ? div64_u64(step - tokens + limit - 1, limit) : 0;
}

/**
 * policy_rate_allowance - how much of that may be treated now
 * @r: the bucket
 * @now: milliseconds
 * @wanted: pages
 * @limit: pages a second, 0 for no limit
 *
 * Return: pages, 0 for nothing now.
 */
u64 policy_rate_allowance(const struct policy_rate *r, u64 now, u64 wanted, u64 limit)
{
	if (!limit)
		return wanted;
	if (policy_rate_wait(r, now, wanted, limit))
		return 0;
	return min(wanted, div_u64(policy_rate_tokens(r, now, limit), MSEC_PER_SEC));
}

/**
 * policy_rate_pay - blocks are on their way to the host
 * @r: the bucket
 * @now: milliseconds
 * @pages: how much; may be more than the bucket holds
 * @limit: pages a second, 0 for no limit: nothing is paid then
 */
void policy_rate_pay(struct policy_rate *r, u64 now, u64 pages, u64 limit)
{
	if (!limit)
		return;
	r->tokens = policy_rate_tokens(r, now, limit) - (s64)(pages * MSEC_PER_SEC);
	r->at = now;
}
