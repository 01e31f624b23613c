// SPDX-License-Identifier: GPL-2.0
/*
 * aerator-fleet: what each guest of this host uses, what the host holds for it, and what could
 * be given back. It asks the host only, so that nothing has to be installed in the guests.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "history.h"
#include "options.h"
#include "output.h"
#include "source.h"

#define SCHEMA 1

static json_t *ask(const struct source *source, json_t *errors)
{
	char *error = NULL;
	json_t *guests;

	if (source->count)
		return source_qmp(source);
	guests = source_libvirt(source, &error);
	if (error)
		json_array_append_new(errors, json_string(error));
	free(error);
	return guests;
}

static const char *string_of(const json_t *guest, const char *key)
{
	return json_string_value(json_object_get(guest, key));
}

/* How many guests have that text under a key. */
static size_t count_of(const json_t *guests, const char *key, const char *text)
{
	size_t index, count = 0;
	json_t *guest;

	json_array_foreach(guests, index, guest) {
		const char *found = string_of(guest, key);

		count += found && !strcmp(found, text);
	}
	return count;
}

/* A cgroup that several guests are in does not tell what is of which. */
static void part(const json_t *guests)
{
	size_t index;
	json_t *guest;

	json_array_foreach(guests, index, guest) {
		const char *cgroup = string_of(guest, "cgroup");

		if (!cgroup || count_of(guests, "cgroup", cgroup) == 1)
			continue;
		json_object_set_new(guest, HOST, json_null());
		json_object_set_new(guest, HOST_SWAP, json_null());
		json_object_set_new(guest, HOST_CACHE, json_null());
		guest_note(guest, "other guests are in its cgroup: start each in one of its own");
	}
}

/*
 * Add the socket to a name that several guests have: Prometheus refuses two samples with the
 * same labels.
 */
static void make_unique(json_t *guests)
{
	json_t *before = json_deep_copy(guests), *guest;
	size_t index;

	json_array_foreach(guests, index, guest) {
		const char *socket = string_of(guest, "socket");
		const char *name = guest_name(json_array_get(before, index));

		if (socket && count_of(before, "name", name) > 1)
			json_object_set_new(guest, "name", json_sprintf("%s (%s)", name, socket));
	}
	json_decref(before);
}

static json_t *make_answer(const struct options *options)
{
	json_t *errors = json_array(), *guests = ask(&options->source, errors), *guest, *sorted;
	size_t index;

	make_unique(guests);
	part(guests);
	json_array_foreach(guests, index, guest)
		guest_finish(guest);
	if (options->watch)
		history_add(guests);
	sorted = guests_sorted(guests);
	json_decref(guests);
	return json_pack("{s:i, s:I, s:o, s:o, s:o}", "schema", SCHEMA, "time",
			 (json_int_t)time(NULL), "guests", sorted, "total",
			 guests_total(sorted), "errors", errors);
}

static void print_error_lines(const json_t *answer)
{
	json_t *guest, *error;
	size_t index, number;

	json_array_foreach(json_object_get(answer, "errors"), index, error)
		fprintf(stderr, "aerator-fleet: %s\n", json_string_value(error));
	json_array_foreach(json_object_get(answer, "guests"), index, guest) {
		json_array_foreach(json_object_get(guest, "errors"), number, error)
			fprintf(stderr, "aerator-fleet: %s: %s\n", guest_name(guest),
				json_string_value(error));
	}
}

static bool failed(const json_t *answer)
{
	return json_array_size(json_object_get(answer, "errors")) ||
	       guests_failed(json_object_get(answer, "guests"));
}

static int print_json(const json_t *answer, bool line)
{
	if (json_dumpf(answer, stdout, line ? JSON_COMPACT : JSON_INDENT(2)))
		return -1;
	putchar('\n');
	return fflush(stdout) || ferror(stdout) ? -1 : 0;
}

static int print_answer(const json_t *answer, const struct options *options)
{
	struct table_style style = {
		.bytes = options->bytes,
		.since = options->watch,
		.redraw = options->watch && isatty(STDOUT_FILENO),
	};

	if (options->textfile)
		return prometheus_replace(answer, options->textfile);
	if (options->prometheus)
		return prometheus_print(answer, stdout);
	if (options->json)
		return print_json(answer, options->watch);
	return table_print(answer, &style);
}

/* One round; returns 1 if a guest or a source failed, -1 if the output did. */
static int round_of(const struct options *options)
{
	json_t *answer = make_answer(options);
	int status = failed(answer);

	if (print_answer(answer, options)) {
		fprintf(stderr, "aerator-fleet: %s: %s\n",
			options->textfile ? options->textfile : "stdout", strerror(errno));
		status = -1;
	}
	print_error_lines(answer);
	json_decref(answer);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = { .source.timeout = 5 };
	int status;

	options_parse(&options, argc, argv);
	status = round_of(&options);
	/* It is set now, and another period may be set later. */
	options.source.poll = 0;
	while (options.watch && status >= 0) {
		sleep(options.watch);
		status = round_of(&options);
	}
	free(options.source.sockets);
	return status != 0;
}
