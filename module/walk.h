/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_WALK_H
#define AERATOR_WALK_H

#include <linux/types.h>

void walk_counts(u64 *raw, u64 *treated);
u64 walk_treated_blocks(int nid, unsigned int order);

#endif /* AERATOR_WALK_H */
