/* SPDX-License-Identifier: GPL-2.0 */
/* What all verbs of the tool share: options, exit statuses, messages. */
#ifndef TOOL_H
#define TOOL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As in the kernel. */
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

/* Exit statuses. */
#define TOOL_FINE	0
#define TOOL_FAILED	1
#define TOOL_USAGE	2

/* Version of the JSON objects. A key is added without a new version; none goes or changes. */
#define TOOL_SCHEMA	1

/**
 * struct tool_options - options of all verbs
 * @sysroot: prefix of /sys, /proc, /dev and /etc; empty for the running system
 * @json: print JSON
 * @raw: print columns without alignment
 * @noheadings: print no header of columns
 * @bytes: print sizes in bytes
 * @columns: list of columns to print, separated by commas; NULL for all
 */
struct tool_options {
	const char *sysroot;
	bool json;
	bool raw;
	bool noheadings;
	bool bytes;
	const char *columns;
};

extern struct tool_options tool_options;

/**
 * struct tool_verb - a verb of the command line
 * @name: the verb
 * @arguments: its own options and arguments, for the usage
 * @summary: what it does, one line
 * @run: the verb itself; gets argv from the verb on, returns an exit status
 */
struct tool_verb {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(int argc, char **argv);
};

typedef int (*tool_option_t)(int option, const char *value);

__printf(1, 2) int tool_error(const char *format, ...);
__printf(1, 2) int tool_usage(const char *format, ...);
void *tool_memory(void *memory, size_t nr, size_t size);
int tool_parse(int argc, char **argv, const struct option *own, tool_option_t handler);
int tool_no_arguments(int argc, char **argv);
int tool_finish(int status);

int doctor_run(int argc, char **argv);
int flush_run(int argc, char **argv);
int get_run(int argc, char **argv);
int metrics_run(int argc, char **argv);
int quiesce_run(int argc, char **argv);
int record_run(int argc, char **argv);
int replay_run(int argc, char **argv);
int resume_run(int argc, char **argv);
int set_run(int argc, char **argv);
int stages_run(int argc, char **argv);
int status_run(int argc, char **argv);
int top_run(int argc, char **argv);
int why_run(int argc, char **argv);

#endif /* TOOL_H */
