/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_BALLOONED_H
#define AERATOR_MM_BALLOONED_H

#include <linux/types.h>

struct page;

void mm_ballooned_add(const struct page *page, long pages);
u64 mm_ballooned_pages(int nid);

#endif /* AERATOR_MM_BALLOONED_H */
