// SPDX-License-Identifier: GPL-2.0
/*
 * What the host holds for a guest: memory and swap that the cgroup of its QEMU is charged for.
 *
 * RSS is no measure of that: where the host uses huge pages, and all of one but a small page
 * was dropped, RSS counts the small page only, while the host holds the huge page.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "files.h"
#include "guest.h"
#include "members.h"

/* Other processes of a guest's cgroup, as helpers of QEMU, may have this much, in KiB. */
#define OTHERS_KIB (64 << 10)

#define KIB 1024

struct cgroup {
	bool v2;
	bool counts_huge;	/* pages of hugetlbfs are charged as well */
	size_t mount;		/* length of the mount point's part of path */
	char *path;
};

/* A file is missing, cut or not readable: an error of the guest. */
static char *read_or_set_error(json_t *guest, const char *path)
{
	char *text = files_read(path);

	if (!text)
		guest_error(guest, "%s: %s", path,
			    errno == ENODATA ? "empty or cut" : strerror(errno));
	return text;
}

static char *read_in(json_t *guest, const struct cgroup *group, const char *name)
{
	char *path, *text;

	if (asprintf(&path, "%s/%s", group->path, name) < 0)
		abort();
	text = read_or_set_error(guest, path);
	free(path);
	return text;
}

static bool number_in(json_t *guest, const struct cgroup *group, const char *name,
		      long long *value)
{
	char *text = read_in(guest, group, name);
	bool good = text && files_number(text, value);

	if (text && !good)
		guest_error(guest, "%s/%s: not a number", group->path, name);
	free(text);
	return good;
}

static bool exists_in(const struct cgroup *group, const char *name)
{
	char *path, *text;
	bool found;

	if (asprintf(&path, "%s/%s", group->path, name) < 0)
		abort();
	text = files_read(path);
	found = text || (errno != ENOENT && errno != ENOTDIR);
	free(text);
	free(path);
	return found;
}

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (list) {
		if (!strncmp(list, word, length) && strchr(",:\n", list[length]))
			return true;
		list = strpbrk(list, ",:\n");
		list = list && *list == ',' ? list + 1 : NULL;
	}
	return false;
}

/*
 * The path in the hierarchy that has the memory controller: a line "N:memory:PATH" of v1, or
 * the line "0::PATH" of v2.
 */
static char *memory_path(char *lines, bool *v2)
{
	char *line, *save, *found = NULL;

	*v2 = false;
	for (line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		if (has_word(controllers + 1, "memory")) {
			*v2 = false;
			return path + 1;
		}
		if (!strncmp(line, "0::", 3)) {
			*v2 = true;
			found = path + 1;
		}
	}
	return found;
}

