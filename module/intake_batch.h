/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_BATCH_H
#define AERATOR_INTAKE_BATCH_H

#include <linux/types.h>

struct gate;
struct gate_node;

/**
 * struct gate_batch - what is known of batches that cannot be made smaller
 * @size: the largest that was handed over, pages; 0 if there was none
 * @refused: the last that was handed over, if it was refused, pages; 0 if not
 * @paid: what it has cost so far that surplus was not treated, pages times ms
 * @deficit: surplus that was not treated at the last sample, pages
 * @at: when that was, ms
 */
struct gate_batch {
	u64 size;
	u64 refused;
	u64 paid;
	u64 deficit;
	u64 at;
};

void gate_batch_sample(struct gate *g, u64 now);
u64 gate_batch_wait(const struct gate *g);
bool gate_batch_allows(struct gate *g, struct gate_node *n, u64 pages);

/* gate_batch_wait(): the batch cannot be taken, however long it is waited for. */
#define GATE_BATCH_NEVER	(~0ULL)

#endif /* AERATOR_INTAKE_BATCH_H */
