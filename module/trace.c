// SPDX-License-Identifier: GPL-2.0
/* From the reactor's transitions to the tracepoints. */
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
 * Looked up while the blocks are ours: at the end of the batch they went back, and
 * their memory may have been taken out of the guest. Tracing that begins in the middle
 * of a batch does not know where that is from.
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
 * @stage: the stage that it left
 * @ns: nanoseconds it spent there
 *
 * A fill that found nothing was no batch, and is not shown.
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
