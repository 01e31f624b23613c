// SPDX-License-Identifier: GPL-2.0
/* metrics: the state of this guest in the text format of Prometheus. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "device.h"
#include "memory.h"
#include "settings.h"
#include "source.h"
#include "tool.h"

/**
 * struct metrics_counter - a metric that is a file of the device
 * @file: the file
 * @name: name of the metric
 * @type: its type
 * @help: what it is
 */
struct metrics_counter {
	enum device_file_number file;
	const char *name;
	const char *type;
	const char *help;
};

static const struct metrics_counter metrics_counters[] = {
	{ DEVICE_REPORTED_BYTES, "aerator_reported_bytes_total", "counter",
	  "Memory that the host has acknowledged." },
	{ DEVICE_REPORTED_BLOCKS, "aerator_reported_blocks_total", "counter",
	  "The same in blocks of the allocator." },
	{ DEVICE_CYCLES, "aerator_cycles_total", "counter",
	  "Batches that went through all stages." },
	{ DEVICE_CHAINS, "aerator_chains_total", "counter",
	  "Descriptor chains of batches." },
	{ DEVICE_KICKS, "aerator_kicks_total", "counter",
	  "Notifications of the device." },
	{ DEVICE_INTERRUPTS, "aerator_interrupts_total", "counter",
	  "Notifications by the device." },
	{ DEVICE_ERRORS, "aerator_errors_total", "counter",
	  "Batches that went back unreported." },
	{ DEVICE_SETTLE_TIMEOUTS, "aerator_settle_timeouts_total", "counter",
	  "Resets after a silent host." },
	{ DEVICE_LAST_REPORT, "aerator_last_report_timestamp_seconds", "gauge",
	  "When the host last acknowledged memory; 0 for never." },
	{ DEVICE_REUSED_BYTES, "aerator_reused_bytes_total", "counter",
	  "Reported memory that the guest used again; not known on a stock kernel." },
	{ DEVICE_SURPLUS_BYTES, "aerator_surplus_bytes", "gauge",
	  "Free memory that the guest does not seem to need." },
	{ DEVICE_INFLATED_BYTES, "aerator_inflated_bytes", "gauge",
	  "Memory in the balloon." },
};

/**
 * struct metrics - what is printed, and where to
 * @out: the file
 * @devices: the devices
 * @settings: the parameters, if aerator drives the first of them
 * @memory: the guest's memory
 * @aerator: aerator does
 */
struct metrics {
	FILE *out;
	struct devices devices;
	struct settings settings;
	struct memory memory;
	bool aerator;
};

static const char *metrics_path;

static int metrics_option(int option, const char *value)
{
	(void)option;
	metrics_path = value;
	return TOOL_FINE;
}

static void metrics_head(const struct metrics *m, const char *name, const char *type,
			 const char *help)
{
	fprintf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metrics_value(const struct metrics *m, const char *name, const char *label,
			  const char *value, unsigned long long number)
{
	fprintf(m->out, "%s{%s=\"%s\"} %llu\n", name, label, value, number);
}

static void metrics_files(const struct metrics *m)
{
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(metrics_counters); i++) {
		const struct metrics_counter *counter = &metrics_counters[i];
		bool head = false;

		for (j = 0; j < m->devices.nr; j++) {
			const struct device *device = &m->devices.list[j];

			if (!device->values[counter->file].known)
				continue;
			if (!head)
				metrics_head(m, counter->name, counter->type, counter->help);
			head = true;
			metrics_value(m, counter->name, "device", device->name,
				      device->values[counter->file].number);
		}
	}
}

/* What a release or a version may consist of; anything else would have to be quoted. */
static void metrics_word(char *word, size_t size, const struct source *source)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+~_-";
	const char *text = source->text ?: "";
	size_t length = strspn(text, allowed);

	snprintf(word, size, "%.*s", (int)length, text);
}

static void metrics_info(const struct metrics *m)
{
	struct source sources[2];
	char version[64], kernel[64];
	unsigned int i;

	source_set(&sources[0], SOURCE_FILE, "/sys/module/aerator/version");
	source_set(&sources[1], SOURCE_FILE, "/proc/sys/kernel/osrelease");
	source_fetch(sources, 2);
	metrics_word(version, sizeof(version), &sources[0]);
	metrics_word(kernel, sizeof(kernel), &sources[1]);
	source_free(sources, 2);
	metrics_head(m, "aerator_info", "gauge", "Device, driver and kernel; always 1.");
	for (i = 0; i < m->devices.nr; i++) {
		const struct device *device = &m->devices.list[i];

		fprintf(m->out,
			"aerator_info{device=\"%s\",driver=\"%s\",intake=\"%s\",version=\"%s\",kernel=\"%s\"} 1\n",
			device->name, device->driver, device->values[DEVICE_INTAKE].word, version,
			kernel);
	}
}

static void metrics_devices(const struct metrics *m)
{
	unsigned int i;

	metrics_head(m, "aerator_reporting", "gauge", "1 if the driver uses free page reporting.");
	for (i = 0; i < m->devices.nr; i++)
		metrics_value(m, "aerator_reporting", "device", m->devices.list[i].name,
			      device_has(&m->devices.list[i], DEVICE_F_REPORTING));
}

/* Before the first batch it is not known: there is no value. */
static void metrics_discards(const struct metrics *m)
{
	const struct device *device = &m->devices.list[0];
	const char *word = device->values[DEVICE_HOST_DISCARDS].word;

	if (strcmp(word, "yes") && strcmp(word, "no"))
		return;
	metrics_head(m, "aerator_host_discards", "gauge", "1 if the host drops what is reported.");
	metrics_value(m, "aerator_host_discards", "device", device->name, !strcmp(word, "yes"));
}

