// SPDX-License-Identifier: GPL-2.0
/* The command line. */

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "compiler.h"
#include "files.h"
#include "options.h"

#define BAD_USAGE 2
#define WATCH_SECONDS 2
#define MOST_SECONDS 86400

static const char help[] =
	"Usage: aerator-fleet [OPTION...]\n"
	"Show what the guests of this host use, what the host holds for them, and what\n"
	"it could have back. The guests are libvirt's, or those of --qmp.\n"
	"\n"
	"  -q, --qmp PATH        a guest by the QMP socket of its QEMU; may be repeated\n"
	"  -c, --connect URI     the URI of libvirt (default: libvirt's own default)\n"
	"  -p, --poll S          make each guest send statistics every S seconds\n"
	"  -t, --timeout S       wait at most S seconds for an answer (default: 5)\n"
	"  -w, --watch [S]       show all anew every S seconds (default: 2)\n"
	"  -b, --bytes           print whole numbers\n"
	"  -j, --json            print JSON\n"
	"      --prometheus      print the text format of Prometheus\n"
	"      --textfile PATH   write that format to a file, for node_exporter\n"
	"      --root DIR        read /proc and /sys below DIR, for tests\n"
	"  -h, --help            print this help\n"
	"  -V, --version         print the version\n"
	"\n"
	"Exit status: 0 if all is well, 1 if a guest or a source failed, 2 for bad usage.\n";

__noreturn __printf(1, 2)
static void refuse(const char *format, ...)
{
	va_list arguments;

	fputs("aerator-fleet: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\nTry aerator-fleet --help.\n", stderr);
	exit(BAD_USAGE);
}

static bool is_seconds(const char *text, int *seconds)
{
	char *end;
	long value = strtol(text, &end, 10);

	*seconds = value;
	return end != text && !*end && value >= 1 && value <= MOST_SECONDS;
}

static int seconds_of(const char *option, const char *text)
{
	int seconds;

	if (!is_seconds(text, &seconds))
		refuse("%s: %s is no number of seconds from 1 to %d", option, text, MOST_SECONDS);
	return seconds;
}

/* The seconds of --watch may be the next word, if that is a number. */
static int watch_of(int argc, char **argv)
{
	int seconds;

	if (optarg)
		return seconds_of("--watch", optarg);
	if (optind < argc && is_seconds(argv[optind], &seconds)) {
		optind++;
		return seconds;
	}
	return WATCH_SECONDS;
}

static void add_socket(struct source *source, const char *path)
{
	source->sockets = realloc(source->sockets,
				  (source->count + 1) * sizeof(*source->sockets));
	if (!source->sockets)
		abort();
	source->sockets[source->count++] = path;
}

static void finish_early(const char *text)
{
	exit(fputs(text, stdout) < 0 || fflush(stdout) ? 1 : 0);
}

enum { PROMETHEUS = 256, TEXTFILE, ROOT };

static void take(struct options *options, int option, int argc, char **argv)
{
	switch (option) {
	case 'q':
		add_socket(&options->source, optarg);
		break;
	case 'c':
		options->source.uri = optarg;
		break;
	case 'p':
		options->source.poll = seconds_of("--poll", optarg);
		break;
	case 't':
		options->source.timeout = seconds_of("--timeout", optarg);
		break;
	case 'w':
		options->watch = watch_of(argc, argv);
		break;
	case 'b':
		options->bytes = true;
		break;
	case 'j':
		options->json = true;
		break;
	case PROMETHEUS:
		options->prometheus = true;
		break;
	case TEXTFILE:
		options->textfile = optarg;
		break;
	case ROOT:
		files_set_root(optarg);
		break;
	case 'h':
		finish_early(help);
		break;
	case 'V':
		finish_early("aerator-fleet " VERSION "\n");
		break;
	default:
		refuse("this option is not known, or lacks its argument");
	}
}

static void check(const struct options *options)
{
	bool prometheus = options->prometheus || options->textfile;

	if (options->source.count && options->source.uri)
		refuse("--qmp and --connect exclude each other");
	if (options->json && prometheus)
		refuse("--json and --prometheus exclude each other");
	if (options->watch && prometheus)
		refuse("--watch is for people and for --json: run --prometheus by a timer");
}

/**
 * options_parse() - Read the command line.
 * @options: what is asked for; it has the defaults before
 * @argc: as of main()
 * @argv: as of main()
 *
 * It ends the program if the command line is wrong, or asks for help only.
 */
void options_parse(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "qmp", required_argument, NULL, 'q' },
		{ "connect", required_argument, NULL, 'c' },
		{ "poll", required_argument, NULL, 'p' },
		{ "timeout", required_argument, NULL, 't' },
		{ "watch", optional_argument, NULL, 'w' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "prometheus", no_argument, NULL, PROMETHEUS },
		{ "textfile", required_argument, NULL, TEXTFILE },
		{ "root", required_argument, NULL, ROOT },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "q:c:p:t:w::bjhV", known, NULL)) >= 0)
		take(options, option, argc, argv);
	if (optind < argc)
		refuse("%s: what is this?", argv[optind]);
	check(options);
}
