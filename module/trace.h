/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM aerator

#if !defined(AERATOR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define AERATOR_TRACE_H

#include <linux/mm.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include "policy.h"
#include "reactor.h"

#ifndef AERATOR_TRACE_PROTOTYPES
#define AERATOR_TRACE_PROTOTYPES
void trace_stage_left(struct reactor *r, enum reactor_stage stage, u64 ns);
#endif

/*
 * A stage of a batch is over. reactor, cycle: numbers of the reactor, and of its batch.
 * us: microseconds in the stage. zone: zone of the batch, read from its first block; "?"
 * if tracing began after the fill. entries: buffers for the device; neighbouring blocks
 * are one entry. treated: on decant, true if the host has acknowledged the batch.
 */
DECLARE_EVENT_CLASS(aerator_stage,
	TP_PROTO(const struct reactor *r, u64 ns),
	TP_ARGS(r, ns),
	TP_STRUCT__entry(
		__field(u64, cycle)
		__field(u64, bytes)
		__field(u64, us)
		__field(unsigned int, reactor)
		__field(unsigned int, blocks)
		__field(unsigned int, entries)
		__field(int, node)
		__field(bool, treated)
		__array(char, zone, 16)
	),
	TP_fast_assign(
		__entry->cycle = r->cycle;
		__entry->bytes = r->pages << PAGE_SHIFT;
		__entry->us = div_u64(ns, NSEC_PER_USEC);
		__entry->reactor = r->index;
		__entry->blocks = r->blocks;
		__entry->entries = r->nr_runs;
		__entry->node = r->node;
		__entry->treated = r->treated;
		strscpy(__entry->zone, r->zone, sizeof(__entry->zone));
	),
	TP_printk("reactor=%u cycle=%llu bytes=%llu blocks=%u entries=%u node=%d zone=%s treated=%d us=%llu",
		  __entry->reactor, __entry->cycle, __entry->bytes,
		  __entry->blocks, __entry->entries, __entry->node,
		  __entry->zone, __entry->treated, __entry->us)
);

#define AERATOR_STAGE_EVENT(_stage)					\
	DEFINE_EVENT(aerator_stage, aerator_##_stage,			\
		     TP_PROTO(const struct reactor *r, u64 ns),		\
		     TP_ARGS(r, ns))

AERATOR_STAGE_EVENT(fill);
AERATOR_STAGE_EVENT(react);
AERATOR_STAGE_EVENT(settle);
AERATOR_STAGE_EVENT(decant);

/* The reactor became idle, after this batch. */
TRACE_EVENT(aerator_idle,
	TP_PROTO(const struct reactor *r),
	TP_ARGS(r),
	TP_STRUCT__entry(
		__field(u64, cycle)
		__field(unsigned int, reactor)
	),
	TP_fast_assign(
		__entry->cycle = r->cycle;
		__entry->reactor = r->index;
	),
	TP_printk("reactor=%u cycle=%llu", __entry->reactor, __entry->cycle)
);

/*
 * The policy sampled a node. available: bytes that could be treated; treated: the
 * reported part of it; surplus: bytes that were free for window_ms; deficit: bytes that
 * are to be treated now. All but deficit include the balloon.
 */
TRACE_EVENT(aerator_policy,
	TP_PROTO(int node, const struct policy *p, const struct policy_view *view),
	TP_ARGS(node, p, view),
	TP_STRUCT__entry(
		__field(u64, available)
		__field(u64, treated)
		__field(u64, surplus)
		__field(u64, deficit)
		__field(unsigned int, window)
		__field(int, node)
	),
	TP_fast_assign(
		__entry->available = p->available << PAGE_SHIFT;
		__entry->treated = p->treated << PAGE_SHIFT;
		__entry->surplus = view->surplus << PAGE_SHIFT;
		__entry->deficit = view->deficit << PAGE_SHIFT;
		__entry->window = view->window_ms;
		__entry->node = node;
	),
	TP_printk("node=%d window_ms=%u available=%llu treated=%llu surplus=%llu deficit=%llu",
		  __entry->node, __entry->window, __entry->available,
		  __entry->treated, __entry->surplus, __entry->deficit)
);

#endif /* AERATOR_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
