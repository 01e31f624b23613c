/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_BATCH_H
#define AERATOR_INTAKE_BATCH_H

#include <linux/types.h>

struct intake_pacing;
struct intake_node;

/**
 * struct intake_batch - what is known of batches that cannot be made smaller
 * @size: the largest that was handed over, pages; 0 if there was none
 * @refused: the last that was handed over, if it was refused, pages; 0 if not
 * @paid: what it has cost so far that surplus was not treated, pages times ms
 * @deficit: surplus that was not treated at the last sample, pages
 * @at: when that was, ms
 */
struct intake_batch {
	u64 size;
	u64 refused;
	u64 paid;
	u64 deficit;
	u64 at;
};

void intake_batch_sample(struct intake_pacing *p, u64 now);
u64 intake_batch_wait(const struct intake_pacing *p);
bool intake_batch_allows(struct intake_pacing *p, struct intake_node *n, u64 pages);

/* intake_batch_wait(): the batch cannot be taken, however long it is waited for. */
#define INTAKE_BATCH_NEVER	(~0ULL)

#endif /* AERATOR_INTAKE_BATCH_H */
