// SPDX-License-Identifier: GPL-2.0
/* Tracepoints for the reactor's transitions. */
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/string.h>
#include "reactor.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static bool trace_wanted(void)
{
	return trace_aerator_fill_enabled() || trace_aerator_react_enabled() ||
	       trace_aerator_settle_enabled() || trace_aerator_decant_enabled();
}

/*
 * Read node and zone at the end of fill, while the blocks are isolated: after decant
 * their memory may be unplugged. If tracing begins in the middle of a batch, node and
 * zone of this batch are unknown.
 */
static void trace_note_origin(struct reactor *r)
{
	struct page *page;

	r->node = NUMA_NO_NODE;
	r->zone = "?";
	if (!trace_wanted())
		return;
	page = pfn_to_page(r->runs[0].pfn);
	r->node = page_to_nid(page);
	r->zone = page_zone(page)->name;
}

/**
 * trace_stage_left - the reactor's observer
 * @r: the reactor
 * @stage: the stage that the batch left
 * @ns: time in @stage, nanoseconds
 *
 * A fill that found no block is not traced.
 */
void trace_stage_left(struct reactor *r, enum reactor_stage stage, u64 ns)
{
	switch (stage) {
	case REACTOR_FILL:
		if (!r->blocks)
			break;
		trace_note_origin(r);
		trace_aerator_fill(r, ns);
		break;
	case REACTOR_REACT:
		trace_aerator_react(r, ns);
		break;
	case REACTOR_SETTLE:
		trace_aerator_settle(r, ns);
		break;
	case REACTOR_DECANT:
		trace_aerator_decant(r, ns);
		if (r->stage == REACTOR_IDLE)
			trace_aerator_idle(r);
		break;
	default:
		break;
	}
}
