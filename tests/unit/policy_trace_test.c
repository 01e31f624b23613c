// SPDX-License-Identifier: GPL-2.0
/* The policy on recorded traces of guests, in traces/. */
#include <stdlib.h>
#include "policy_guest_fixture.h"
#include "trace.h"

static struct trace trace;

static void open_trace(const char *name)
{
	char path[256];

	trace_free(&trace);
	snprintf(path, sizeof(path), TRACES "/%s.txt", name);
	if (trace_read(&trace, path)) {
		printf("Bail out! no trace %s\n", name);
		exit(EXIT_FAILURE);
	}
}

static void replay(enum model_driver driver, enum model_intake in)
{
	const struct trace_moment *m = trace.moments;

	guest_start(driver, in, m->blocks);
	for (unsigned int i = 0; i < trace.nr; i++, m++)
		model_change(&guest, m->ms, m->free, m->blocks);
	clock_ms = trace.moments[trace.nr - 1].ms;
	guest_pass(MINUTE / 2);
}

/* The cost in pages times ms. */
static double cost(void)
{
	return guest.held + (double)guest.refaulted * guest.limits.refault_ms;
}

static double optimum(void)
{
	double held;
	u64 refaulted;

	trace_optimum(&trace, guest.limits.refault_ms, &held, &refaulted);
	return held + (double)refaulted * guest.limits.refault_ms;
}

/**
 * struct bound - the limits of a trace's cost, in percent of the optimum
 * @name: name of the trace
 * @treated: limit with the patch
 * @reporting: limit on a stock kernel
 */
struct bound {
	const char *name;
	unsigned int treated;
	unsigned int reporting;
};

static const struct bound bounds[] = {
	{ "churn-0.1", 155, 165 },
	{ "churn-1", 145, 155 },
	{ "churn-3", 112, 122 },
	{ "pattern", 110, 110 },
	{ "file", 110, 155 },
};

/* In the end nothing is raw, and the driver is idle. */
static void check_rest(void)
{
	guest_pass(2 * MINUTE);
	check_eq(model_raw(&guest), 0);
	check(model_rests(&guest));
}

static void check_bound(const char *name, enum model_intake in, unsigned int most)
{
	double best, rival;

	replay(MODEL_BALLOON, in);
	rival = cost();
	replay(MODEL_AERATOR, in);
	best = optimum();
	check_note("%s, %s: %.0f %% of the optimum, virtio_balloon %.0f; most %u", name,
		   intakes[in], 100 * cost() / best, 100 * rival / best, most);
	check(100 * cost() <= most * best);
	check(cost() < rival);
	check_rest();
}

TEST(policy_traces_cost_little_more_than_the_optimum)
{
	for (unsigned int i = 0; i < ARRAY_LEN(bounds); i++) {
		open_trace(bounds[i].name);
		check_bound(bounds[i].name, MODEL_TREATED, bounds[i].treated);
		check_bound(bounds[i].name, MODEL_REPORTING, bounds[i].reporting);
	}
}

/* None of the memory is allocated again, so the optimum costs nothing. */
TEST(policy_trace_of_a_release)
{
	double rival;

	open_trace("release");
	for_each_intake(in) {
		replay(MODEL_BALLOON, in);
		rival = cost();
		replay(MODEL_AERATOR, in);
		check_note("%s: %.1f %% of virtio_balloon", intakes[in], 100 * cost() / rival);
		check(cost() < rival / 20);
		check_eq(guest.refaulted, 0);
		check_rest();
	}
}

/* 12 MiB that are allocated and freed are below the noise: few samples, few reports. */
TEST(policy_trace_of_noise)
{
	open_trace("small");
	for_each_intake(in) {
		replay(MODEL_AERATOR, in);
		check_note("%s: %u looks, %llu MiB", intakes[in], guest.looks,
			   guest.refaulted / MIB(1));
		check(guest.looks < 30 * 20);
		check(guest.refaulted <= MIB(120));
		check_rest();
	}
}
