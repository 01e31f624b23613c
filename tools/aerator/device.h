/* SPDX-License-Identifier: GPL-2.0 */
/* The balloon devices of this guest, whatever driver they are bound to. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICE_NAME	32
#define DEVICE_WINDOWS	16
#define DEVICE_ROWS	8

/* Features of the device that the driver has negotiated, numbers of bits. */
#define DEVICE_F_DEFLATE_ON_OOM	2
#define DEVICE_F_HINT		3
#define DEVICE_F_POISON		4
#define DEVICE_F_REPORTING	5

/* The files of a device that is bound to aerator, as in device_files[]. */
enum device_file_number {
	DEVICE_STAGE,
	DEVICE_INTAKE,
	DEVICE_CYCLES,
	DEVICE_REPORTED_BYTES,
	DEVICE_REPORTED_BLOCKS,
	DEVICE_CHAINS,
	DEVICE_KICKS,
	DEVICE_INTERRUPTS,
	DEVICE_SETTLE_TIMEOUTS,
	DEVICE_ERRORS,
	DEVICE_LAST_REPORT,
	DEVICE_REFUSALS,
	DEVICE_STAGES,
	DEVICE_INFLATED_BYTES,
	DEVICE_HOST_DISCARDS,
	DEVICE_SURPLUS_BYTES,
	DEVICE_REUSED_BYTES,
	DEVICE_WINDOWS_FILE,
	DEVICE_TREATED_BYTES,
	DEVICE_RAW_BYTES,
	DEVICE_FILES,
};

enum device_kind {
	DEVICE_WORD,
	DEVICE_NUMBER,
	DEVICE_NUMBER_OR_UNKNOWN,
	DEVICE_LINES,
};

/**
 * struct device_file - a file of the device
 * @name: its name in sysfs, and its key in JSON
 * @kind: what it contains
 * @root: only root can read it
 * @costly: on a stock kernel a read looks at all pages of the guest
 */
struct device_file {
	const char *name;
	enum device_kind kind;
	bool root;
	bool costly;
};

extern const struct device_file device_files[DEVICE_FILES];

/**
 * struct device_value - the content of such a file
 * @known: it was read
 * @number: the number, if it is one
 * @word: the word, if it is one
 */
struct device_value {
	bool known;
	uint64_t number;
	char word[DEVICE_NAME];
};

/**
 * struct device_window - a line of the file windows
 * @ms: length of the window
 * @cost: what it would have cost lately, MiB times seconds
 * @used: it is in use, on any node
 */
struct device_window {
	uint64_t ms;
	uint64_t cost;
	bool used;
};

/**
 * struct device_rows - content of a file with a word and one or two numbers in each line
 * @name: the words
 * @number: the numbers of each
 * @nr: number of lines
 */
struct device_rows {
	char name[DEVICE_ROWS][DEVICE_NAME];
	uint64_t number[DEVICE_ROWS][2];
	unsigned int nr;
};

/**
 * struct device - a balloon device
 * @name: virtioN
 * @driver: its driver; empty if it has none
 * @features: what the driver has negotiated
 * @values: content of its files; none is known with another driver than aerator
 * @windows: content of the file windows
 * @nr_windows: number of them
 * @refusals: content of the file refusals: reasons, and batches
 * @stages: content of the file stages: stages, batches and microseconds
 */
struct device {
	char name[DEVICE_NAME];
	char driver[DEVICE_NAME];
	uint64_t features;
	struct device_value values[DEVICE_FILES];
	struct device_window windows[DEVICE_WINDOWS];
	unsigned int nr_windows;
	struct device_rows refusals;
	struct device_rows stages;
};

/**
 * struct devices - all balloon devices
 * @list: the devices; those of aerator are first
 * @nr: number of devices
 */
struct devices {
	struct device *list;
	unsigned int nr;
};

int devices_read(struct devices *devices, bool costly);
int devices_need(struct devices *devices, bool costly);
void devices_free(struct devices *devices);
bool device_is_aerator(const struct device *device);
bool device_has(const struct device *device, unsigned int feature);

#endif /* DEVICE_H */
