// SPDX-License-Identifier: GPL-2.0
/*
 * stages: how long the stages of batches take. The tracepoints have the time of each stage;
 * they are recorded in a trace instance of their own, so that other users of tracing see
 * nothing of it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "json.h"
#include "source.h"
#include "stop.h"
#include "table.h"
#include "tool.h"

#define STAGES_FOLDER		"/sys/kernel/tracing/instances"
/* Of each processor: some thousand events. */
#define STAGES_BUFFER_KIB	"256\n"
#define STAGES_SECONDS_MOST	3600
#define STAGES_BUCKETS		32
#define STAGES_BAR		30
#define STAGES_WRITE		4

static const char *const stages_names[] = { "fill", "react", "settle", "decant" };

#define STAGES			ARRAY_SIZE(stages_names)

static const struct table_column stages_columns[] = {
	{ "STAGE", false }, { "FROM-US", true }, { "TO-US", true }, { "BATCHES", true },
	{ "SHARE", false },
};

/**
 * struct stages - how long stages took
 * @name: the trace instance
 * @seconds: how long they are recorded
 * @batches: number of batches, by stage and by log2 of the microseconds
 */
struct stages {
	char name[64];
	unsigned int seconds;
	uint64_t batches[STAGES][STAGES_BUCKETS];
};

static unsigned int stages_seconds;

static int stages_option(int option, const char *value)
{
	uint64_t seconds;

	(void)option;
	if (!source_within(value, 1, STAGES_SECONDS_MOST, &seconds))
		return tool_usage("--seconds: 1 to %u are allowed", STAGES_SECONDS_MOST);
	stages_seconds = seconds;
	return TOOL_FINE;
}

static int stages_mkdir(const char *path, const char *text)
{
	char full[PATH_MAX];

	(void)text;
	snprintf(full, sizeof(full), "%s%s", tool_options.sysroot, path);
	return mkdir(full, 0700) ? -errno : 0;
}

static int stages_rmdir(const char *path, const char *text)
{
	char full[PATH_MAX];

	(void)text;
	snprintf(full, sizeof(full), "%s%s", tool_options.sysroot, path);
	return rmdir(full) ? -errno : 0;
}

static int stages_write(const struct stages *s, const char *file, const char *text)
{
	char path[SOURCE_PATH];

	snprintf(path, sizeof(path), "%s/%s", s->name, file);
	return source_write(path, text, STAGES_WRITE);
}

static int stages_enable(const struct stages *s)
{
	char file[64];
	unsigned int i;
	int err = stages_write(s, "buffer_size_kb", STAGES_BUFFER_KIB);

	for (i = 0; i < STAGES && !err; i++) {
		snprintf(file, sizeof(file), "events/aerator/aerator_%s/enable", stages_names[i]);
		err = stages_write(s, file, "1\n");
	}
	return err;
}

static unsigned int stages_bucket(uint64_t us)
{
	unsigned int bucket = 0;

	for (; us > 1 && bucket < STAGES_BUCKETS - 1; us >>= 1)
		bucket++;
	return bucket;
}

/* A line of the trace ends with "aerator_STAGE: ... us=N". Returns where the next one begins. */
static const char *stages_line(struct stages *s, const char *line)
{
	const char *end = strchr(line, '\n');
	const char *event = strstr(line, ": aerator_");
	const char *us = event ? strstr(event, " us=") : NULL;
	uint64_t number;
	unsigned int i;

	if (!end || !us || us > end)
		return end ? end + 1 : NULL;
	event += strlen(": aerator_");
	for (i = 0; i < STAGES; i++) {
		size_t length = strlen(stages_names[i]);

		if (strncmp(event, stages_names[i], length) || event[length] != ':')
			continue;
		us += strlen(" us=");
		if (source_digits(&us, &number))
			s->batches[i][stages_bucket(number)]++;
	}
	return end + 1;
}

static int stages_read(struct stages *s)
{
	struct source trace;
	const char *line;
	int status = TOOL_FINE;

	source_set(&trace, SOURCE_FILE, "%s/trace", s->name);
	source_fetch(&trace, 1);
	if (!trace.text)
		status = source_error(&trace);
	for (line = trace.text; line && *line; )
		line = stages_line(s, line);
	source_free(&trace, 1);
	return status;
}

static int stages_record(struct stages *s)
{
	const struct timespec time = { .tv_sec = s->seconds };
	int err = source_call(stages_mkdir, s->name, NULL, STAGES_WRITE);
	int status;

	if (err)
		return tool_error("%s: %s; is tracefs mounted, and are you root?", s->name,
				  strerror(-err));
	err = stages_enable(s);
	if (err) {
		status = tool_error("the tracepoints of aerator cannot be enabled: %s",
				    strerror(-err));
	} else {
		nanosleep(&time, NULL);
		status = stages_read(s);
	}
	source_call(stages_rmdir, s->name, NULL, STAGES_WRITE);
	return status;
}

static void stages_row(struct table *table, const struct stages *s, unsigned int stage,
		       unsigned int bucket, uint64_t most)
{
	static const char bar[] = "##############################";
	uint64_t nr = s->batches[stage][bucket];

	table_line(table);
	table_text(table, "%s", stages_names[stage]);
	table_text(table, "%llu", bucket ? 1ULL << bucket : 0ULL);
	table_text(table, "%llu", (2ULL << bucket) - 1);
	table_text(table, "%llu", (unsigned long long)nr);
	table_text(table, "%.*s", (int)((nr * STAGES_BAR + most - 1) / most), bar);
}

static void stages_json_row(const struct stages *s, unsigned int stage, unsigned int bucket)
{
	json_object(NULL);
	json_string("stage", stages_names[stage]);
	json_number("from_us", bucket ? 1LL << bucket : 0);
	json_number("to_us", (2LL << bucket) - 1);
	json_number("batches", s->batches[stage][bucket]);
	json_close();
}

static uint64_t stages_total(const struct stages *s, unsigned int stage)
{
	uint64_t total = 0;
	unsigned int i;

	for (i = 0; i < STAGES_BUCKETS; i++)
		total += s->batches[stage][i];
	return total;
}

static int stages_print(const struct stages *s)
{
	struct table *table = tool_options.json ? NULL :
			      table_new(stages_columns, ARRAY_SIZE(stages_columns));
	unsigned int i, j;

	if (!table) {
		json_begin();
		json_array("stages");
	}
	for (i = 0; i < STAGES; i++) {
		for (j = 0; j < STAGES_BUCKETS; j++) {
			if (!s->batches[i][j])
				continue;
			if (table)
				stages_row(table, s, i, j, stages_total(s, i));
			else
				stages_json_row(s, i, j);
		}
	}
	if (table)
		return table_end(table);
	json_close();
	json_end();
	return TOOL_FINE;
}

/**
 * stages_run - print how long the stages of batches take
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int stages_run(int argc, char **argv)
{
	static const struct option own[] = { { "seconds", required_argument, NULL, 's' }, {} };
	static struct stages s;
	int status;

	stages_seconds = 10;
	status = tool_parse(argc, argv, own, stages_option);
	if (status)
		return status;
	if (optind < argc)
		return tool_usage("stages: '%s' is too much", argv[optind]);
	stop_on_signal();
	s.seconds = stages_seconds;
	snprintf(s.name, sizeof(s.name), STAGES_FOLDER "/aerator-%d", getpid());
	return stages_record(&s) ?: stages_print(&s);
}
