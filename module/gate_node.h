/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_GATE_NODE_H
#define AERATOR_GATE_NODE_H

#include <linux/types.h>
#include "policy.h"

struct gate;

/**
 * struct gate_limits - what the user asked for, of the whole guest
 * @window_ms: how long memory has to stay free before it is surplus
 * @reserve: free memory that is left alone, pages
 * @cap: most pages that are treated at a time
 * @rate: most pages treated a second, 0 for no limit
 */
struct gate_limits {
	unsigned int window_ms;
	u64 reserve;
	u64 cap;
	u64 rate;
};

/**
 * struct gate_node - a NUMA node, as the gate sees it
 * @policy: how much of its memory may be treated, and when
 * @level: its memory at the last sample
 * @limits: this node's part of what the user asked for, at the last sample
 * @known: what is treated of it, pages, where the allocator does not count that
 * @out: pages that are out of the allocator for a batch
 * @done: pages that the running pass treated
 * @late: the last survey found that more is raw than was thought when it woke
 * @present: it has memory; without, all else means nothing
 *
 * All of it is covered by the gate's lock.
 */
struct gate_node {
	struct policy policy;
	struct policy_level level;
	struct policy_limits limits;
	u64 known;
	u64 out;
	u64 done;
	bool late;
	bool present;
};

struct gate_node *gate_node_after(const struct gate *g, struct gate_node *n);

/* The nodes that had memory at the last sample. */
#define for_each_gate_node(n, g)					\
	for (n = gate_node_after(g, NULL); n; n = gate_node_after(g, n))

struct gate_node *gate_nodes_alloc(void);
void gate_nodes_start(struct gate *g);
u64 gate_nodes_sample(struct gate *g, const struct gate_limits *limits);
u64 gate_nodes_deficit(const struct gate *g, u64 now);
u64 gate_nodes_out(const struct gate *g);
u64 gate_nodes_surplus(const struct gate *g, u64 now);
unsigned int gate_nodes_wait(const struct gate *g, u64 now);
unsigned int gate_nodes_watch(const struct gate *g, u64 now);
void gate_nodes_wake(struct gate *g, u64 now, bool again, u64 woken);
void gate_nodes_refuse(struct gate *g, u64 now);

#endif /* AERATOR_GATE_NODE_H */
