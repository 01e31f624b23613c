/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_SCAN_H
#define AERATOR_MM_SCAN_H

#include <linux/types.h>

int walk_start(void);
void walk_stop(void);
void walk_counts(u64 *raw, u64 *treated);
u64 walk_treated_blocks(int nid, unsigned int order, u64 room);

#endif /* AERATOR_MM_SCAN_H */
