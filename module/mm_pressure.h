/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_PRESSURE_H
#define AERATOR_MM_PRESSURE_H

#include <linux/types.h>

int mm_pressure_start(unsigned long (*held)(void),
		      unsigned long (*give)(unsigned long pages));
void mm_pressure_stop(void);
bool mm_pressure_recent(int nid);

#endif /* AERATOR_MM_PRESSURE_H */
