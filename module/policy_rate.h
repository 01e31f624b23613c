/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_POLICY_RATE_H
#define AERATOR_POLICY_RATE_H

#include <linux/types.h>

/**
 * struct policy_rate - a token bucket for the whole guest
 * @tokens: thousandths of a page that may be treated; less than 0 after a batch
 *	that took more than there were
 * @at: when that was so, ms
 *
 * Zeroed, it is full. Not locked: the caller serialises.
 */
struct policy_rate {
	s64 tokens;
	u64 at;
};

u64 policy_rate_allowance(const struct policy_rate *r, u64 now, u64 wanted, u64 limit);
u64 policy_rate_wait(const struct policy_rate *r, u64 now, u64 wanted, u64 limit);
void policy_rate_pay(struct policy_rate *r, u64 now, u64 pages, u64 limit);

#endif /* AERATOR_POLICY_RATE_H */
