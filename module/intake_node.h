/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_NODE_H
#define AERATOR_INTAKE_NODE_H

#include <linux/types.h>
#include "policy.h"

struct gate;

/**
 * struct gate_limits - what the user asked for, of the whole guest
 * @window_ms: how long memory has to be free before it is surplus, or POLICY_WINDOW_AUTO
 * @refault_ms: what it costs to fault memory in again, in ms of the host's holding it
 * @reserve: free memory that is left alone, pages
 * @cap: most pages that are treated at a time
 * @rate: most pages treated a second, 0 for no limit
 */
struct gate_limits {
	unsigned int window_ms;
	unsigned int refault_ms;
	u64 reserve;
	u64 cap;
	u64 rate;
};

/**
 * struct gate_node - a NUMA node, as the gate sees it
 * @policy: how much of its memory may be treated, and when
 * @level: its memory at the last sample, with what is in the balloon
 * @view: what the policy made of that sample
 * @limits: this node's part of what the user asked for, at the last sample
 * @given: in the balloon, or with a migration, pages; counts as free and treated
 * @fell: when free memory was last seen to fall, ms
 * @known: what is treated of it, pages, where the allocator does not count that
 * @out: pages that are out of the allocator for a batch
 * @done: pages that the running pass treated
 * @present: it has memory; without, all else means nothing
 *
 * All of it is covered by the gate's lock.
 */
struct gate_node {
	struct policy policy;
	struct policy_level level;
	struct policy_limits limits;
	struct policy_view view;
	u64 given;
	u64 fell;
	u64 known;
	u64 out;
	u64 done;
	bool present;
};

struct gate_node *gate_node_after(const struct gate *g, struct gate_node *n);

/* The nodes that had memory at the last sample. */
#define for_each_gate_node(n, g)					\
	for (n = gate_node_after(g, NULL); n; n = gate_node_after(g, n))

struct gate_node *gate_nodes_alloc(void);
void gate_nodes_start(struct gate *g);
u64 gate_nodes_sample(struct gate *g, const struct gate_limits *limits);
u64 gate_nodes_deficit(const struct gate *g);
u64 gate_nodes_out(const struct gate *g);
u64 gate_nodes_surplus(const struct gate *g);
unsigned int gate_nodes_wait(const struct gate *g);
unsigned int gate_nodes_watch(const struct gate *g);
void gate_nodes_wake(struct gate *g);
void gate_nodes_refuse(struct gate *g);

#endif /* AERATOR_INTAKE_NODE_H */