/* Find where the hierarchy is mounted; false if it is not. */
static bool find_mount(char *mounts, struct cgroup *group, char **where)
{
	char *line, *save;

	for (line = strtok_r(mounts, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char path[4096], type[64], options[4096 + 1];

		if (sscanf(line, "%*s %4095s %63s %4095s", path, type, options) != 3)
			continue;
		strcat(options, "\n");
		if (strcmp(type, group->v2 ? "cgroup2" : "cgroup"))
			continue;
		if (!group->v2 && !has_word(options, "memory"))
			continue;
		group->counts_huge = has_word(options, "memory_hugetlb_accounting");
		*where = files_path("%s", path);
		return true;
	}
	return false;
}

/*
 * The group of v2 that has figures: the one that the process is in may be threaded, as those
 * that libvirt makes, or lack the controller, and is then charged with a group above it.
 */
static bool climb(struct cgroup *group)
{
	while (!exists_in(group, "memory.current")) {
		char *end = strrchr(group->path, '/');

		if (!end || (size_t)(end - group->path) < group->mount)
			return false;
		*end = '\0';
	}
	return true;
}

static bool locate(json_t *guest, const char *path, char *mounts, struct cgroup *group)
{
	char *where;

	if (!find_mount(mounts, group, &where)) {
		guest_error(guest, "no memory cgroups are mounted");
		return false;
	}
	group->mount = strlen(where);
	if (asprintf(&group->path, "%s%s", where, strcmp(path, "/") ? path : "") < 0)
		abort();
	free(where);
	if (!group->v2 || climb(group))
		return true;
	guest_note(guest,
		   "its QEMU is in no cgroup with the memory controller (%s): start it in one of its own, as with systemd-run --scope",
		   path);
	return false;
}

static bool find(json_t *guest, pid_t pid, struct cgroup *group)
{
	char *file = files_path("/proc/%d/cgroup", pid);
	char *lines = read_or_set_error(guest, file), *mounts = NULL, *path = NULL;
	bool found = false;

	free(file);
	if (lines) {
		file = files_path("/proc/mounts");
		mounts = read_or_set_error(guest, file);
		free(file);
		path = memory_path(lines, &group->v2);
	}
	if (mounts && !path)
		guest_error(guest, "/proc/%d/cgroup: no memory cgroup", pid);
	if (mounts && path)
		found = locate(guest, path, mounts, group);
	free(mounts);
	free(lines);
	return found;
}

/* A group with much memory of other processes says nothing about this one. */
static bool is_own(json_t *guest, const struct cgroup *group, pid_t pid)
{
	struct members others = { .but = pid };

	members_add(&others, group->path);
	if (others.kib <= OTHERS_KIB)
		return true;
	guest_note(guest,
		   "its cgroup %s has %zu other processes with %lld MiB: start it in one of its own, as with systemd-run --scope",
		   group->path + group->mount,
		   others.count, others.kib / KIB);
	return false;
}

static bool no_swap(void)
{
	char *path = files_path("/proc/swaps");
	char *text = files_read(path);
	char *line = text ? strchr(text, '\n') : NULL;
	bool none = line && !line[1];

	free(text);
	free(path);
	return none;
}

static bool swap_v2(json_t *guest, const struct cgroup *group, long long *swap)
{
	if (exists_in(group, "memory.swap.current"))
		return number_in(guest, group, "memory.swap.current", swap);
	*swap = 0;
	if (no_swap())
		return true;
	guest_note(guest, "the host does not account swap of cgroups (swapaccount=1)");
	return false;
}

static bool swap_v1(json_t *guest, const char *stat, long long *swap)
{
	*swap = 0;
	if (files_field(stat, "total_swap", swap) || no_swap())
		return true;
	guest_note(guest, "the host does not account swap of cgroups (swapaccount=1)");
	return false;
}

/* Page cache: what is of files, less shared memory, which the host cannot drop. */
static void cache(json_t *guest, const struct cgroup *group, const char *stat)
{
	long long file, shmem;

	if (files_field(stat, group->v2 ? "file" : "total_cache", &file) &&
	    files_field(stat, group->v2 ? "shmem" : "total_shmem", &shmem) && file >= shmem)
		guest_set(guest, HOST_CACHE, file - shmem);
	else
		guest_error(guest, "%s/memory.stat: no figure of the page cache", group->path);
}

/* Memory of hugetlbfs has accounts of its own. */
static bool huge(json_t *guest, const struct cgroup *group, pid_t pid, long long *bytes)
{
	char *path = files_path("/proc/%d/status", pid);
	char *status = read_or_set_error(guest, path);
	long long kib = 0;

	if (status && !group->counts_huge)
		files_field(status, "HugetlbPages", &kib);
	*bytes = kib * KIB;
	free(path);
	if (!status)
		return false;
	free(status);
	return true;
}

static void figures(json_t *guest, const struct cgroup *group, pid_t pid)
{
	char *stat = read_in(guest, group, "memory.stat");
	long long current, swap, pages;

	if (!stat)
		return;
	cache(guest, group, stat);
	if ((group->v2 ? swap_v2(guest, group, &swap) : swap_v1(guest, stat, &swap)) &&
	    number_in(guest, group, group->v2 ? "memory.current" : "memory.usage_in_bytes",
		      &current) &&
	    huge(guest, group, pid, &pages)) {
		guest_set(guest, HOST_SWAP, swap);
		guest_set(guest, HOST, current + swap + pages);
	}
	free(stat);
}

/**
 * cgroup_measure() - Enter what the host holds for a process, or say why that is not known.
 * @guest: the guest
 * @pid: its QEMU
 */
void cgroup_measure(json_t *guest, pid_t pid)
{
	struct cgroup group = { 0 };

	json_object_set_new(guest, "pid", json_integer(pid));
	if (find(guest, pid, &group)) {
		json_object_set_new(guest, "cgroup", json_string(group.path));
		if (is_own(guest, &group, pid))
			figures(guest, &group, pid);
	}
	free(group.path);
}
