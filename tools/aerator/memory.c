// SPDX-License-Identifier: GPL-2.0
/* Parsing /proc/meminfo, /proc/buddyinfo and /proc/zoneinfo. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "memory.h"
#include "source.h"
#include "tool.h"

#define MEMORY_KIB_MOST		(1ULL << 46)
#define MEMORY_PAGES_MOST	(1ULL << 44)
#define MEMORY_ORDERS		32

enum {
	MEMORY_MEMINFO,
	MEMORY_BUDDYINFO,
	MEMORY_ZONEINFO,
	MEMORY_VMSTAT,
	MEMORY_SOURCES,
};

static const char *const memory_names[MEMORY_LINES] = {
	[MEMORY_TOTAL] = "MemTotal",
	[MEMORY_FREE] = "MemFree",
	[MEMORY_AVAILABLE] = "MemAvailable",
	[MEMORY_BUFFERS] = "Buffers",
	[MEMORY_CACHED] = "Cached",
	[MEMORY_SHMEM] = "Shmem",
	[MEMORY_DIRTY] = "Dirty",
	[MEMORY_WRITEBACK] = "Writeback",
	[MEMORY_ANON] = "AnonPages",
	[MEMORY_SLAB_RECLAIMABLE] = "SReclaimable",
	[MEMORY_SLAB_FIXED] = "SUnreclaim",
	[MEMORY_HUGETLB] = "Hugetlb",
};

/* Skip blanks; returns where the next word begins. */
static const char *memory_skip(const char *text)
{
	return text + strspn(text, " \t");
}

