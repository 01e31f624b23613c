// SPDX-License-Identifier: GPL-2.0
/* A guest with a driver and a host, see policy_guest_fixture.h. */
#include <linux/limits.h>
#include <linux/minmax.h>
#include <stdio.h>
#include <stdlib.h>
#include "policy_guest_fixture.h"

/* As in gate.c, and what a batch and the host's part in it take, if no test has its own. */
#define GATE_SOON_MS		10
#define GATE_AWAKE_MS		113U
#define GATE_BATCH		MIB(128)
#define GATE_BATCH_MS		5

/* A churn gets its memory in so many parts. */
#define TOUCHES			16

/* As in mm/page_reporting.c. */
#define BALLOON_DELAY_MS	2000
#define BALLOON_PART		16

/* What can be treated and is not. */
u64 guest_raw(const struct guest *g)
{
	return g->level.blocks - g->level.treated;
}

static void guest_treat(struct guest *g, u64 pages)
{
	g->level.treated += pages;
	g->treated += pages;
	g->treated_at = g->now;
}

static void gate_sample(struct guest *g)
{
	policy_sample(&g->policy, g->now, &g->level, &g->limits);
}

static u64 gate_allowance(struct guest *g)
{
	gate_sample(g);
	return min3(rate_allowance(&g->bucket, g->now,
				   policy_deficit(&g->policy, g->now, &g->limits),
				   g->rate_limit),
		    guest_raw(g), GATE_BATCH);
}

static void gate_begin(struct guest *g)
{
	g->works++;
	if (g->awake)
		return;
	g->awake = true;
	gate_sample(g);
	policy_request(&g->policy, g->now, &g->limits);
}

static void gate_watch(struct guest *g)
{
	unsigned int ms = policy_watch(&g->policy, g->now, &g->limits);

	g->watch_at = ms == POLICY_NEVER ? GUEST_NEVER : g->now + ms;
}

/* A look while the work rests. */
static void gate_look_back(struct guest *g)
{
	g->watch_at = GUEST_NEVER;
	if (g->awake)
		return;
	g->looks++;
	g->awake = gate_allowance(g);
	if (g->awake)
		g->work_at = g->now;
	else
		gate_watch(g);
}

static void gate_end(struct guest *g)
{
	unsigned int ms;
	u64 deficit;

	gate_sample(g);
	deficit = policy_deficit(&g->policy, g->now, &g->limits);
	ms = policy_wait(&g->policy, g->now, &g->limits);
	if (deficit)
		ms = min(rate_wait(&g->bucket, g->now, deficit, g->rate_limit),
			 (u64)max(g->limits.window_ms, GATE_AWAKE_MS));
	g->awake = ms != POLICY_NEVER;
	g->work_at = g->awake ? g->now + max(ms, 1U) : GUEST_NEVER;
	if (!g->awake)
		gate_watch(g);
}

/* A pass goes on, batch by batch, as long as it is allowed to. */
static void gate_work(struct guest *g)
{
	u64 pages;

	if (!g->passing)
		gate_begin(g);
	pages = gate_allowance(g);
	if (pages) {
		guest_treat(g, pages);
		policy_treat(&g->policy, g->now, pages, &g->limits);
		rate_pay(&g->bucket, g->now, pages, g->rate_limit);
		g->passing = true;
		g->pass += pages;
		g->work_at = g->now + g->batch_ms;
		return;
	}
	if (g->passing) {
		policy_passed(&g->policy, g->now, g->pass, &g->limits);
		g->passes++;
	}
	g->passing = false;
	g->pass = 0;
	gate_end(g);
}

/* A sixteenth of the lists, and again after two seconds if that left something. */
static void balloon_work(struct guest *g)
{
	g->works++;
	g->passes++;
	guest_treat(g, min(guest_raw(g), g->level.blocks / BALLOON_PART + 1));
	g->work_at = guest_raw(g) ? g->now + BALLOON_DELAY_MS : GUEST_NEVER;
}

static void guest_advance(struct guest *g, u64 now)
{
	g->held += guest_raw(g) * (now - g->now);
	g->now = now;
}

/* Let the driver run, while memory stays as it is. */
void guest_until(struct guest *g, u64 now)
{
	while (min(g->work_at, g->watch_at) < now) {
		guest_advance(g, min(g->work_at, g->watch_at));
		if (g->work_at > g->now)
			gate_look_back(g);
		else if (g->driver == GUEST_AERATOR)
			gate_work(g);
		else
			balloon_work(g);
	}
	guest_advance(g, now);
}

