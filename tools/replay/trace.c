// SPDX-License-Identifier: GPL-2.0
/* Read a trace, and refuse an invalid one. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "memory.h"
#include "trace.h"

/* A year, and 64 TiB: larger numbers are an error, and would take long. */
#define TRACE_MS_MAX		(366 * 86400e3)
#define TRACE_PAGES_MAX		((double)(1ULL << 34))

/* Numbers in a line: two are ms and MiB; three are ms, pages and pages. */
#define TRACE_COLUMNS_MIN	2U
#define TRACE_COLUMNS_MAX	3U

/**
 * struct trace_reader - a file that is being read
 * @path: its name
 * @file: the file
 * @line: the current line, for getline()
 * @size: size of that buffer
 * @number: line number, from 1
 * @columns: count of numbers in each line, 0 before the first line
 */
struct trace_reader {
	const char *path;
	FILE *file;
	char *line;
	size_t size;
	unsigned int number;
	unsigned int columns;
};

static int trace_refuse(const struct trace_reader *r, const char *why)
{
	fprintf(stderr, "replay: %s:%u: %s\n", r->path, r->number, why);
	return -EINVAL;
}

/* The count of numbers in the line; 0 if the line has anything else. */
static unsigned int trace_numbers(const char *line, double *numbers)
{
	unsigned int nr = 0;
	char *end;

	while (line[strspn(line, " \t\r\n")]) {
		if (nr == TRACE_COLUMNS_MAX)
			return 0;
		numbers[nr++] = strtod(line, &end);
		if (end == line || !strchr(" \t\r\n", *end))
			return 0;
		line = end;
	}
	return nr;
}

static bool trace_is_blank(const char *line)
{
	line += strspn(line, " \t\r\n");
	return !*line || *line == '#';
}

/* This form of the condition refuses NaN as well. */
static bool trace_within(double value, double most)
{
	return value >= 0 && value <= most;
}

static int trace_add(struct trace_reader *r, struct trace *trace,
		     const struct trace_moment *moment)
{
	if (moment->blocks > moment->free)
		return trace_refuse(r, "more is free in blocks than in all");
	if (trace->nr && moment->ms < trace->moments[trace->nr - 1].ms)
		return trace_refuse(r, "time goes back");
	/* Double the array whenever the number of moments is a power of two. */
	if (!(trace->nr & (trace->nr - 1)))
		trace->moments = memory_resize(trace->moments, 2UL * trace->nr + 1,
					       sizeof(*moment));
	trace->moments[trace->nr++] = *moment;
	return 0;
}

static int trace_moment(struct trace_reader *r, struct trace *trace,
			const double *numbers)
{
	double unit = r->columns == TRACE_COLUMNS_MIN ? TRACE_PAGES_PER_MIB : 1;
	double free = numbers[1] * unit, blocks = numbers[r->columns - 1] * unit;
	struct trace_moment moment;

	if (!trace_within(numbers[0], TRACE_MS_MAX))
		return trace_refuse(r, "the time is not between 0 and a year");
	if (!trace_within(free, TRACE_PAGES_MAX) || !trace_within(blocks, TRACE_PAGES_MAX))
		return trace_refuse(r, "the amount is not between 0 and 64 TiB");
	moment = (struct trace_moment) { .ms = numbers[0], .free = free, .blocks = blocks };
	return trace_add(r, trace, &moment);
}

static int trace_line(struct trace_reader *r, struct trace *trace, size_t length)
{
	double numbers[TRACE_COLUMNS_MAX];
	unsigned int nr;

	r->number++;
	if (strlen(r->line) != length)
		return trace_refuse(r, "this is no text");
	if (trace_is_blank(r->line))
		return 0;
	nr = trace_numbers(r->line, numbers);
	if (nr < TRACE_COLUMNS_MIN)
		return trace_refuse(r, "neither \"MS MIB\" nor \"MS FREE_PAGES BLOCK_PAGES\"");
	if (r->columns && nr != r->columns)
		return trace_refuse(r, "not of the form of the lines before");
	r->columns = nr;
	return trace_moment(r, trace, numbers);
}

static int trace_lines(struct trace_reader *r, struct trace *trace)
{
	ssize_t length;
	int err = 0;

	while (!err && (length = getline(&r->line, &r->size, r->file)) >= 0)
		err = trace_line(r, trace, length);
	free(r->line);
	if (!err && ferror(r->file))
		return trace_refuse(r, strerror(errno));
	if (!err && !trace->nr)
		return trace_refuse(r, "there is nothing in it");
	return err;
}

/**
 * trace_read - read a trace
 * @trace: filled here; to be released by trace_free()
 * @path: the file
 *
 * Errors are printed to stderr.
 *
 * Return: 0 or a negative errno, with an empty trace.
 */
int trace_read(struct trace *trace, const char *path)
{
	struct trace_reader r = { .path = path, .file = fopen(path, "r") };
	int err;

	*trace = (struct trace) {};
	if (!r.file)
		return trace_refuse(&r, strerror(errno));
	err = trace_lines(&r, trace);
	fclose(r.file);
	if (err)
		trace_free(trace);
	return err;
}

/**
 * trace_free - free the memory of a trace
 * @trace: a trace that was read
 */
void trace_free(struct trace *trace)
{
	free(trace->moments);
	*trace = (struct trace) {};
}
