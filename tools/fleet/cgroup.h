/* SPDX-License-Identifier: GPL-2.0 */
/* What the host holds for a process, by its memory cgroup. */
#ifndef FLEET_CGROUP_H
#define FLEET_CGROUP_H

#include <jansson.h>
#include <sys/types.h>

void cgroup_measure(json_t *guest, pid_t pid);

#endif
