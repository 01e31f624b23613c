// SPDX-License-Identifier: GPL-2.0
/* flush: give all that is free to the host now; say how much went, and what stayed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "json.h"
#include "source.h"
#include "source_child.h"
#include "table.h"
#include "tool.h"
#include "why.h"

#define FLUSH_SECONDS_MOST	3600

/**
 * struct flush - what the verb does
 * @compact: move pages in use together first
 * @drop_cache: drop the page cache first
 * @seconds: time limit of all steps
 * @deadline: when it is over, ms
 */
static struct flush {
	bool compact;
	bool drop_cache;
	unsigned int seconds;
	long long deadline;
} flush = { .seconds = 60 };

static int flush_option(int option, const char *value)
{
	uint64_t seconds;

	if (option == 'c')
		flush.compact = true;
	if (option == 'd')
		flush.drop_cache = true;
	if (option != 't')
		return TOOL_FINE;
	if (!source_within(value, 1, FLUSH_SECONDS_MOST, &seconds))
		return tool_usage("--timeout: 1 to %u seconds are allowed", FLUSH_SECONDS_MOST);
	flush.seconds = seconds;
	return TOOL_FINE;
}

/* The rest of the time, rounded up to seconds; at least one. */
static unsigned int flush_left(void)
{
	long long left = flush.deadline - source_child_now();

	return left > 0 ? (left + 999) / 1000 : 1;
}

static int flush_sync(const char *path, const char *text)
{
	(void)path;
	(void)text;
	sync();
	return 0;
}

static int flush_step(const char *path, const char *text)
{
	int err = source_write(path, text, flush_left());

	if (err)
		return tool_error("%s: %s", path, strerror(-err));
	return TOOL_FINE;
}

/* Only clean pages are dropped, so data is written to the disk before. */
static int flush_prepare(void)
{
	if (flush.drop_cache) {
		if (source_call(flush_sync, NULL, NULL, flush_left()))
			return tool_error("sync did not end within %u s", flush.seconds);
		if (flush_step("/proc/sys/vm/drop_caches", "3\n"))
			return TOOL_FAILED;
	}
	return flush.compact ? flush_step("/proc/sys/vm/compact_memory", "1\n") : TOOL_FINE;
}

static int flush_device(const char *name)
{
	char path[SOURCE_PATH];
	int err;

	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/aerator/flush", name);
	err = source_write(path, "1\n", flush_left());
	switch (err) {
	case 0:
		return TOOL_FINE;
	case -EACCES:
		return tool_error("flush: only root can do that");
	case -EAGAIN:
		return tool_error("flush: paused (see aerator doctor), or being reset");
	case -EIO:
		return tool_error("flush: the host did not take all of it (see dmesg)");
	case -ETIMEDOUT:
		return tool_error("flush: not all of it went within %u s", flush.seconds);
	default:
		return tool_error("flush: %s", strerror(-err));
	}
}

static void flush_print(const struct why *why, uint64_t went, long long ms)
{
	char text[TABLE_SIZE];

	if (tool_options.json) {
		json_begin();
		json_number("flushed_bytes", went);
		json_number("ms", ms);
		why_json(why);
		json_end();
		return;
	}
	printf("%s went to the host, in %.1f s.\n\n", table_size_text(text, went), ms / 1000.0);
	why_print(why);
}

/* What stayed is told after a failure, too. */
static int flush_all(const char *name, uint64_t before)
{
	long long start = source_child_now();
	int status = flush_prepare();
	struct why why;

	status = status ?: flush_device(name);
	if (why_read(&why))
		return TOOL_FAILED;
	why_divide(&why);
	flush_print(&why, why.device->values[DEVICE_REPORTED_BYTES].number - before,
		    source_child_now() - start);
	devices_free(&why.devices);
	return status;
}

/**
 * flush_run - give all that is free to the host
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int flush_run(int argc, char **argv)
{
	static const struct option own[] = {
		{ "compact", no_argument, NULL, 'c' },
		{ "drop-cache", no_argument, NULL, 'd' },
		{ "timeout", required_argument, NULL, 't' },
		{}
	};
	int status = tool_parse(argc, argv, own, flush_option);
	struct devices devices;
	char name[DEVICE_NAME];
	uint64_t before;

	if (status)
		return status;
	if (optind < argc)
		return tool_usage("flush: '%s' is too much", argv[optind]);
	if (devices_need(&devices, false))
		return TOOL_FAILED;
	snprintf(name, sizeof(name), "%s", devices.list[0].name);
	before = devices.list[0].values[DEVICE_REPORTED_BYTES].number;
	devices_free(&devices);
	flush.deadline = source_child_now() + flush.seconds * 1000LL;
	return flush_all(name, before);
}
