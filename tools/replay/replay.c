// SPDX-License-Identifier: GPL-2.0
/* replay: run a policy on recorded traces of guests. See usage[] and model.h. */
#include <errno.h>
#include <getopt.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"
#include "trace.h"

static const char usage[] =
"usage: replay [OPTION]... TRACE...\n"
"Play traces of a guest's free memory to a model of the guest and its balloon driver.\n"
"\n"
"  --refault MS       a refault costs as much as holding the memory for MS\n"
"                     milliseconds (0 to 60000, default 2000)\n"
"  --intake KIND      treated: a kernel with the aeration patch (the default);\n"
"                     reporting: a stock kernel\n"
"  --driver NAME      aerator (the default) or virtio_balloon\n"
"  --window auto|MS   the parameter window_ms (0 to 60000, default auto)\n"
"  --help             this text\n"
"\n"
"A line of a trace is \"MS MIB\" (from MS on, MIB are free, in blocks that can be\n"
"reported) or \"MS FREE_PAGES BLOCK_PAGES\" (pages of 4 KiB: all free ones, and those in\n"
"such blocks), as scripts/record-free prints it in a guest. A line that begins with # is\n"
"a comment. After the last line, free memory stays constant for 30 seconds.\n"
"\n"
"For each trace a line is printed, a JSON object:\n"
"  name                    name of the file, without .txt\n"
"  held_gib_s              free memory that the host held for nothing, GiB times seconds\n"
"  refaulted_gib           memory that the guest faulted in again, GiB\n"
"  looks                   number of runs of the driver's work\n"
"  optimum_held_gib_s      the first two for a policy that knows the future\n"
"  optimum_refaulted_gib\n"
"A cost is held_gib_s + refault / 1000 * refaulted_gib.\n"
"\n"
"Exit status: 0, 1 if a trace cannot be read, 2 for wrong options.\n";

#define REPLAY_MS_MAX		60000
#define REPLAY_TAIL_MS		30000
#define REPLAY_PAGES_PER_GIB	262144.0
#define REPLAY_EXIT_USAGE	2

static void replay_refuse(const char *what, const char *value, const char *allowed)
{
	fprintf(stderr, "replay: %s '%s': %s; see --help\n", what, value, allowed);
	exit(REPLAY_EXIT_USAGE);
}

static unsigned int replay_ms(const char *option, const char *text, const char *allowed)
{
	char *end;
	unsigned long ms;

	errno = 0;
	ms = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || ms > REPLAY_MS_MAX)
		replay_refuse(option, text, allowed);
	return ms;
}

static unsigned int replay_window(const char *text)
{
	if (!strcmp(text, "auto"))
		return POLICY_WINDOW_AUTO;
	return replay_ms("--window", text, "auto or 0 to 60000 ms");
}

/* Whether the option has the second of two allowed words; another word is an error. */
static bool replay_choice(const char *option, const char *text, const char *first,
			  const char *second)
{
	char allowed[64];

	snprintf(allowed, sizeof(allowed), "%s or %s", first, second);
	if (strcmp(text, first) && strcmp(text, second))
		replay_refuse(option, text, allowed);
	return !strcmp(text, second);
}

static void replay_option(struct model *m, int option)
{
	switch (option) {
	case 'r':
		m->limits.refault_ms = replay_ms("--refault", optarg, "0 to 60000 ms");
		break;
	case 'i':
		m->intake = replay_choice("--intake", optarg, "treated", "reporting");
		break;
	case 'd':
		m->driver = replay_choice("--driver", optarg, "aerator", "virtio_balloon");
		break;
	case 'w':
		m->limits.window_ms = replay_window(optarg);
		break;
	case 'h':
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	default:
		fputs("replay: an option is unknown, or has no value; see --help\n", stderr);
		exit(REPLAY_EXIT_USAGE);
	}
}

static void replay_options(struct model *m, int argc, char **argv)
{
	static const struct option options[] = {
		{ "refault", required_argument, NULL, 'r' },
		{ "intake", required_argument, NULL, 'i' },
		{ "driver", required_argument, NULL, 'd' },
		{ "window", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		replay_option(m, option);
	if (optind == argc) {
		fputs("replay: no trace is given; see --help\n", stderr);
		exit(REPLAY_EXIT_USAGE);
	}
}

static void replay_print_string(const char *text, size_t length)
{
	putchar('"');
	for (; length; length--, text++) {
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

/* Print the last part of the path, without .txt. */
static void replay_print_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t length = strlen(name);

	if (length > 4 && !strcmp(name + length - 4, ".txt"))
		length -= 4;
	replay_print_string(name, length);
}

static void replay_print(const struct model *m, const struct trace *trace,
			 const char *path)
{
	double held;
	u64 refaulted;

	trace_optimum(trace, m->limits.refault_ms, &held, &refaulted);
	printf("{\"name\": ");
	replay_print_name(path);
	printf(", \"held_gib_s\": %.6f, \"refaulted_gib\": %.6f, \"looks\": %u",
	       m->held / REPLAY_PAGES_PER_GIB / 1000, m->refaulted / REPLAY_PAGES_PER_GIB,
	       m->looks);
	printf(", \"optimum_held_gib_s\": %.6f, \"optimum_refaulted_gib\": %.6f}\n",
	       held / REPLAY_PAGES_PER_GIB / 1000, refaulted / REPLAY_PAGES_PER_GIB);
}

static void replay_run(struct model *m, const struct trace *trace)
{
	const struct trace_moment *moment = trace->moments;
	unsigned int i;

	model_start(m, moment->free, moment->blocks);
	for (i = 0; i < trace->nr; i++, moment++)
		model_change(m, moment->ms, moment->free, moment->blocks);
	model_until(m, trace->moments[trace->nr - 1].ms + REPLAY_TAIL_MS);
	model_stop(m);
}

static int replay_file(struct model *m, const char *path)
{
	struct trace trace;
	int err = trace_read(&trace, path);

	if (err)
		return err;
	replay_run(m, &trace);
	replay_print(m, &trace, path);
	trace_free(&trace);
	return 0;
}

int main(int argc, char **argv)
{
	struct model m = {
		.limits = {
			.window_ms = POLICY_WINDOW_AUTO, .refault_ms = 2000, .cap = U64_MAX,
		},
	};
	int status = EXIT_SUCCESS;

	replay_options(&m, argc, argv);
	for (; optind < argc; optind++)
		if (replay_file(&m, argv[optind]))
			status = EXIT_FAILURE;
	if (fflush(stdout) || ferror(stdout)) {
		perror("replay: standard output");
		status = EXIT_FAILURE;
	}
	return status;
}