/* The line that begins with a name and a colon. */
static const char *memory_find(const char *text, const char *name)
{
	size_t length = strlen(name);

	while (text && *text) {
		if (!strncmp(text, name, length) && text[length] == ':')
			return memory_skip(text + length + 1);
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return NULL;
}

/* A line that ends early was cut off, and its number may be wrong. */
static int memory_meminfo(struct memory *memory, const struct source *source)
{
	unsigned int i;

	for (i = 0; i < MEMORY_LINES; i++) {
		const char *at = memory_find(source->text, memory_names[i]);

		/* A kernel without huge pages has no such line. */
		if (!at && i == MEMORY_HUGETLB)
			continue;
		if (!at || !source_digits(&at, &memory->line[i]) ||
		    strncmp(at, " kB\n", 4) || memory->line[i] > MEMORY_KIB_MOST)
			return tool_error("%s%s: no line with the number of '%s'",
					  tool_options.sysroot, source->path, memory_names[i]);
		memory->line[i] <<= 10;
	}
	if (memory->line[MEMORY_FREE] > memory->line[MEMORY_TOTAL])
		return tool_error("%s%s: more is free than there is", tool_options.sysroot,
				  source->path);
	return TOOL_FINE;
}

/* A line of /proc/buddyinfo: numbers of free blocks by order, after the zone's name. */
static bool memory_zone_blocks(struct memory *memory, const char **text, unsigned int order)
{
	const char *at = strstr(*text, "zone");
	uint64_t page = sysconf(_SC_PAGESIZE), nr;
	unsigned int i;

	if (strncmp(*text, "Node ", 5) || !at)
		return false;
	at = memory_skip(at + 4);
	at = memory_skip(at + strcspn(at, "\n "));
	for (i = 0; *at != '\n'; i++) {
		if (!source_digits(&at, &nr) || nr > MEMORY_PAGES_MOST || i == MEMORY_ORDERS)
			return false;
		*(i < order ? &memory->fragments : &memory->blocks) += nr * page << i;
		at = memory_skip(at);
	}
	*text = at + 1;
	return i > order;
}

static int memory_buddyinfo(struct memory *memory, const struct source *source,
			    unsigned int order)
{
	const char *at = source->text;

	do {
		if (!memory_zone_blocks(memory, &at, order))
			return tool_error("%s%s: a line is no zone with its free blocks",
					  tool_options.sysroot, source->path);
	} while (*at);
	return TOOL_FINE;
}

/* The value of a line of /proc/zoneinfo that has this name, which may be followed by ":". */
static bool memory_zone_value(const char *line, const char *name, uint64_t *value)
{
	size_t length = strlen(name);

	line = memory_skip(line);
	if (strncmp(line, name, length) || !strchr(" \t:", line[length]))
		return false;
	line = memory_skip(line + length + (line[length] == ':'));
	return source_digits(&line, value) && *line == '\n';
}

static int memory_zoneinfo(struct memory *memory, const struct source *source)
{
	uint64_t page = sysconf(_SC_PAGESIZE), value;
	unsigned int lists = 0, zones = 0;
	const char *line;

	for (line = source->text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (memory_zone_value(line, "count", &value)) {
			memory->parked += value * page;
			lists++;
		} else if (memory_zone_value(line, "low", &value)) {
			memory->low += value * page;
			zones++;
		}
	}
	if (!lists || !zones || memory->parked > memory->line[MEMORY_TOTAL])
		return tool_error("%s%s: no zones with lists of processors, or wrong numbers",
				  tool_options.sysroot, source->path);
	return TOOL_FINE;
}

/* The value of a line of /proc/vmstat; 0 if this kernel does not have it. */
static uint64_t memory_event(const struct source *source, const char *name)
{
	const char *line;
	uint64_t value;

	for (line = source->text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (memory_zone_value(line, name, &value))
			return value;
	}
	return 0;
}

static void memory_vmstat(struct memory *memory, const struct source *source)
{
	uint64_t in = memory_event(source, "balloon_inflate");
	uint64_t out = memory_event(source, "balloon_deflate");

	memory->ballooned = in > out ? (in - out) * sysconf(_SC_PAGESIZE) : 0;
}

static int memory_parse(struct memory *memory, const struct source *sources,
			unsigned int order)
{
	unsigned int i;

	for (i = 0; i < MEMORY_SOURCES; i++) {
		if (!sources[i].text)
			return source_error(&sources[i]);
		if (!sources[i].length || sources[i].text[sources[i].length - 1] != '\n')
			return tool_error("%s%s: its end is missing", tool_options.sysroot,
					  sources[i].path);
	}
	if (memory_meminfo(memory, &sources[MEMORY_MEMINFO]) ||
	    memory_buddyinfo(memory, &sources[MEMORY_BUDDYINFO], order))
		return TOOL_FAILED;
	memory_vmstat(memory, &sources[MEMORY_VMSTAT]);
	return memory_zoneinfo(memory, &sources[MEMORY_ZONEINFO]);
}

/**
 * memory_read - read the guest's memory
 * @memory: the result
 * @order: the smallest block that is reported, log2 of pages
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int memory_read(struct memory *memory, unsigned int order)
{
	struct source sources[MEMORY_SOURCES];
	int status;

	memset(memory, 0, sizeof(*memory));
	source_set(&sources[MEMORY_MEMINFO], SOURCE_FILE, "/proc/meminfo");
	source_set(&sources[MEMORY_BUDDYINFO], SOURCE_FILE, "/proc/buddyinfo");
	source_set(&sources[MEMORY_ZONEINFO], SOURCE_FILE, "/proc/zoneinfo");
	source_set(&sources[MEMORY_VMSTAT], SOURCE_FILE, "/proc/vmstat");
	source_fetch(sources, MEMORY_SOURCES);
	status = memory_parse(memory, sources, order);
	source_free(sources, MEMORY_SOURCES);
	return status;
}

/**
 * memory_read_free - read free memory alone: blocks and fragments
 * @memory: the result
 * @order: as for memory_read()
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int memory_read_free(struct memory *memory, unsigned int order)
{
	struct source source;
	int status;

	memset(memory, 0, sizeof(*memory));
	source_set(&source, SOURCE_FILE, "/proc/buddyinfo");
	source_fetch(&source, 1);
	status = source.text ? memory_buddyinfo(memory, &source, order) : source_error(&source);
	source_free(&source, 1);
	return status;
}

/**
 * memory_block_order - the order of blocks of 2 MiB
 *
 * Return: log2 of pages.
 */
unsigned int memory_block_order(void)
{
	unsigned long page = sysconf(_SC_PAGESIZE);
	unsigned int order = 0;

	for (; page < 2UL << 20; page <<= 1)
		order++;
	return order;
}
