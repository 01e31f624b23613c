/* SPDX-License-Identifier: GPL-2.0 */
/* For how long waste has been there: what --watch remembers. */
#ifndef FLEET_HISTORY_H
#define FLEET_HISTORY_H

#include <jansson.h>

void history_add(json_t *guests);

#endif
