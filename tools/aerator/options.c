// SPDX-License-Identifier: GPL-2.0
/* Options that all verbs have, and messages on stderr. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

struct tool_options tool_options = { .sysroot = "" };

#define OPTIONS_MOST	32

/* Values above those of characters, which verbs use for their own options. */
enum {
	OPTION_JSON = 256,
	OPTION_RAW,
	OPTION_NOHEADINGS,
	OPTION_BYTES,
	OPTION_OUTPUT,
	OPTION_SYSROOT,
};

static const struct option options_common[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "raw", no_argument, NULL, OPTION_RAW },
	{ "noheadings", no_argument, NULL, OPTION_NOHEADINGS },
	{ "bytes", no_argument, NULL, OPTION_BYTES },
	{ "output", required_argument, NULL, OPTION_OUTPUT },
	{ "sysroot", required_argument, NULL, OPTION_SYSROOT },
	{}
};

static void options_message(const char *format, va_list args, const char *after)
{
	fflush(stdout);
	fputs("aerator: ", stderr);
	vfprintf(stderr, format, args);
	fputs(after, stderr);
}

/**
 * tool_error - print an error on stderr
 * @format: the text, without a newline at its end
 *
 * Return: TOOL_FAILED.
 */
int tool_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	options_message(format, args, "\n");
	va_end(args);
	return TOOL_FAILED;
}

/**
 * tool_usage - print that the command line is wrong
 * @format: what is wrong with it, without a newline at its end
 *
 * Return: TOOL_USAGE.
 */
int tool_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	options_message(format, args, "; see aerator --help\n");
	va_end(args);
	return TOOL_USAGE;
}

/**
 * tool_memory - change the length of an array
 * @memory: the array, NULL for a new one
 * @nr: number of elements
 * @size: size of an element, bytes
 *
 * Return: the array. The program ends if there is no memory.
 */
void *tool_memory(void *memory, size_t nr, size_t size)
{
	memory = reallocarray(memory, nr, size);
	if (!memory)
		exit(tool_error("out of memory"));
	return memory;
}

static int options_set(int option)
{
	switch (option) {
	case OPTION_JSON:
		tool_options.json = true;
		return TOOL_FINE;
	case OPTION_RAW:
		tool_options.raw = true;
		return TOOL_FINE;
	case OPTION_NOHEADINGS:
		tool_options.noheadings = true;
		return TOOL_FINE;
	case OPTION_BYTES:
		tool_options.bytes = true;
		return TOOL_FINE;
	case OPTION_OUTPUT:
		tool_options.columns = optarg;
		return TOOL_FINE;
	case OPTION_SYSROOT:
		tool_options.sysroot = optarg;
		return TOOL_FINE;
	}
	return TOOL_USAGE;
}

static unsigned int options_append(struct option *all, unsigned int nr,
				   const struct option *some)
{
	for (; some && some->name && nr < OPTIONS_MOST; some++)
		all[nr++] = *some;
	return nr;
}

/**
 * tool_parse - parse the options of a verb
 * @argc: number of arguments, with the verb
 * @argv: the arguments; those that are no options come last afterwards, from optind on
 * @own: the verb's own options, or NULL; their values are characters
 * @handler: called for each of them; returns TOOL_FINE or, after a message, TOOL_USAGE
 *
 * Return: TOOL_FINE or TOOL_USAGE.
 */
int tool_parse(int argc, char **argv, const struct option *own, tool_option_t handler)
{
	struct option all[OPTIONS_MOST + 1] = {};
	unsigned int nr = options_append(all, 0, options_common);
	int option, status = TOOL_FINE;

	options_append(all, nr, own);
	optind = 0;	/* glibc: parse from the start */
	opterr = 0;
	while (!status && (option = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (option == '?')
			return tool_usage("%s: option '%s' is unknown, or has a wrong value",
					  argv[0], argv[optind - 1]);
		status = option >= OPTION_JSON ? options_set(option) :
						 handler(option, optarg);
	}
	return status;
}

/**
 * tool_no_arguments - parse the options of a verb that has no others and no arguments
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: TOOL_FINE or TOOL_USAGE.
 */
int tool_no_arguments(int argc, char **argv)
{
	int status = tool_parse(argc, argv, NULL, NULL);

	if (!status && optind < argc)
		return tool_usage("%s: '%s' is too much", argv[0], argv[optind]);
	return status;
}

/**
 * tool_finish - write out what was printed
 * @status: the exit status so far
 *
 * Return: the exit status: TOOL_FAILED if standard output cannot be written.
 */
int tool_finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	return tool_error("standard output cannot be written");
}
