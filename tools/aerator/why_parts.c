// SPDX-License-Identifier: GPL-2.0
/*
 * Dividing the guest's memory into parts.
 *
 * Free memory is divided as module/policy.c does: what can be reported is what is free in
 * blocks of the order, above the reserve, within the share; what of it was free for a window
 * is the surplus; and the surplus is to be reported.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "source.h"
#include "tool.h"
#include "why.h"

static uint64_t why_above(uint64_t number, uint64_t limit)
{
	return number > limit ? number - limit : 0;
}

static uint64_t why_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Move up to @bytes of @rest into a part. */
static void why_take(struct why *why, enum why_part part, uint64_t bytes, uint64_t *rest)
{
	bytes = why_least(bytes, *rest);
	why->bytes[part] += bytes;
	*rest -= bytes;
}

static bool why_has_aerator(const struct why *why)
{
	return why->device && device_is_aerator(why->device);
}

/* How long the longest window is that is in use, for people. */
static void why_window_detail(struct why *why)
{
	const struct device *device = why->device;
	uint64_t ms = settings_number(&why->settings, SETTING_WINDOW_MS);
	bool learned = !strcmp(why->settings.text[SETTING_WINDOW_MS], "auto");
	unsigned int i;

	for (i = 0; i < device->nr_windows && learned; i++)
		if (device->windows[i].used && device->windows[i].ms > ms)
			ms = device->windows[i].ms;
	/* Twice the window counts while free memory falls. */
	snprintf(why->detail[WHY_WINDOW], WHY_DETAIL,
		 "Left alone, it goes within %.1f s (the window is %llu ms).",
		 2 * ms / 1000.0 + 0.1, (unsigned long long)ms);
}

/* Free blocks that the host was not told of, with aerator. */
static void why_divide_raw(struct why *why, uint64_t blocks, uint64_t treated)
{
	const struct settings *settings = &why->settings;
	uint64_t surplus = why->device->values[DEVICE_SURPLUS_BYTES].number;
	uint64_t reserve = settings_number(settings, SETTING_RESERVE_MB) << 20;
	uint64_t cap = why->memory.line[MEMORY_TOTAL] / 100 *
		       settings_number(settings, SETTING_SHARE_PCT);
	uint64_t above = why_above(why->memory.line[MEMORY_FREE], reserve);
	uint64_t able = why_least(blocks, why_least(above, cap));
	bool rated = settings_number(settings, SETTING_RATE_MB);
	uint64_t rest = blocks - treated;

	if (!settings_number(settings, SETTING_ENABLED)) {
		why_take(why, WHY_PAUSED, rest, &rest);
		return;
	}
	if (why->memory.line[MEMORY_FREE] < why->memory.low)
		why_take(why, WHY_PRESSURE, rest, &rest);
	why_take(why, rated ? WHY_RATE : WHY_GOING, why_above(surplus, treated), &rest);
	why_take(why, WHY_WINDOW, why_above(able, surplus > treated ? surplus : treated), &rest);
	if (able < blocks)
		why_take(why, cap < above ? WHY_SHARE : WHY_RESERVE, rest, &rest);
	why_take(why, WHY_WINDOW, rest, &rest);
	why_window_detail(why);
}

static void why_divide_aerator(struct why *why, uint64_t blocks)
{
	const struct device_value *values = why->device->values;
	bool ignored = !strcmp(values[DEVICE_HOST_DISCARDS].word, "no");
	uint64_t treated = why_least(values[DEVICE_TREATED_BYTES].number, blocks);

	if (!values[DEVICE_TREATED_BYTES].known || !values[DEVICE_SURPLUS_BYTES].known) {
		why->bytes[ignored ? WHY_IGNORED : WHY_UNKNOWN] = blocks;
		return;
	}
	why->bytes[ignored ? WHY_IGNORED : WHY_REPORTED] = treated;
	why_divide_raw(why, blocks, treated);
}

static void why_divide_blocks(struct why *why, uint64_t blocks)
{
	enum why_part part = WHY_UNKNOWN;

	if (why_has_aerator(why)) {
		why_divide_aerator(why, blocks);
		return;
	}
	if (!why->device || !why->device->driver[0])
		part = WHY_NO_DRIVER;
	else if (!device_has(why->device, DEVICE_F_REPORTING))
		part = why->poisoned ? WHY_POISONED : WHY_NOT_OFFERED;
	why->bytes[part] = blocks;
}

