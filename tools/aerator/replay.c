// SPDX-License-Identifier: GPL-2.0
/*
 * replay: what each driver and setting would have made of a recorded trace. The policy is the
 * module's own; tools/replay/model.h says what is in the model, and what is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include "json.h"
#include "table.h"
#include "tool.h"
#include "../replay/model.h"
#include "../replay/trace.h"

/* As in tools/replay/replay.c: free memory stays constant for so long after the trace. */
#define REPLAY_TAIL_MS		30000
#define REPLAY_REFAULT_MS	2000
#define REPLAY_PAGES_PER_GIB	262144.0

/**
 * struct replay_driver - a driver with its settings
 * @name: for people, and in JSON
 * @driver: the driver
 * @intake: its source of blocks
 * @window_ms: the parameter window_ms
 */
struct replay_driver {
	const char *name;
	enum model_driver driver;
	enum model_intake intake;
	unsigned int window_ms;
};

static const struct replay_driver replay_drivers[] = {
	{ "virtio_balloon", MODEL_BALLOON, MODEL_REPORTING, POLICY_WINDOW_AUTO },
	{ "aerator", MODEL_AERATOR, MODEL_REPORTING, POLICY_WINDOW_AUTO },
	{ "aerator, patched kernel", MODEL_AERATOR, MODEL_TREATED, POLICY_WINDOW_AUTO },
	{ "aerator window_ms=0", MODEL_AERATOR, MODEL_REPORTING, 0 },
	{ "aerator window_ms=300", MODEL_AERATOR, MODEL_REPORTING, 300 },
	{ "aerator window_ms=1200", MODEL_AERATOR, MODEL_REPORTING, 1200 },
	{ "aerator window_ms=4800", MODEL_AERATOR, MODEL_REPORTING, 4800 },
};

static const struct table_column replay_columns[] = {
	{ "DRIVER", false }, { "HELD-GIB*S", true }, { "REFAULTED-GIB", true },
	{ "COST", true }, { "OF-BEST", true },
};

/**
 * struct replay_result - what a driver has made of the trace
 * @held: free memory that the host held for nothing, GiB times seconds
 * @refaulted: memory that was faulted in again, GiB
 * @cost: both, with the price of a refault
 */
struct replay_result {
	double held;
	double refaulted;
	double cost;
};

static void replay_result(struct replay_result *result, double held, double refaulted)
{
	result->held = held / REPLAY_PAGES_PER_GIB / 1000;
	result->refaulted = refaulted / REPLAY_PAGES_PER_GIB;
	result->cost = result->held + REPLAY_REFAULT_MS / 1000.0 * result->refaulted;
}

static void replay_drive(const struct replay_driver *driver, const struct trace *trace,
			 struct replay_result *result)
{
	struct model m = {
		.driver = driver->driver,
		.intake = driver->intake,
		.limits = {
			.window_ms = driver->window_ms,
			.refault_ms = REPLAY_REFAULT_MS,
			.cap = UINT64_MAX,
		},
	};
	unsigned int i;

	model_start(&m, trace->moments[0].free, trace->moments[0].blocks);
	for (i = 0; i < trace->nr; i++)
		model_change(&m, trace->moments[i].ms, trace->moments[i].free,
			     trace->moments[i].blocks);
	model_until(&m, trace->moments[trace->nr - 1].ms + REPLAY_TAIL_MS);
	replay_result(result, m.held, m.refaulted);
	model_stop(&m);
}

static void replay_json(const char *name, const struct replay_result *result)
{
	json_object(NULL);
	json_string("driver", name);
	json_real("held_gib_s", result->held);
	json_real("refaulted_gib", result->refaulted);
	json_real("cost", result->cost);
	json_close();
}

static void replay_line(struct table *table, const char *name,
			const struct replay_result *result, const struct replay_result *best)
{
	table_line(table);
	table_text(table, "%s", name);
	table_text(table, "%.1f", result->held);
	table_text(table, "%.2f", result->refaulted);
	table_text(table, "%.1f", result->cost);
	if (best->cost > 0)
		table_text(table, "%.2f", result->cost / best->cost);
	else
		table_text(table, "-");
}

static int replay_print(const struct replay_result *results, const struct replay_result *best)
{
	struct table *table = tool_options.json ? NULL :
			      table_new(replay_columns, ARRAY_SIZE(replay_columns));
	unsigned int i;

	if (!table) {
		json_begin();
		json_number("refault_ms", REPLAY_REFAULT_MS);
		json_array("drivers");
	}
	for (i = 0; i <= ARRAY_SIZE(replay_drivers); i++) {
		bool last = i == ARRAY_SIZE(replay_drivers);
		const char *name = last ? "best possible" : replay_drivers[i].name;

		if (table)
			replay_line(table, name, last ? best : &results[i], best);
		else
			replay_json(name, last ? best : &results[i]);
	}
	if (table)
		return table_end(table);
	json_close();
	json_end();
	return TOOL_FINE;
}

/**
 * replay_run - print what each driver and setting would have made of a trace
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int replay_run(int argc, char **argv)
{
	struct replay_result results[ARRAY_SIZE(replay_drivers)], best;
	int status = tool_parse(argc, argv, NULL, NULL);
	struct trace trace;
	double held;
	u64 refaulted;
	unsigned int i;

	if (status)
		return status;
	if (argc - optind != 1)
		return tool_usage("replay: one FILE has to be given");
	/* It says itself what is wrong. */
	if (trace_read(&trace, argv[optind]))
		return TOOL_FAILED;
	for (i = 0; i < ARRAY_SIZE(replay_drivers); i++)
		replay_drive(&replay_drivers[i], &trace, &results[i]);
	trace_optimum(&trace, REPLAY_REFAULT_MS, &held, &refaulted);
	replay_result(&best, held, refaulted);
	trace_free(&trace);
	return replay_print(results, &best);
}
