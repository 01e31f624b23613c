// SPDX-License-Identifier: GPL-2.0
/* Finding the balloon devices in sysfs, and reading their files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "device.h"
#include "source.h"
#include "tool.h"

#define DEVICE_BUS	"/sys/bus/virtio/devices"
#define DEVICE_BALLOON	"0x0005\n"

/* More than any guest has; sizes are below the physical memory of any machine. */
#define DEVICE_MOST	64
#define DEVICE_BYTES	(1ULL << 56)

/* What is read of each virtio device. */
enum {
	PROBE_DEVICE,
	PROBE_FEATURES,
	PROBE_DRIVER,
	PROBE_FILES,
};

const struct device_file device_files[DEVICE_FILES] = {
	[DEVICE_STAGE] = { "stage", DEVICE_WORD, false, false },
	[DEVICE_INTAKE] = { "intake", DEVICE_WORD, false, false },
	[DEVICE_CYCLES] = { "cycles", DEVICE_NUMBER, false, false },
	[DEVICE_REPORTED_BYTES] = { "reported_bytes", DEVICE_NUMBER, false, false },
	[DEVICE_REPORTED_BLOCKS] = { "reported_blocks", DEVICE_NUMBER, false, false },
	[DEVICE_CHAINS] = { "chains", DEVICE_NUMBER, false, false },
	[DEVICE_KICKS] = { "kicks", DEVICE_NUMBER, false, false },
	[DEVICE_INTERRUPTS] = { "interrupts", DEVICE_NUMBER, false, false },
	[DEVICE_SETTLE_TIMEOUTS] = { "settle_timeouts", DEVICE_NUMBER, false, false },
	[DEVICE_ERRORS] = { "errors", DEVICE_NUMBER, false, false },
	[DEVICE_LAST_REPORT] = { "last_report", DEVICE_NUMBER, false, false },
	[DEVICE_REFUSALS] = { "refusals", DEVICE_LINES, false, false },
	[DEVICE_STAGES] = { "stages", DEVICE_LINES, false, false },
	[DEVICE_INFLATED_BYTES] = { "inflated_bytes", DEVICE_NUMBER, false, false },
	[DEVICE_HOST_DISCARDS] = { "host_discards", DEVICE_WORD, false, false },
	[DEVICE_SURPLUS_BYTES] = { "surplus_bytes", DEVICE_NUMBER, true, false },
	[DEVICE_REUSED_BYTES] = { "reused_bytes", DEVICE_NUMBER_OR_UNKNOWN, true, false },
	[DEVICE_WINDOWS_FILE] = { "windows", DEVICE_LINES, true, false },
	[DEVICE_TREATED_BYTES] = { "treated_bytes", DEVICE_NUMBER, true, true },
	[DEVICE_RAW_BYTES] = { "raw_bytes", DEVICE_NUMBER, true, true },
};

/**
 * device_is_aerator - whether aerator drives a device
 * @device: the device
 *
 * Return: true if it does.
 */
bool device_is_aerator(const struct device *device)
{
	return !strcmp(device->driver, "aerator");
}

/**
 * device_has - whether a feature was negotiated
 * @device: the device
 * @feature: number of its bit
 *
 * Return: true if it was.
 */
bool device_has(const struct device *device, unsigned int feature)
{
	return device->features >> feature & 1;
}

/* The file has a character for each bit, from bit 0 on: 64, or 128 from Linux 6.17 on. */
static int device_features(struct device *device, const struct source *source)
{
	size_t bits;
	unsigned int i;

	if (!source->text)
		return source_error(source);
	bits = strspn(source->text, "01");
	if (!bits || bits % 64 || strcmp(source->text + bits, "\n"))
		return tool_error("%s%s: these are no bits of features", tool_options.sysroot,
				  source->path);
	for (i = 0; i < 64; i++)
		device->features |= (uint64_t)(source->text[i] == '1') << i;
	return TOOL_FINE;
}

