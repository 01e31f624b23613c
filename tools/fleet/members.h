/* SPDX-License-Identifier: GPL-2.0 */
/* The processes of a cgroup. */
#ifndef FLEET_MEMBERS_H
#define FLEET_MEMBERS_H

#include <stddef.h>
#include <sys/types.h>

struct members {
	pid_t but;		/* the process that is not counted */
	size_t count;
	long long kib;		/* their memory, without what they share */
};

void members_add(struct members *members, const char *path);

#endif
