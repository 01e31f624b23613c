// SPDX-License-Identifier: GPL-2.0
/*
 * The memory use of a build: short processes, each with a heap of its own, read files
 * through the page cache, and write one file each. Some of the files are read by all of them.
 *
 * The files are parts of a disk. The work of a process depends on its number only.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

/* Processes at a time, as with make -j2. */
#define JOBS		2
/* Files that all processes read are at the start of the disk, followed by those of each one. */
#define HEADERS		16
#define HEADERS_BYTES	(64 * MIB)
#define SOURCES_ROOM	(32 * MIB)

struct range {
	size_t least, most;
};

static const struct range header_bytes = { 64 << 10, MIB };
static const struct range sources_bytes = { 4 * MIB, 20 * MIB };
static const struct range heap_bytes = { 20 * MIB, 60 * MIB };
static const struct range object_bytes = { MIB, 4 * MIB };

static const char usage[] =
	"usage: build DISK FOLDER FIRST COUNT\n"
	"         run COUNT processes from number FIRST on, which read DISK and write\n"
	"         a file in FOLDER each; print the seconds\n";

static char buffer[64 << 10];

/* A whole number of pages. splitmix64: the same sequence in each run. */
static size_t any_of(struct range range, uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return (range.least + z % (range.most - range.least + 1)) / PAGE_BYTES * PAGE_BYTES;
}

static size_t part(size_t left)
{
	return left < sizeof(buffer) ? left : sizeof(buffer);
}

static void read_file(int disk, size_t at, size_t bytes)
{
	size_t end = at + bytes;

	for (; at < end; at += sizeof(buffer))
		if (pread(disk, buffer, part(end - at), at) != (ssize_t)part(end - at))
			err(1, "read of the disk");
}

static void write_object(const char *folder, unsigned long process, size_t bytes)
{
	char path[PATH_MAX];
	size_t at;
	int file;

	snprintf(path, sizeof(path), "%s/object-%lu", folder, process);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (file < 0)
		err(1, "%s", path);
	for (at = 0; at < bytes; at += sizeof(buffer))
		if (write(file, buffer, part(bytes - at)) != (ssize_t)part(bytes - at))
			err(1, "write of %s", path);
}

static void compile(const char *disk_path, const char *folder, unsigned long process)
{
	int disk = open(disk_path, O_RDONLY), i;
	uint64_t random = process;
	size_t bytes;

	if (disk < 0)
		err(1, "%s", disk_path);
	for (i = 0; i < HEADERS; i++) {
		bytes = any_of(header_bytes, &random);
		read_file(disk, any_of((struct range){ 0, HEADERS_BYTES - bytes }, &random),
			  bytes);
	}
	read_file(disk, HEADERS_BYTES + process * SOURCES_ROOM,
		  any_of(sources_bytes, &random));
	bytes = any_of(heap_bytes, &random);
	touch(map_memory(bytes, MADV_NORMAL), bytes);
	write_object(folder, process, any_of(object_bytes, &random));
}

static void wait_for_one(void)
{
	int status;

	if (wait(&status) < 0 || status)
		errx(1, "a process failed");
}

int main(int argc, char **argv)
{
	unsigned long first, count, i;
	double start = now();

	if (argc != 5) {
		fputs(usage, stderr);
		return 2;
	}
	first = number(argv[3]);
	count = number(argv[4]);
	for (i = 0; i < count; i++) {
		pid_t pid;

		if (i >= JOBS)
			wait_for_one();
		pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			compile(argv[1], argv[2], first + i);
			_exit(0);
		}
	}
	for (i = 0; i < JOBS && i < count; i++)
		wait_for_one();
	printf("processes %lu seconds %.3f\n", count, now() - start);
	return 0;
}
