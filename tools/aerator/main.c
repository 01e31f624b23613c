// SPDX-License-Identifier: GPL-2.0
/* aerator: see, steer and explain what a guest's balloon driver gives back to the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

static const struct tool_verb verbs[] = {
	{ "status", "[DEVICE]", "what each balloon device does (the default)", status_run },
	{ "why", "", "where the memory is that the host still holds, and what to do", why_run },
	{ "top", "[--interval S] [--count N] [--csv]",
	  "rates, and the windows of the policy, again and again", top_run },
	{ "stages", "[--seconds S]", "how long the stages of batches take", stages_run },
	{ "flush", "[--compact] [--drop-cache] [--timeout S]",
	  "give what is free to the host now; say what went, and what stayed", flush_run },
	{ "quiesce", "[--timeout S]", "pause reporting; return when nothing is in flight",
	  quiesce_run },
	{ "resume", "", "report again", resume_run },
	{ "doctor", "", "what is wrong with this guest, and what to do", doctor_run },
	{ "metrics", "[--textfile PATH]", "the same for Prometheus, or for its node_exporter",
	  metrics_run },
	{ "record", "[--seconds S] FILE", "record how free memory changes, with any driver",
	  record_run },
	{ "replay", "FILE", "what each driver and setting would have made of that", replay_run },
	{ "get", "[NAME]...", "parameters, with defaults and what is allowed", get_run },
	{ "set", "[--save] NAME=VALUE...", "change parameters; with --save for later loads, too",
	  set_run },
};

static int main_help(void)
{
	unsigned int i;

	puts("usage: aerator [VERB] [OPTION]... [ARGUMENT]...\n"
	     "See, steer and explain what this guest gives back to its host.\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %s %s\n          %s\n", verbs[i].name, verbs[i].arguments,
		       verbs[i].summary);
	puts("\n"
	     "  --json            print a JSON object, sizes in bytes\n"
	     "  --bytes           print sizes in bytes\n"
	     "  --raw             print columns without alignment, without a unit\n"
	     "  --noheadings      print no header of columns\n"
	     "  --output COLUMNS  print these columns only, separated by commas\n"
	     "  --sysroot DIR     read DIR/sys, DIR/proc and so on (also AERATOR_SYSROOT)\n"
	     "  --help, --version\n"
	     "\n"
	     "Exit status: 0, 1 after a warning or an error on stderr, 2 for a wrong command\n"
	     "line. See aerator(1).");
	return TOOL_FINE;
}

static const struct tool_verb *main_verb(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static bool main_has(int argc, char **argv, const char *option)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], option))
			return true;
	return false;
}

/* Move the verb to the front of the options that are before it. */
static void main_lead(int argc, char **argv)
{
	char *verb;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++)
		if (!strcmp(argv[i], "--sysroot") || !strcmp(argv[i], "--output"))
			i++;
	if (i >= argc)
		return;
	verb = argv[i];
	memmove(&argv[2], &argv[1], (i - 1) * sizeof(*argv));
	argv[1] = verb;
}

static int main_run(int argc, char **argv)
{
	const struct tool_verb *verb = &verbs[0];

	if (main_has(argc, argv, "--help"))
		return main_help();
	if (main_has(argc, argv, "--version")) {
		puts("aerator " TOOL_VERSION);
		return TOOL_FINE;
	}
	main_lead(argc, argv);
	/* Without a verb, or with options alone, it is the first one. */
	if (argc < 2 || argv[1][0] == '-')
		return verb->run(argc, argv);
	verb = main_verb(argv[1]);
	if (!verb)
		return tool_usage("verb '%s' is unknown", argv[1]);
	return verb->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	const char *sysroot = getenv("AERATOR_SYSROOT");

	if (sysroot)
		tool_options.sysroot = sysroot;
	return tool_finish(main_run(argc, argv));
}