static void why_divide_used(struct why *why)
{
	const uint64_t *line = why->memory.line;
	uint64_t cache = why_above(line[MEMORY_CACHED] + line[MEMORY_BUFFERS],
				   line[MEMORY_SHMEM]);

	why_take(why, WHY_CACHE_DIRTY, line[MEMORY_DIRTY] + line[MEMORY_WRITEBACK], &cache);
	why->bytes[WHY_CACHE_CLEAN] = cache;
	why->bytes[WHY_SHMEM] = line[MEMORY_SHMEM];
	why->bytes[WHY_SLAB_RECLAIMABLE] = line[MEMORY_SLAB_RECLAIMABLE];
	why->bytes[WHY_SLAB] = line[MEMORY_SLAB_FIXED];
	why->bytes[WHY_ANON] = line[MEMORY_ANON];
	why->bytes[WHY_HUGE] = line[MEMORY_HUGETLB];
	why->bytes[WHY_PARKED] = why->memory.parked;
}

/*
 * Where the host allows the balloon to give way (deflate-on-oom), drivers leave its memory in
 * MemTotal; elsewhere they take it out.
 */
static void why_divide_balloon(struct why *why)
{
	if (why->device && device_has(why->device, DEVICE_F_DEFLATE_ON_OOM))
		why->bytes[WHY_BALLOON] = why_has_aerator(why) ?
			why->device->values[DEVICE_INFLATED_BYTES].number :
			why->memory.ballooned;
}

/**
 * why_divide - divide the guest's memory into parts
 * @why: with what why_read() has read
 */
void why_divide(struct why *why)
{
	uint64_t free = why->memory.line[MEMORY_FREE];
	uint64_t rest = free;
	unsigned int i;

	why_take(why, WHY_FRAGMENTS, why->memory.fragments, &rest);
	why_divide_blocks(why, rest);
	why_divide_used(why);
	why_divide_balloon(why);
	why->bytes[WHY_OTHER] = why->memory.line[MEMORY_TOTAL];
	for (i = 0; i < WHY_OTHER; i++)
		why->bytes[WHY_OTHER] -= why->bytes[i];
}

/* Whether the guest's command line or log says that free pages are filled. */
static bool why_fills(const struct source *cmdline, const struct source *log)
{
	static const char *const words[] = {
		"init_on_free=1", "init_on_free=on", "init_on_free=y",
		"page_poison=1", "page_poison=on", "page_poison=y",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (cmdline->text && strstr(cmdline->text, words[i]))
			return true;
	return log->text && strstr(log->text, "heap free:on");
}

/* The log is only read where it can be; its oldest lines may be gone. */
static void why_read_poison(struct why *why)
{
	struct source sources[2];

	source_set(&sources[0], SOURCE_FILE, "/proc/cmdline");
	source_set(&sources[1], SOURCE_LOG, "/dev/kmsg");
	source_fetch(sources, 2);
	why->poisoned = why_fills(&sources[0], &sources[1]);
	source_free(sources, 2);
}

/**
 * why_read - read all that the reasons are found in
 * @why: the result; devices_free() of its devices frees it
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int why_read(struct why *why)
{
	int status;

	memset(why, 0, sizeof(*why));
	status = devices_read(&why->devices, true);
	if (status)
		return status;
	why->device = why->devices.nr ? &why->devices.list[0] : NULL;
	why->order = memory_block_order();
	why_read_poison(why);
	if (why_has_aerator(why)) {
		status = settings_read(&why->settings);
		why->order = settings_number(&why->settings, SETTING_ORDER);
	}
	status = status ?: memory_read(&why->memory, why->order);
	if (status)
		devices_free(&why->devices);
	return status;
}

/* What blocks everything first; then what could come back, if it is a thirty-second of all. */
static unsigned int why_weight(const struct why *why, enum why_part part)
{
	switch (why_kinds[part].class) {
	case WHY_BLOCKED:
		return 3;
	case WHY_FREEABLE:
		return (uint64_t)why->bytes[part] >= why->memory.line[MEMORY_TOTAL] / 32 ? 2 : 0;
	case WHY_UNSURE:
		return 0;
	default:
		return 1;
	}
}

static bool why_before(const struct why *why, enum why_part one, enum why_part other)
{
	unsigned int weight = why_weight(why, one), weights = why_weight(why, other);

	return weight != weights ? weight > weights : why->bytes[one] > why->bytes[other];
}

/**
 * why_rank - list what the host holds, the truest reason first
 * @why: the parts
 * @order: the list, WHY_PARTS long
 *
 * Return: number of reasons.
 */
unsigned int why_rank(const struct why *why, enum why_part *order)
{
	unsigned int part, nr = 0, i;

	for (part = 0; part < WHY_PARTS; part++) {
		if (why_kinds[part].class == WHY_GONE || why->bytes[part] <= 0)
			continue;
		for (i = nr++; i && why_before(why, part, order[i - 1]); i--)
			order[i] = order[i - 1];
		order[i] = part;
	}
	return nr;
}
