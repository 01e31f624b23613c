// SPDX-License-Identifier: GPL-2.0
/* doctor: what is wrong, and what to do. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "doctor.h"
#include "json.h"
#include "tool.h"

static const char *const doctor_words[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_UNKNOWN] = "unknown",
};

/**
 * doctor_say - set the text of a check
 * @doctor: what is known
 * @result: the result of the check
 * @format: the text
 *
 * Return: @result.
 */
enum doctor_result doctor_say(struct doctor *doctor, enum doctor_result result,
			      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(doctor->text, sizeof(doctor->text), format, args);
	va_end(args);
	return result;
}

static void doctor_print(const struct doctor *doctor, const struct doctor_check *check,
			 enum doctor_result result)
{
	char head[32];

	if (tool_options.json) {
		json_object(NULL);
		json_string("name", check->name);
		json_string("result", doctor_words[result]);
		json_string("text", doctor->text);
		json_string("advice", result == DOCTOR_WARN ? check->advice : NULL);
		json_close();
		return;
	}
	snprintf(head, sizeof(head), "%-8s%s", doctor_words[result], check->name);
	why_wrap(head, doctor->text, 19);
	if (result == DOCTOR_WARN)
		why_wrap("", check->advice, 8);
}

static int doctor_check_all(struct doctor *doctor)
{
	bool aerator = doctor->why.device && device_is_aerator(doctor->why.device);
	int status = TOOL_FINE;
	unsigned int i;

	for (i = 0; i < doctor_nr_checks; i++) {
		const struct doctor_check *check = &doctor_checks[i];
		enum doctor_result result;

		if (check->needs_aerator && !aerator)
			continue;
		result = check->run(doctor);
		doctor_print(doctor, check, result);
		if (result == DOCTOR_WARN)
			status = TOOL_FAILED;
	}
	return status;
}

/* The release first: the list of modules is in a folder of its name. */
static void doctor_read(struct doctor *doctor)
{
	struct source *sources = doctor->sources;
	const char *release;

	source_set(&sources[DOCTOR_RELEASE], SOURCE_FILE, "/proc/sys/kernel/osrelease");
	source_fetch(&sources[DOCTOR_RELEASE], 1);
	release = sources[DOCTOR_RELEASE].text ?: "unknown\n";
	source_set(&sources[DOCTOR_MODULES], SOURCE_FILE, "/lib/modules/%.*s/modules.dep",
		   (int)strcspn(release, "\n"), release);
	source_set(&sources[DOCTOR_ORDER], SOURCE_FILE,
		   "/sys/module/page_reporting/parameters/page_reporting_order");
	source_set(&sources[DOCTOR_LOG], SOURCE_LOG, "/dev/kmsg");
	source_fetch(&sources[DOCTOR_MODULES], 1);
	source_fetch(&sources[DOCTOR_ORDER], 1);
	source_fetch(&sources[DOCTOR_LOG], 1);
}

/**
 * doctor_run - print what is wrong, and what to do
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status; TOOL_FAILED after a warning.
 */
int doctor_run(int argc, char **argv)
{
	int status = tool_no_arguments(argc, argv);
	static struct doctor doctor;

	if (status)
		return status;
	if (why_read(&doctor.why))
		return TOOL_FAILED;
	doctor_read(&doctor);
	if (tool_options.json) {
		json_begin();
		json_array("checks");
	}
	status = doctor_check_all(&doctor);
	if (tool_options.json) {
		json_close();
		json_end();
	}
	source_free(doctor.sources, DOCTOR_SOURCES);
	devices_free(&doctor.why.devices);
	return status;
}
