/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_FREE_H
#define AERATOR_MM_FREE_H

#include <linux/types.h>

struct zone;

u64 level_free(int nid);
bool level_has_room(struct zone *zone, u64 room, u64 out);
u64 level_blocks(int nid, unsigned int order, u64 room, u64 out);
u64 level_watermark(int nid);
u64 level_managed(int nid);
u64 level_guest_free(void);
u64 level_guest_watermark(void);

#endif /* AERATOR_MM_FREE_H */
