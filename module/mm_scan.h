/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_SCAN_H
#define AERATOR_MM_SCAN_H

#include <linux/types.h>

int mm_scan_start(void);
void mm_scan_stop(void);
void mm_scan_counts(u64 *raw, u64 *treated);
u64 mm_scan_treated_blocks(int nid, unsigned int order, u64 room);

#endif /* AERATOR_MM_SCAN_H */
