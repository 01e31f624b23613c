// SPDX-License-Identifier: GPL-2.0
/*
 * Finding the process of a guest that libvirt runs. libvirt has no call that returns a pid, its
 * pid files are not at one place, and their numbers are those of its own pid namespace.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "process.h"

/* Room for all arguments that libvirt gives to QEMU. */
#define MOST (1 << 20)

/* Whether a command line has the two words "-uuid" and the UUID; words end with a NUL. */
static bool has_uuid(const char *words, size_t length, const char *uuid)
{
	const char *end = words + length;
	bool follows = false;

	for (; words < end; words += strlen(words) + 1) {
		if (follows && !strcasecmp(words, uuid))
			return true;
		follows = !strcmp(words, "-uuid");
	}
	return false;
}

/* Whether the process has this UUID on its command line. @room has MOST bytes. */
static bool is_qemu_with_uuid(const char *pid, const char *uuid, char *room)
{
	char *path = files_path("/proc/%s/cmdline", pid);
	FILE *file = fopen(path, "re");
	size_t length = file ? fread(room, 1, MOST - 1, file) : 0;

	room[length] = '\0';
	if (file)
		fclose(file);
	free(path);
	return has_uuid(room, length, uuid);
}

/**
 * process_with_uuid() - Find the QEMU of a guest by its UUID.
 * @uuid: the UUID, as text
 *
 * Return: the pid, as this process sees it; 0 if there is no such process.
 */
pid_t process_with_uuid(const char *uuid)
{
	char *path = files_path("/proc"), *room = malloc(MOST);
	DIR *folder = opendir(path);
	struct dirent *entry;
	pid_t pid = 0;

	if (!room)
		abort();
	while (folder && !pid && (entry = readdir(folder))) {
		if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name) &&
		    is_qemu_with_uuid(entry->d_name, uuid, room))
			pid = atoi(entry->d_name);
	}
	if (folder)
		closedir(folder);
	free(room);
	free(path);
	return pid;
}
