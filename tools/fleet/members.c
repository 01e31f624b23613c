// SPDX-License-Identifier: GPL-2.0
/*
 * The processes of a cgroup and of the groups in it, and how much memory of their own they have.
 * Their RSS is good enough here: it only tells a helper from something large.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "files.h"
#include "members.h"

/*
 * Shared memory does not count: a helper such as virtiofsd maps all of the guest's. A thread of
 * the kernel has no such line, and a process that has ended has no file.
 */
static long long memory_of(pid_t pid)
{
	char *path = files_path("/proc/%d/status", pid);
	char *status = files_read(path);
	long long anon = 0;

	if (status)
		files_field(status, "RssAnon", &anon);
	free(status);
	free(path);
	return anon;
}

static void add_listed(struct members *members, const char *list)
{
	while (*list) {
		char *end;
		pid_t pid = strtol(list, &end, 10);

		if (end == list)
			return;
		if (pid != members->but) {
			members->count++;
			members->kib += memory_of(pid);
		}
		list = *end ? end + 1 : end;
	}
}

/**
 * members_add() - Add the processes of a cgroup and of all groups below it.
 * @members: the sum
 * @path: the folder of the cgroup
 *
 * A threaded group of v2 does not list its processes: the group above it does.
 */
void members_add(struct members *members, const char *path)
{
	struct dirent *entry;
	char *child, *list;
	DIR *folder;

	if (asprintf(&child, "%s/cgroup.procs", path) < 0)
		abort();
	list = files_read(child);
	free(child);
	if (list)
		add_listed(members, list);
	free(list);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (asprintf(&child, "%s/%s", path, entry->d_name) < 0)
			abort();
		members_add(members, child);
		free(child);
	}
	if (folder)
		closedir(folder);
}
