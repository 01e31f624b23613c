// SPDX-License-Identifier: GPL-2.0
/* The text format of Prometheus. A figure that is not known is left out. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler.h"
#include "guest.h"
#include "output.h"

#define PREFIX "aerator_fleet_guest_"

struct metric {
	const char *name;
	const char *key;
	const char *help;
};

static const struct metric metrics[] = {
	{ "configured_bytes", CONFIGURED, "Memory that the guest is configured with." },
	{ "actual_bytes", ACTUAL, "Memory of the guest less its balloon." },
	{ "free_bytes", GUEST_FREE, "Memory that the guest says is free." },
	{ "used_bytes", GUEST_USED, "Actual less free memory: what the guest uses." },
	{ "host_bytes", HOST, "Memory and swap that the host holds for the guest's QEMU." },
	{ "host_swap_bytes", HOST_SWAP, "The part of host_bytes that is swapped out." },
	{ "host_cache_bytes", HOST_CACHE, "The part of host_bytes that is page cache." },
	{ "waste_bytes", WASTE, "What the host holds less what the guest uses." },
	{ "statistics_age_seconds", STATISTICS_AGE, "Age of the guest's statistics." },
	{ "statistics_period_seconds", STATISTICS_PERIOD,
	  "How often the host asks for statistics; 0: never." },
};

/* The value of a label: quotes, backslashes and line ends are escaped. */
static void print_label(FILE *file, const char *key, const char *value)
{
	fprintf(file, "%s=\"", key);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', file);
		if (*value == '\n')
			fputs("\\n", file);
		else
			putc(*value, file);
	}
	putc('"', file);
}

static void print_head(FILE *file, const char *name, const char *help)
{
	fprintf(file, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void print_sample(FILE *file, const char *name, const json_t *guest, long long value)
{
	fprintf(file, "%s{", name);
	print_label(file, "guest", guest_name(guest));
	fprintf(file, "} %lld\n", value);
}

static void print_metric(FILE *file, const struct metric *metric, const json_t *guests)
{
	char name[64];
	json_t *guest;
	size_t index;

	snprintf(name, sizeof(name), PREFIX "%s", metric->name);
	print_head(file, name, metric->help);
	json_array_foreach(guests, index, guest) {
		long long value;

		if (guest_get(guest, metric->key, &value))
			print_sample(file, name, guest, value);
	}
}

static void print_reporting(FILE *file, const json_t *guests)
{
	static const char name[] = PREFIX "reporting";
	json_t *guest;
	size_t index;

	print_head(file, name, "Whether the host offers free page reporting: 1 or 0.");
	json_array_foreach(guests, index, guest) {
		if (guest_reporting(guest) >= 0)
			print_sample(file, name, guest, guest_reporting(guest));
	}
}

static void print_errors(FILE *file, const json_t *guests)
{
	static const char name[] = PREFIX "errors";
	json_t *guest;
	size_t index;

	print_head(file, name, "Errors while the guest was looked at; 0: none.");
	json_array_foreach(guests, index, guest)
		print_sample(file, name, guest,
			     json_array_size(json_object_get(guest, "errors")));
}

static void print_number(FILE *file, const char *name, const char *help, size_t value)
{
	print_head(file, name, help);
	fprintf(file, "%s %zu\n", name, value);
}

/**
 * prometheus_print() - Print the answer of a round.
 * @answer: the answer
 * @file: where to
 *
 * Return: 0, or -1 if it could not be written.
 */
int prometheus_print(const json_t *answer, FILE *file)
{
	const json_t *guests = json_object_get(answer, "guests");
	size_t i;

	print_head(file, "aerator_fleet_info", "Version of aerator-fleet.");
	fprintf(file, "aerator_fleet_info{version=\"%s\"} 1\n", VERSION);
	print_number(file, "aerator_fleet_guests", "Running guests.", json_array_size(guests));
	print_number(file, "aerator_fleet_source_errors",
		     "Errors of sources, whose guests are missing here.",
		     json_array_size(json_object_get(answer, "errors")));
	for (i = 0; i < ARRAY_SIZE(metrics); i++)
		print_metric(file, &metrics[i], guests);
	print_reporting(file, guests);
	print_errors(file, guests);
	return fflush(file) || ferror(file) ? -1 : 0;
}

/**
 * prometheus_replace() - Write a file for node_exporter's textfile collector.
 * @answer: the answer of a round
 * @path: the file
 *
 * The file is replaced as a whole, so that a reader never sees a part of it.
 *
 * Return: 0, or -1 with errno set; the old file then stays.
 */
int prometheus_replace(const json_t *answer, const char *path)
{
	char *other;
	FILE *file = NULL;
	int failed, error, fd;

	if (asprintf(&other, "%s.XXXXXX", path) < 0)
		abort();
	fd = mkostemp(other, O_CLOEXEC);
	if (fd >= 0)
		file = fdopen(fd, "w");
	failed = !file || prometheus_print(answer, file);
	error = errno;
	if (file && fclose(file) && !failed) {
		failed = 1;
		error = errno;
	}
	if (!failed && (chmod(other, 0644) || rename(other, path))) {
		failed = 1;
		error = errno;
	}
	if (failed && file)
		unlink(other);
	free(other);
	errno = error;
	return failed ? -1 : 0;
}
