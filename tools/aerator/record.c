// SPDX-License-Identifier: GPL-2.0
/* record: write how free memory changes to a file, as a trace for replay. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "memory.h"
#include "source.h"
#include "stop.h"
#include "source_child.h"
#include "tool.h"

/* As scripts/record-free: time between samples, and the change below which none is written. */
#define RECORD_STEP_MS		50
#define RECORD_THIN		512
#define RECORD_PAGE		4096
#define RECORD_SECONDS_MOST	604800

/**
 * struct record_sample - free memory, pages of 4 KiB
 * @free: all of it
 * @blocks: in blocks of 2 MiB and more
 */
struct record_sample {
	uint64_t free;
	uint64_t blocks;
};

static unsigned int record_seconds;

static int record_option(int option, const char *value)
{
	uint64_t seconds;

	(void)option;
	if (!source_within(value, 1, RECORD_SECONDS_MOST, &seconds))
		return tool_usage("--seconds: 1 to %u are allowed", RECORD_SECONDS_MOST);
	record_seconds = seconds;
	return TOOL_FINE;
}

static int record_sample(struct record_sample *sample)
{
	struct memory memory;

	if (memory_read_free(&memory, memory_block_order()))
		return TOOL_FAILED;
	sample->free = (memory.blocks + memory.fragments) / RECORD_PAGE;
	sample->blocks = memory.blocks / RECORD_PAGE;
	return TOOL_FINE;
}

static bool record_differs(uint64_t one, uint64_t other)
{
	return (one > other ? one - other : other - one) >= RECORD_THIN;
}

/* The first and the last sample are written, and those that differ. */
static int record_samples(FILE *out)
{
	const struct timespec pause = { .tv_nsec = RECORD_STEP_MS * 1000000L };
	long long start = source_child_now(), ms = 0;
	struct record_sample last = {}, now;
	bool first = true;

	while (!stop_wanted) {
		if (record_sample(&now))
			return TOOL_FAILED;
		ms = source_child_now() - start;
		if (record_seconds && ms >= record_seconds * 1000LL)
			stop_wanted = 1;
		if (first || stop_wanted || record_differs(now.free, last.free) ||
		    record_differs(now.blocks, last.blocks)) {
			fprintf(out, "%lld %llu %llu\n", ms, (unsigned long long)now.free,
				(unsigned long long)now.blocks);
			last = now;
		}
		first = false;
		if (!stop_wanted)
			nanosleep(&pause, NULL);
	}
	return TOOL_FINE;
}

static int record_file(const char *path)
{
	FILE *out = fopen(path, "w");
	int status;

	if (!out)
		return tool_error("%s: %s", path, strerror(errno));
	fprintf(out, "# aerator record: every %d ms or so: ms, free memory, of it in blocks of\n"
		"# 2 MiB and more, both in pages of 4 KiB; changes of less than %d left out.\n",
		RECORD_STEP_MS, RECORD_THIN);
	status = record_samples(out);
	if (fclose(out) && !status)
		status = tool_error("%s: %s", path, strerror(errno));
	return status;
}

/**
 * record_run - record free memory until it is interrupted, or for some seconds
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int record_run(int argc, char **argv)
{
	static const struct option own[] = { { "seconds", required_argument, NULL, 's' }, {} };
	int status = tool_parse(argc, argv, own, record_option);

	if (status)
		return status;
	if (argc - optind != 1)
		return tool_usage("record: one FILE has to be given");
	stop_on_signal();
	return record_file(argv[optind]);
}