static void guest_freed(struct guest *g)
{
	if (g->work_at == GUEST_NEVER)
		g->work_at = g->now + (g->driver == GUEST_AERATOR ? GATE_SOON_MS :
				       BALLOON_DELAY_MS);
}

/* From then on this much is free. */
void guest_change(struct guest *g, u64 now, u64 free, u64 blocks)
{
	u64 before = g->level.blocks;
	u64 taken;

	guest_until(g, now);
	taken = g->level.treated - min(g->level.treated, blocks);
	g->level = (struct policy_level) {
		.free = free, .blocks = blocks, .treated = g->level.treated - taken,
	};
	g->taken_back += taken;
	if (blocks > before)
		guest_freed(g);
}

/* Count what comes now, not what was. */
void guest_count_anew(struct guest *g)
{
	g->treated = 0;
	g->taken_back = 0;
	g->held = 0;
	g->works = 0;
	g->looks = 0;
	g->passes = 0;
	g->treated_at = 0;
}

/* Nothing will run until something is freed. */
bool guest_rests(const struct guest *g)
{
	return g->work_at == GUEST_NEVER && g->watch_at == GUEST_NEVER;
}

/* Little by little. */
static void guest_touch(struct guest *g, u64 pages)
{
	u64 free = g->level.free, start = g->now;

	for (unsigned int i = 1; i <= TOUCHES; i++) {
		u64 left = free - pages * i / TOUCHES;

		guest_change(g, start + g->touch_ms * i / TOUCHES, left, left);
	}
}

/*
 * Take @pages for @use_ms and free them for @gap_ms, again and again; all is free at
 * the end. What the first round takes back the guest could not know. Returns how much
 * of the others that was, in thousandths.
 */
unsigned int guest_churn(struct guest *g, u64 pages, unsigned int gap_ms,
			 unsigned int use_ms, unsigned int rounds)
{
	u64 free = g->level.free;

	for (unsigned int i = 0; i <= rounds; i++) {
		guest_touch(g, pages);
		if (!i)
			guest_count_anew(g);
		guest_change(g, g->now + use_ms, free, free);
		if (i < rounds)
			guest_until(g, g->now + gap_ms);
	}
	return g->taken_back * 1000 / pages / rounds;
}

/* It has booted, and the driver is loaded. */
void guest_start(struct guest *g, enum guest_driver driver, unsigned int window_ms,
		 u64 free)
{
	*g = (struct guest) {
		.driver = driver,
		.limits = { .window_ms = window_ms, .cap = U64_MAX },
		.level = { .free = free, .blocks = free },
		.batch_ms = GATE_BATCH_MS,
		.now = T0,
		.work_at = T0,
		.watch_at = GUEST_NEVER,
	};
	policy_init(&g->policy, T0, SLACK);
}

/* Read one of traces/; the program ends if that is not to be had. */
void trace_read(struct trace *trace, const char *name)
{
	char path[256], line[160];
	struct moment *m = trace->moments;
	FILE *file;

	snprintf(path, sizeof(path), TRACES "/%s.txt", name);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file) &&
	       m < trace->moments + ARRAY_LEN(trace->moments))
		if (sscanf(line, "%llu %llu %llu", &m->ms, &m->free, &m->blocks) == 3)
			m++;
	trace->name = name;
	trace->nr = m - trace->moments;
	if (!trace->nr || !feof(file)) {
		printf("Bail out! %s is missing, or too long\n", path);
		exit(EXIT_FAILURE);
	}
	fclose(file);
}

/* All of it, to its last moment. */
void trace_replay(const struct trace *trace, struct guest *g)
{
	for (const struct moment *m = trace->moments; m < trace->moments + trace->nr; m++)
		guest_change(g, T0 + m->ms, m->free, m->blocks);
}

/* When memory rose for the last time, but for what is noise. */
u64 trace_last_free(const struct trace *trace)
{
	unsigned int i;

	for (i = trace->nr - 1; i; i--)
		if (trace->moments[i].blocks >= trace->moments[i - 1].blocks + SLACK)
			break;
	return T0 + trace->moments[i].ms;
}