/* A line "MS COST", or "MS COST *"; moves @text behind it. */
static bool device_window(const char **text, struct device_window *window)
{
	if (!source_digits(text, &window->ms) || *(*text)++ != ' ' ||
	    !source_digits(text, &window->cost))
		return false;
	window->used = !strncmp(*text, " *", 2);
	*text += window->used ? 2 : 0;
	return *(*text)++ == '\n';
}

static int device_windows(struct device *device, const struct source *source)
{
	const char *text = source->text;

	while (*text && device->nr_windows < DEVICE_WINDOWS) {
		if (!device_window(&text, &device->windows[device->nr_windows++]))
			return tool_error("%s%s: a line is no window and its cost",
					  tool_options.sysroot, source->path);
	}
	if (*text || !device->nr_windows)
		return tool_error("%s%s: this is no list of windows", tool_options.sysroot,
				  source->path);
	return TOOL_FINE;
}

/* A line "WORD NUMBER...", with @columns numbers; moves @text behind it. */
static bool device_row(const char **text, struct device_rows *rows, unsigned int columns)
{
	unsigned int row = rows->nr++, i;
	size_t length = strspn(*text, "abcdefghijklmnopqrstuvwxyz_");

	if (!length || length >= DEVICE_NAME)
		return false;
	memcpy(rows->name[row], *text, length);
	*text += length;
	for (i = 0; i < columns; i++)
		if (*(*text)++ != ' ' || !source_digits(text, &rows->number[row][i]))
			return false;
	return *(*text)++ == '\n';
}

static int device_rows(struct device_rows *rows, const struct source *source,
		       unsigned int columns)
{
	const char *text = source->text;

	do {
		if (rows->nr == DEVICE_ROWS || !device_row(&text, rows, columns))
			return tool_error("%s%s: a line is not a word and %u number%s",
					  tool_options.sysroot, source->path, columns,
					  columns > 1 ? "s" : "");
	} while (*text);
	return TOOL_FINE;
}

static int device_lines(struct device *device, unsigned int i, const struct source *source)
{
	switch (i) {
	case DEVICE_REFUSALS:
		return device_rows(&device->refusals, source, 1);
	case DEVICE_STAGES:
		return device_rows(&device->stages, source, 2);
	default:
		return device_windows(device, source);
	}
}

static int device_value(struct device *device, unsigned int i, const struct source *source)
{
	struct device_value *value = &device->values[i];
	bool total = i == DEVICE_REPORTED_BYTES || i == DEVICE_REUSED_BYTES;
	uint64_t most = strstr(device_files[i].name, "_bytes") && !total ? DEVICE_BYTES : INT64_MAX;
	int status;

	if (source->err == -EACCES && device_files[i].root && geteuid())
		return TOOL_FINE;
	if (!source->text)
		return source_error(source);
	if (device_files[i].kind == DEVICE_NUMBER_OR_UNKNOWN && !strcmp(source->text, "unknown\n"))
		return TOOL_FINE;
	switch (device_files[i].kind) {
	case DEVICE_WORD:
		status = source_word(source, value->word, sizeof(value->word));
		break;
	case DEVICE_NUMBER:
	case DEVICE_NUMBER_OR_UNKNOWN:
		status = source_number(source, most, &value->number);
		break;
	default:
		status = device_lines(device, i, source);
	}
	value->known = !status;
	return status;
}

static int device_read(struct device *device, bool costly)
{
	struct source sources[DEVICE_FILES];
	unsigned int number[DEVICE_FILES];
	unsigned int i, nr = 0;
	int status = TOOL_FINE;

	for (i = 0; i < DEVICE_FILES; i++) {
		if (device_files[i].costly && !costly)
			continue;
		number[nr] = i;
		source_set(&sources[nr++], SOURCE_FILE, DEVICE_BUS "/%s/aerator/%s",
			   device->name, device_files[i].name);
	}
	source_fetch(sources, nr);
	for (i = 0; i < nr && !status; i++)
		status = device_value(device, number[i], &sources[i]);
	source_free(sources, nr);
	return status;
}

