// SPDX-License-Identifier: GPL-2.0
/* status: what each balloon device does. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "device.h"
#include "json.h"
#include "memory.h"
#include "settings.h"
#include "table.h"
#include "tool.h"

static const struct table_column status_columns[] = {
	{ "DEVICE", false }, { "DRIVER", false }, { "INTAKE", false }, { "ORD", true },
	{ "STAGE", false }, { "FREE", true }, { "SURPLUS", true }, { "REPORTED", true },
	{ "LAST", true }, { "BALLOON", true }, { "ERR", true },
};

/**
 * struct status - what the verb prints
 * @devices: the devices
 * @settings: the parameters, if aerator has a device
 * @memory: the guest's memory
 * @order: the smallest block that is reported
 */
struct status {
	struct devices devices;
	struct settings settings;
	struct memory memory;
	unsigned int order;
};

static void status_word(struct table *table, const struct device_value *value)
{
	table_text(table, "%s", value->known ? value->word : "-");
}

static void status_size(struct table *table, const struct device_value *value)
{
	if (value->known)
		table_size(table, value->number);
	else
		table_text(table, "-");
}

/* How long ago the host acknowledged a batch. A clock that was set back shows 0. */
static void status_age(struct table *table, const struct device_value *value)
{
	static const struct { unsigned int seconds; char unit; } units[] = {
		{ 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' },
	};
	uint64_t now = time(NULL), age;
	unsigned int i = 0;

	if (!value->known || !value->number) {
		table_text(table, "-");
		return;
	}
	age = now > value->number ? now - value->number : 0;
	while (units[i].seconds > 1 && age < units[i].seconds)
		i++;
	table_text(table, "%llu%c", (unsigned long long)age / units[i].seconds, units[i].unit);
}

static void status_line(struct table *table, const struct status *s,
			const struct device *device)
{
	const struct device_value *values = device->values;

	table_line(table);
	table_text(table, "%s", device->name);
	table_text(table, "%s", device->driver[0] ? device->driver : "none");
	status_word(table, &values[DEVICE_INTAKE]);
	if (device_is_aerator(device))
		table_text(table, "%u", s->order);
	else
		table_text(table, "-");
	status_word(table, &values[DEVICE_STAGE]);
	table_size(table, s->memory.line[MEMORY_FREE]);
	status_size(table, &values[DEVICE_SURPLUS_BYTES]);
	status_size(table, &values[DEVICE_REPORTED_BYTES]);
	status_age(table, &values[DEVICE_LAST_REPORT]);
	status_size(table, &values[DEVICE_INFLATED_BYTES]);
	if (values[DEVICE_ERRORS].known)
		table_text(table, "%llu", (unsigned long long)values[DEVICE_ERRORS].number);
	else
		table_text(table, "-");
}

static int status_table(const struct status *s)
{
	struct table *table = table_new(status_columns, ARRAY_SIZE(status_columns));
	unsigned int i;

	for (i = 0; i < s->devices.nr; i++)
		status_line(table, s, &s->devices.list[i]);
	return table_end(table);
}

static void status_json_windows(const struct device *device)
{
	unsigned int i;

	json_array("windows");
	for (i = 0; i < device->nr_windows; i++) {
		json_object(NULL);
		json_number("ms", device->windows[i].ms);
		json_number("cost_mib_s", device->windows[i].cost);
		json_bool("used", device->windows[i].used);
		json_close();
	}
	json_close();
}

static void status_json_refusals(const struct device_rows *rows)
{
	unsigned int i;

	json_object("refusals");
	for (i = 0; i < rows->nr; i++)
		json_number(rows->name[i], rows->number[i][0]);
	json_close();
}

static void status_json_stages(const struct device_rows *rows)
{
	unsigned int i;

	json_object("stages");
	for (i = 0; i < rows->nr; i++) {
		json_object(rows->name[i]);
		json_number("batches", rows->number[i][0]);
		json_number("us", rows->number[i][1]);
		json_close();
	}
	json_close();
}

static void status_json_lines(const struct device *device, unsigned int i)
{
	switch (i) {
	case DEVICE_REFUSALS:
		return status_json_refusals(&device->refusals);
	case DEVICE_STAGES:
		return status_json_stages(&device->stages);
	default:
		return status_json_windows(device);
	}
}

static void status_json_value(const struct device *device, unsigned int i)
{
	const struct device_value *value = &device->values[i];

	if (!value->known)
		return;
	switch (device_files[i].kind) {
	case DEVICE_WORD:
		json_string(device_files[i].name, value->word);
		break;
	case DEVICE_NUMBER:
	case DEVICE_NUMBER_OR_UNKNOWN:
		json_number(device_files[i].name, value->number);
		break;
	default:
		status_json_lines(device, i);
	}
}

static void status_json_device(const struct status *s, const struct device *device)
{
	unsigned int i;

	json_object(NULL);
	json_string("name", device->name);
	json_string("driver", device->driver[0] ? device->driver : NULL);
	json_bool("reporting", device_has(device, DEVICE_F_REPORTING));
	if (device_is_aerator(device))
		json_number("order", s->order);
	for (i = 0; i < DEVICE_FILES; i++)
		status_json_value(device, i);
	json_close();
}

static int status_json(const struct status *s)
{
	unsigned int i;

	json_begin();
	json_number("total_bytes", s->memory.line[MEMORY_TOTAL]);
	json_number("free_bytes", s->memory.line[MEMORY_FREE]);
	json_array("devices");
	for (i = 0; i < s->devices.nr; i++)
		status_json_device(s, &s->devices.list[i]);
	json_close();
	json_end();
	return TOOL_FINE;
}

static int status_choose(struct devices *devices, const char *name)
{
	unsigned int i;

	for (i = 0; i < devices->nr; i++) {
		if (strcmp(devices->list[i].name, name))
			continue;
		devices->list[0] = devices->list[i];
		devices->nr = 1;
		return TOOL_FINE;
	}
	return tool_error("%s is no balloon device of this guest", name);
}

static int status_read(struct status *s)
{
	s->order = memory_block_order();
	if (s->devices.nr && device_is_aerator(&s->devices.list[0])) {
		if (settings_read(&s->settings))
			return TOOL_FAILED;
		s->order = settings_number(&s->settings, SETTING_ORDER);
	}
	return memory_read(&s->memory, s->order);
}

static int status_print(struct status *s, const char *name)
{
	if (!s->devices.nr)
		return tool_error("this guest has no balloon device: its host gives it none");
	if (name && status_choose(&s->devices, name))
		return TOOL_FAILED;
	if (status_read(s))
		return TOOL_FAILED;
	return tool_options.json ? status_json(s) : status_table(s);
}

/**
 * status_run - print what each balloon device does
 * @argc: number of arguments, with the verb
 * @argv: the arguments: the name of a device, or none for all
 *
 * Return: an exit status.
 */
int status_run(int argc, char **argv)
{
	int status = tool_parse(argc, argv, NULL, NULL);
	struct status s = {};

	if (status)
		return status;
	if (optind + 1 < argc)
		return tool_usage("status: '%s' is too much", argv[optind + 1]);
	if (devices_read(&s.devices, false))
		return TOOL_FAILED;
	status = status_print(&s, argv[optind]);
	devices_free(&s.devices);
	return status;
}
