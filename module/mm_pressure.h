/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_PRESSURE_H
#define AERATOR_MM_PRESSURE_H

#include <linux/types.h>

int pressure_start(void);
void pressure_stop(void);
bool pressure_felt(int nid);

#endif /* AERATOR_MM_PRESSURE_H */