static void metrics_refusals(const struct metrics *m)
{
	const struct device *device = &m->devices.list[0];
	const struct device_rows *rows = &device->refusals;
	unsigned int i;

	metrics_head(m, "aerator_refusals_total", "counter", "Batches that were refused.");
	for (i = 0; i < rows->nr; i++)
		fprintf(m->out, "aerator_refusals_total{device=\"%s\",reason=\"%s\"} %llu\n",
			device->name, rows->name[i], (unsigned long long)rows->number[i][0]);
}

/* A summary without quantiles: the rate of the sum by that of the count is the average. */
static void metrics_stages(const struct metrics *m)
{
	const struct device *device = &m->devices.list[0];
	const struct device_rows *rows = &device->stages;
	unsigned int i;

	metrics_head(m, "aerator_stage_seconds", "summary", "Time of batches in a stage.");
	for (i = 0; i < rows->nr; i++) {
		unsigned long long batches = rows->number[i][0], us = rows->number[i][1];

		fprintf(m->out,
			"aerator_stage_seconds_sum{device=\"%s\",stage=\"%s\"} %llu.%06llu\n",
			device->name, rows->name[i], us / 1000000, us % 1000000);
		fprintf(m->out, "aerator_stage_seconds_count{device=\"%s\",stage=\"%s\"} %llu\n",
			device->name, rows->name[i], batches);
	}
}

static void metrics_windows(const struct metrics *m)
{
	const struct device *device = &m->devices.list[0];
	char ms[24];
	unsigned int i;

	if (!device->nr_windows)
		return;
	metrics_head(m, "aerator_window_cost_mib_seconds", "gauge",
		     "What a window would have cost lately.");
	for (i = 0; i < device->nr_windows; i++) {
		snprintf(ms, sizeof(ms), "%llu", (unsigned long long)device->windows[i].ms);
		metrics_value(m, "aerator_window_cost_mib_seconds", "window_ms", ms,
			      device->windows[i].cost);
	}
}

/* Words have no number: auto is left out. */
static void metrics_parameters(const struct metrics *m)
{
	unsigned int i;

	metrics_head(m, "aerator_parameter", "gauge", "A parameter that is a number.");
	for (i = 0; i < SETTINGS; i++)
		if (*m->settings.text[i] >= '0' && *m->settings.text[i] <= '9')
			metrics_value(m, "aerator_parameter", "name", settings_known[i].name,
				      settings_number(&m->settings, i));
}

static void metrics_memory(const struct metrics *m)
{
	metrics_head(m, "aerator_free_bytes", "gauge",
		     "Free memory: in blocks that can be reported, and in smaller ones.");
	metrics_value(m, "aerator_free_bytes", "kind", "blocks", m->memory.blocks);
	metrics_value(m, "aerator_free_bytes", "kind", "fragments", m->memory.fragments);
	metrics_head(m, "aerator_memory_bytes", "gauge", "The guest's memory (MemTotal).");
	fprintf(m->out, "aerator_memory_bytes %llu\n",
		(unsigned long long)m->memory.line[MEMORY_TOTAL]);
}

static void metrics_print(const struct metrics *m)
{
	metrics_info(m);
	metrics_devices(m);
	metrics_memory(m);
	metrics_files(m);
	if (!m->aerator)
		return;
	metrics_discards(m);
	metrics_refusals(m);
	metrics_stages(m);
	metrics_windows(m);
	metrics_parameters(m);
}

static int metrics_fail(const char *path, int err)
{
	return tool_error("%s: %s; the file before stays", path, strerror(err));
}

/* A collector that reads the file sees the old or the new one, never a part. */
static int metrics_file(struct metrics *m)
{
	char new[PATH_MAX];
	int file, err;

	if (snprintf(new, sizeof(new), "%s.XXXXXX", metrics_path) >= (int)sizeof(new))
		return metrics_fail(metrics_path, ENAMETOOLONG);
	file = mkstemp(new);
	if (file < 0)
		return metrics_fail(metrics_path, errno);
	m->out = fdopen(file, "w");
	if (m->out)
		metrics_print(m);
	err = !m->out || fchmod(file, 0644) || fflush(m->out) || ferror(m->out) ||
	      rename(new, metrics_path) ? errno ?: EIO : 0;
	if (m->out)
		fclose(m->out);
	else
		close(file);
	if (err)
		unlink(new);
	return err ? metrics_fail(metrics_path, err) : TOOL_FINE;
}

static int metrics_read(struct metrics *m)
{
	unsigned int order = memory_block_order();

	m->aerator = m->devices.nr && device_is_aerator(&m->devices.list[0]);
	if (m->aerator && settings_read(&m->settings))
		return TOOL_FAILED;
	if (m->aerator)
		order = settings_number(&m->settings, SETTING_ORDER);
	return memory_read(&m->memory, order);
}

/**
 * metrics_run - print metrics, or write them to a file
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int metrics_run(int argc, char **argv)
{
	static const struct option own[] = { { "textfile", required_argument, NULL, 'f' }, {} };
	struct metrics m = { .out = stdout };
	int status = tool_parse(argc, argv, own, metrics_option);

	if (status)
		return status;
	if (optind < argc)
		return tool_usage("metrics: '%s' is too much", argv[optind]);
	if (devices_read(&m.devices, false))
		return TOOL_FAILED;
	status = metrics_read(&m);
	if (!status && metrics_path)
		status = metrics_file(&m);
	else if (!status)
		metrics_print(&m);
	devices_free(&m.devices);
	return status;
}
