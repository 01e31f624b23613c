// SPDX-License-Identifier: GPL-2.0
/* top: rates of the device, and the windows that the policy chooses from, again and again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "device.h"
#include "memory.h"
#include "settings.h"
#include "source.h"
#include "stop.h"
#include "source_child.h"
#include "table.h"
#include "tool.h"

#define TOP_SECONDS_MOST	3600
#define TOP_ROUNDS_MOST		1000000
/* On a pipe, the header is repeated after so many lines. */
#define TOP_PAGE		20

/**
 * struct top_sample - what a line is made of
 * @at: when, ms
 * @device: the device
 * @memory: the guest's free memory
 */
struct top_sample {
	long long at;
	struct device device;
	struct memory memory;
};

/**
 * struct top - the verb's options
 * @seconds: interval
 * @rounds: number of lines; 0 for no end
 * @csv: comma separated values, sizes in bytes
 * @screen: redraw a terminal
 * @order: the smallest block that is reported
 * @start: time of the first sample, ms
 */
static struct top {
	unsigned int seconds;
	unsigned int rounds;
	bool csv;
	bool screen;
	unsigned int order;
	long long start;
} top = { .seconds = 1 };

static int top_number(const char *option, const char *text, uint64_t most, unsigned int *result)
{
	uint64_t number;

	if (!source_within(text, 1, most, &number))
		return tool_usage("--%s: 1 to %llu are allowed", option, (unsigned long long)most);
	*result = number;
	return TOOL_FINE;
}

static int top_option(int option, const char *value)
{
	if (option == 'i')
		return top_number("interval", value, TOP_SECONDS_MOST, &top.seconds);
	if (option == 'n')
		return top_number("count", value, TOP_ROUNDS_MOST, &top.rounds);
	top.csv = true;
	return TOOL_FINE;
}

static int top_read(struct top_sample *sample)
{
	struct devices devices;

	if (devices_need(&devices, false))
		return TOOL_FAILED;
	sample->device = devices.list[0];
	devices_free(&devices);
	sample->at = source_child_now();
	return memory_read_free(&sample->memory, top.order);
}

/* A counter's rate a second; it starts anew when the device is bound again. */
static double top_rate(const struct top_sample *now, const struct top_sample *before,
		       enum device_file_number file)
{
	uint64_t new = now->device.values[file].number;
	uint64_t old = before->device.values[file].number;
	long long ms = now->at - before->at;

	if (new < old || ms <= 0)
		return 0;
	return (new - old) * 1000.0 / ms;
}

/* The longest window in use on any node. */
static uint64_t top_window(const struct device *device)
{
	uint64_t ms = 0;
	unsigned int i;

	for (i = 0; i < device->nr_windows; i++)
		if (device->windows[i].used)
			ms = device->windows[i].ms;
	return ms;
}

/* Mean time of a batch in a stage since the sample before, microseconds; 0 without a batch. */
static double top_stage_us(const struct top_sample *now, const struct top_sample *before,
			   unsigned int stage)
{
	const uint64_t *new = now->device.stages.number[stage];
	const uint64_t *old = before->device.stages.number[stage];

	if (new[0] <= old[0] || new[1] < old[1])
		return 0;
	return (double)(new[1] - old[1]) / (new[0] - old[0]);
}

static void top_csv(const struct top_sample *now, const struct top_sample *before)
{
	const struct device_value *values = now->device.values;
	unsigned int i;

	printf("%.3f,%s,%llu,%llu,%llu,%.0f,%.2f,%.2f,%llu,%llu,%llu",
	       (now->at - top.start) / 1000.0, values[DEVICE_STAGE].word,
	       (unsigned long long)now->memory.blocks,
	       (unsigned long long)now->memory.fragments,
	       (unsigned long long)values[DEVICE_SURPLUS_BYTES].number,
	       top_rate(now, before, DEVICE_REPORTED_BYTES),
	       top_rate(now, before, DEVICE_CYCLES), top_rate(now, before, DEVICE_KICKS),
	       (unsigned long long)values[DEVICE_INFLATED_BYTES].number,
	       (unsigned long long)values[DEVICE_ERRORS].number,
	       (unsigned long long)top_window(&now->device));
	for (i = 0; i < now->device.stages.nr; i++)
		printf(",%.0f", top_stage_us(now, before, i));
	putchar('\n');
}

