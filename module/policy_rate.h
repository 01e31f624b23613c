/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_POLICY_RATE_H
#define AERATOR_POLICY_RATE_H

#include <linux/types.h>

/**
 * struct policy_rate - a token bucket for the whole guest
 * @tokens: number of tokens, each for a thousandth of a page; negative after a batch
 *	that took more tokens than the bucket had
 * @at: when @tokens was written, ms
 *
 * A zeroed bucket is full. Not locked: the caller serialises.
 */
struct policy_rate {
	s64 tokens;
	u64 at;
};

u64 policy_rate_allowance(const struct policy_rate *r, u64 now, u64 wanted, u64 limit);
u64 policy_rate_wait(const struct policy_rate *r, u64 now, u64 wanted, u64 limit);
void policy_rate_pay(struct policy_rate *r, u64 now, u64 pages, u64 limit);

#endif /* AERATOR_POLICY_RATE_H */
