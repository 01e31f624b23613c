/* SPDX-License-Identifier: GPL-2.0 */
/* Finding the process of a guest. */
#ifndef FLEET_PROCESS_H
#define FLEET_PROCESS_H

#include <sys/types.h>

pid_t process_with_uuid(const char *uuid);

#endif
