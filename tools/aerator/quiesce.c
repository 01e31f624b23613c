// SPDX-License-Identifier: GPL-2.0
/*
 * quiesce and resume: pause reporting, and wait until nothing is in flight.
 *
 * It relies on the parameter enabled: with 0, no batch begins. One that was allowed before
 * may still begin a moment later; so the device has to be seen idle, with no batch ended
 * meanwhile, several times in a row.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "device.h"
#include "settings.h"
#include "source.h"
#include "source_child.h"
#include "tool.h"

#define QUIESCE_SAMPLES	5
#define QUIESCE_INTERVAL_MS	50
#define QUIESCE_WRITE	5
#define QUIESCE_MOST	3600

static unsigned int quiesce_seconds;

static int quiesce_option(int option, const char *value)
{
	uint64_t seconds;

	(void)option;
	if (!source_within(value, 1, QUIESCE_MOST, &seconds))
		return tool_usage("--timeout: 1 to %u seconds are allowed", QUIESCE_MOST);
	quiesce_seconds = seconds;
	return TOOL_FINE;
}

static int quiesce_enable(const char *text)
{
	int err = source_write(SETTINGS_FOLDER "/enabled", text, QUIESCE_WRITE);

	if (err == -EACCES)
		return tool_error("only root can do that");
	if (err)
		return tool_error("%s/enabled: %s", SETTINGS_FOLDER, strerror(-err));
	return TOOL_FINE;
}

static void quiesce_sleep(void)
{
	const struct timespec pause = { .tv_nsec = QUIESCE_INTERVAL_MS * 1000000L };

	nanosleep(&pause, NULL);
}

/* Whether the device is idle; the number of batches that have ended goes to @cycles. */
static int quiesce_sample(bool *idle, uint64_t *cycles)
{
	struct devices devices;

	if (devices_need(&devices, false))
		return TOOL_FAILED;
	*idle = !strcmp(devices.list[0].values[DEVICE_STAGE].word, "idle");
	*cycles = devices.list[0].values[DEVICE_CYCLES].number;
	devices_free(&devices);
	return TOOL_FINE;
}

static int quiesce_wait(void)
{
	long long deadline = source_child_now() + quiesce_seconds * 1000LL;
	uint64_t cycles = 0, before = 0;
	unsigned int samples = 0;
	bool idle;

	while (samples < QUIESCE_SAMPLES) {
		if (quiesce_sample(&idle, &cycles))
			return TOOL_FAILED;
		samples = idle && cycles == before ? samples + 1 : 0;
		before = cycles;
		if (source_child_now() > deadline)
			return tool_error("a batch is in flight after %u s; reporting stays paused",
					  quiesce_seconds);
		quiesce_sleep();
	}
	return TOOL_FINE;
}

static int quiesce_need(void)
{
	struct devices devices;
	int status = devices_need(&devices, false);

	if (!status)
		devices_free(&devices);
	return status;
}

/**
 * quiesce_run - pause reporting, and wait until nothing is in flight
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int quiesce_run(int argc, char **argv)
{
	static const struct option own[] = { { "timeout", required_argument, NULL, 't' }, {} };
	int status;

	quiesce_seconds = 30;
	status = tool_parse(argc, argv, own, quiesce_option);
	if (status)
		return status;
	if (optind < argc)
		return tool_usage("quiesce: '%s' is too much", argv[optind]);
	if (quiesce_need() || quiesce_enable("0\n"))
		return TOOL_FAILED;
	return quiesce_wait();
}

/**
 * resume_run - end what quiesce has begun
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int resume_run(int argc, char **argv)
{
	int status = tool_no_arguments(argc, argv);

	if (status)
		return status;
	return quiesce_need() ?: quiesce_enable("1\n");
}
