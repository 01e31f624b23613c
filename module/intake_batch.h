/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_BATCH_H
#define AERATOR_INTAKE_BATCH_H

#include <linux/types.h>

struct intake_pacing;
struct intake_node;

/**
 * struct intake_batch - decides on batches of fixed size
 * @size: largest batch that the kernel handed over so far, pages; 0 before the first
 * @refused: size of the last batch, pages, if it was refused; else 0
 * @paid: cost so far of not treating the deficit, pages times ms
 * @deficit: deficit at the last sample, pages
 * @at: time of the last sample, ms
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

/* intake_batch_wait(): the batch cannot be taken, whatever the time waited. */
#define INTAKE_BATCH_NEVER	(~0ULL)

#endif /* AERATOR_INTAKE_BATCH_H */