static int device_probe(struct devices *devices, const struct source *files,
			const char *name)
{
	const struct source *driver = &files[PROBE_DRIVER];
	struct device *device;

	if (!files[PROBE_DEVICE].text)
		return source_error(&files[PROBE_DEVICE]);
	if (strcmp(files[PROBE_DEVICE].text, DEVICE_BALLOON))
		return TOOL_FINE;
	devices->list = tool_memory(devices->list, devices->nr + 1, sizeof(*device));
	device = &devices->list[devices->nr++];
	memset(device, 0, sizeof(*device));
	snprintf(device->name, sizeof(device->name), "%s", name);
	if (!driver->text && driver->err != -ENOENT)
		return source_error(driver);
	if (driver->text && source_word(driver, device->driver, sizeof(device->driver)))
		return TOOL_FAILED;
	return device_features(device, &files[PROBE_FEATURES]);
}

/* Look at all virtio devices, and keep the balloons. */
static int devices_probe(struct devices *devices, char *names, unsigned int nr)
{
	struct source *files = tool_memory(NULL, nr * PROBE_FILES, sizeof(*files));
	char *name[DEVICE_MOST];
	unsigned int i;
	int status = TOOL_FINE;

	for (i = 0; i < nr; i++) {
		struct source *of = &files[i * PROBE_FILES];

		name[i] = strsep(&names, "\n");
		source_set(&of[PROBE_DEVICE], SOURCE_FILE, DEVICE_BUS "/%s/device", name[i]);
		source_set(&of[PROBE_FEATURES], SOURCE_FILE, DEVICE_BUS "/%s/features", name[i]);
		source_set(&of[PROBE_DRIVER], SOURCE_LINK, DEVICE_BUS "/%s/driver", name[i]);
	}
	source_fetch(files, nr * PROBE_FILES);
	for (i = 0; i < nr && !status; i++)
		status = device_probe(devices, &files[i * PROBE_FILES], name[i]);
	source_free(files, nr * PROBE_FILES);
	free(files);
	return status;
}

static unsigned int devices_lines(const char *text)
{
	unsigned int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

static int devices_find(struct devices *devices)
{
	struct source folder;
	int status = TOOL_FINE;
	unsigned int nr;

	source_set(&folder, SOURCE_FOLDER, DEVICE_BUS);
	source_fetch(&folder, 1);
	if (!folder.text)
		return folder.err == -ENOENT ? TOOL_FINE : source_error(&folder);
	nr = devices_lines(folder.text);
	if (nr > DEVICE_MOST)
		status = tool_error("%s: more than %u devices", DEVICE_BUS, DEVICE_MOST);
	else if (nr)
		status = devices_probe(devices, folder.text, nr);
	source_free(&folder, 1);
	return status;
}

static int devices_compare(const void *a, const void *b)
{
	const struct device *one = a, *other = b;
	int order = device_is_aerator(other) - device_is_aerator(one);

	return order ?: strverscmp(one->name, other->name);
}

/**
 * devices_read - find the balloon devices, and read their files
 * @devices: the result; devices_free() frees it
 * @costly: read also the files that look at all pages of the guest
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int devices_read(struct devices *devices, bool costly)
{
	unsigned int i;
	int status;

	memset(devices, 0, sizeof(*devices));
	status = devices_find(devices);
	if (!status && devices->nr)
		qsort(devices->list, devices->nr, sizeof(*devices->list), devices_compare);
	for (i = 0; i < devices->nr && !status; i++)
		if (device_is_aerator(&devices->list[i]))
			status = device_read(&devices->list[i], costly);
	if (status)
		devices_free(devices);
	return status;
}

/**
 * devices_need - as devices_read(), for verbs of devices that aerator drives
 * @devices: the result
 * @costly: as there
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int devices_need(struct devices *devices, bool costly)
{
	int status = devices_read(devices, costly);

	if (status || (devices->nr && device_is_aerator(&devices->list[0])))
		return status;
	devices_free(devices);
	return tool_error("aerator drives no balloon device here: see aerator doctor");
}

/**
 * devices_free - free what devices_read() has allocated
 * @devices: the devices
 */
void devices_free(struct devices *devices)
{
	free(devices->list);
	memset(devices, 0, sizeof(*devices));
}
