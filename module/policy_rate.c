// SPDX-License-Identifier: GPL-2.0
/*
 * A token bucket: limits the memory that is treated per second, over all nodes.
 *
 * The capacity of the bucket is one second's tokens. A batch of fixed size may take more
 * tokens than the bucket has. The number of tokens is then negative, and the next pass
 * waits for the refill.
 */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "policy_rate.h"

/* A pass begins with at least 1/8 second's tokens: fewer are not worth a pass. */
#define POLICY_RATE_STEPS	8U

/*
 * The bucket is full again after this time, ms, even after a batch of 4 GiB at 4 MiB per
 * second. Keeps the sums within 64 bits.
 */
#define POLICY_RATE_DEBT_MS_MAX	(1024ULL * MSEC_PER_SEC)

static s64 policy_rate_tokens(const struct policy_rate *r, u64 now, u64 limit)
{
	s64 full = limit * MSEC_PER_SEC;
	u64 ms = now - r->at;

	if (ms >= POLICY_RATE_DEBT_MS_MAX)
		return full;
	return min_t(s64, full, r->tokens + (s64)(limit * ms));
}

/* Tokens that a pass needs before it begins, pages. */
static u64 policy_rate_step(u64 wanted, u64 limit)
{
	return min(wanted, max_t(u64, limit / POLICY_RATE_STEPS, 1));
}

/**
 * policy_rate_wait - time until a pass may begin
 * @r: the bucket
 * @now: milliseconds
 * @wanted: pages
 * @limit: pages a second, 0 for no limit
 *
 * Return: milliseconds until the bucket has the tokens for @wanted, or one eighth of a
 * second's tokens if that is less; 0 if it has them now.
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
 * policy_rate_allowance - how much of @wanted may be treated now
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
 * policy_rate_pay - take the tokens for a batch that goes to the host
 * @r: the bucket
 * @now: milliseconds
 * @pages: size of the batch; may be more than the bucket has tokens for
 * @limit: pages a second, 0 for no limit: no tokens are taken then
 */
void policy_rate_pay(struct policy_rate *r, u64 now, u64 pages, u64 limit)
{
	if (!limit)
		return;
	r->tokens = policy_rate_tokens(r, now, limit) - (s64)(pages * MSEC_PER_SEC);
	r->at = now;
}