static void top_line(const struct top_sample *now, const struct top_sample *before)
{
	const struct device_value *values = now->device.values;
	char blocks[TABLE_SIZE], small[TABLE_SIZE], surplus[TABLE_SIZE], rate[TABLE_SIZE];
	double bytes = top_rate(now, before, DEVICE_REPORTED_BYTES);

	printf("%7.1f %-6s %7s %7s %7s %8s %7.1f %7.1f %6llu %6llu\n",
	       (now->at - top.start) / 1000.0, values[DEVICE_STAGE].word,
	       table_size_text(blocks, now->memory.blocks),
	       table_size_text(small, now->memory.fragments),
	       values[DEVICE_SURPLUS_BYTES].known ?
	       table_size_text(surplus, values[DEVICE_SURPLUS_BYTES].number) : "-",
	       table_size_text(rate, bytes), top_rate(now, before, DEVICE_CYCLES),
	       top_rate(now, before, DEVICE_KICKS),
	       (unsigned long long)values[DEVICE_ERRORS].number,
	       (unsigned long long)top_window(&now->device));
}

static const char *const top_columns[] = {
	"seconds", "stage", "free_blocks_bytes", "free_fragments_bytes", "surplus_bytes",
	"reported_bytes_per_second", "cycles_per_second", "kicks_per_second", "inflated_bytes",
	"errors", "window_ms",
};

static void top_csv_head(const struct device *device)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(top_columns); i++)
		printf("%s%s", i ? "," : "", top_columns[i]);
	for (i = 0; i < device->stages.nr; i++)
		printf(",%s_us", device->stages.name[i]);
	putchar('\n');
}

static void top_head(const struct device *device)
{
	if (top.csv)
		top_csv_head(device);
	else
		printf("%7s %-6s %7s %7s %7s %8s %7s %7s %6s %6s\n", "SECONDS", "STAGE", "BLOCKS",
		       "SMALL", "SURPLUS", "REPORT/S", "CYCLE/S", "KICK/S", "ERRORS", "WIN-MS");
}

/* The windows with their costs; the cheapest is in use. */
static void top_windows(const struct device *device)
{
	uint64_t most = 1;
	unsigned int i;

	for (i = 0; i < device->nr_windows; i++)
		if (device->windows[i].cost > most)
			most = device->windows[i].cost;
	printf("\n%9s %14s\n", "WINDOW-MS", "COST-MIB*S");
	for (i = 0; i < device->nr_windows; i++) {
		const struct device_window *window = &device->windows[i];
		unsigned int bar = window->cost * 40 / most;

		printf("%9llu %14llu %s %.*s\n", (unsigned long long)window->ms,
		       (unsigned long long)window->cost, window->used ? "*" : " ", (int)bar,
		       "########################################");
	}
}

static void top_stages(const struct top_sample *now, const struct top_sample *before)
{
	unsigned int i;

	printf("\n%9s %14s\n", "STAGE", "MEAN-US");
	for (i = 0; i < now->device.stages.nr; i++)
		printf("%9s %14.0f\n", now->device.stages.name[i], top_stage_us(now, before, i));
}

/* A terminal shows the last sample; a pipe gets a line for each. */
static void top_print(const struct top_sample *now, const struct top_sample *before,
		      unsigned int round)
{
	if (top.screen) {
		fputs("\033[H\033[J", stdout);
		printf("aerator top: %s, each %u s; ^C ends it\n\n", now->device.name, top.seconds);
	}
	if (top.screen || !round || (!top.csv && !(round % TOP_PAGE)))
		if (!tool_options.noheadings)
			top_head(&now->device);
	if (top.csv)
		top_csv(now, before);
	else
		top_line(now, before);
	if (top.screen) {
		top_windows(&now->device);
		top_stages(now, before);
	}
	fflush(stdout);
}

static int top_loop(void)
{
	const struct timespec pause = { .tv_sec = top.seconds };
	struct top_sample now, before;
	unsigned int round;

	if (top_read(&before))
		return TOOL_FAILED;
	top.start = before.at;
	for (round = 0; !stop_wanted && (!top.rounds || round < top.rounds); round++) {
		nanosleep(&pause, NULL);
		if (stop_wanted)
			break;
		if (top_read(&now))
			return TOOL_FAILED;
		top_print(&now, &before, round);
		if (ferror(stdout))
			break;
		before = now;
	}
	return TOOL_FINE;
}

/**
 * top_run - print rates again and again
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int top_run(int argc, char **argv)
{
	static const struct option own[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ "csv", no_argument, NULL, 'c' },
		{}
	};
	int status = tool_parse(argc, argv, own, top_option);
	struct settings settings;
	struct devices devices;

	if (status)
		return status;
	if (optind < argc)
		return tool_usage("top: '%s' is too much", argv[optind]);
	if (devices_need(&devices, false))
		return TOOL_FAILED;
	devices_free(&devices);
	if (settings_read(&settings))
		return TOOL_FAILED;
	top.order = settings_number(&settings, SETTING_ORDER);
	top.screen = isatty(STDOUT_FILENO) && !top.csv;
	stop_on_signal();
	return top_loop();
}
