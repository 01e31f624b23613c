// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of a policy that knows the future of a trace: no policy can cost less.
 *
 * Allocations use raw memory first, so free memory is a stack: memory that was freed last is
 * used first. Each piece of the stack is free for an interval. Its cost is the minimum of
 * holding it for that interval and of faulting it in again. A piece that is never used again
 * costs nothing, and memory that is free from the start is treated already.
 */
#include <linux/minmax.h>
#include <stdlib.h>
#include "memory.h"
#include "trace.h"

/* A piece that was free from the start. */
#define OPTIMUM_ALWAYS		(~0ULL)

struct optimum_piece {
	u64 pages;
	u64 since;
};

/**
 * struct optimum - the stack, and what it has cost
 * @pieces: the pieces, the oldest one first
 * @nr: number of pieces
 * @refault_ms: cost of a refault, as ms of holding the memory
 * @held: memory held for nothing so far, pages times ms
 * @refaulted: memory faulted in again so far, pages
 */
struct optimum {
	struct optimum_piece *pieces;
	unsigned int nr;
	unsigned int refault_ms;
	double held;
	u64 refaulted;
};

static void optimum_use(struct optimum *o, u64 now, u64 pages)
{
	struct optimum_piece *piece = &o->pieces[o->nr - 1];
	u64 ms = now - piece->since;

	if (piece->since == OPTIMUM_ALWAYS || ms >= o->refault_ms)
		o->refaulted += pages;
	else
		o->held += (double)pages * ms;
	piece->pages -= pages;
	if (!piece->pages)
		o->nr--;
}

static void optimum_fall(struct optimum *o, u64 now, u64 pages)
{
	while (pages) {
		u64 used = min(pages, o->pieces[o->nr - 1].pages);

		optimum_use(o, now, used);
		pages -= used;
	}
}

static void optimum_rise(struct optimum *o, u64 since, u64 pages)
{
	if (pages)
		o->pieces[o->nr++] = (struct optimum_piece) { pages, since };
}

/**
 * trace_optimum - compute the lower bound of a trace's cost
 * @trace: the trace
 * @refault_ms: cost of a refault, as ms of holding the memory
 * @held: set to the memory that the host holds for nothing, pages times ms
 * @refaulted: set to the memory that is faulted in again, pages
 */
void trace_optimum(const struct trace *trace, unsigned int refault_ms, double *held,
		   u64 *refaulted)
{
	struct optimum o = {
		.pieces = memory_resize(NULL, trace->nr, sizeof(*o.pieces)),
		.refault_ms = refault_ms,
	};
	const struct trace_moment *last = trace->moments;
	unsigned int i;

	optimum_rise(&o, OPTIMUM_ALWAYS, last->blocks);
	for (i = 1; i < trace->nr; i++, last++) {
		const struct trace_moment *m = last + 1;

		if (m->blocks > last->blocks)
			optimum_rise(&o, m->ms, m->blocks - last->blocks);
		else
			optimum_fall(&o, m->ms, last->blocks - m->blocks);
	}
	*held = o.held;
	*refaulted = o.refaulted;
	free(o.pieces);
}
