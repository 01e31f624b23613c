/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_LEVEL_H
#define AERATOR_LEVEL_H

#include <linux/types.h>

u64 level_free(void);
u64 level_blocks(unsigned int order);
u64 level_watermark(void);

#endif /* AERATOR_LEVEL_H */
