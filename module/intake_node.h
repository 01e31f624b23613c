/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_NODE_H
#define AERATOR_INTAKE_NODE_H

#include <linux/types.h>
#include "policy.h"

struct intake_pacing;

/**
 * struct intake_limits - what the user asked for, of the whole guest
 * @window_ms: how long memory has to be free before it is surplus, or POLICY_WINDOW_AUTO
 * @refault_ms: what it costs to fault memory in again, in ms of the host's holding it
 * @reserve: free memory that is left alone, pages
 * @cap: most pages that are treated at a time
 * @rate: most pages treated a second, 0 for no limit
 */
struct intake_limits {
	unsigned int window_ms;
	unsigned int refault_ms;
	u64 reserve;
	u64 cap;
	u64 rate;
};

/**
 * struct intake_node - a NUMA node, as pacing sees it
 * @policy: how much of its memory may be treated, and when
 * @level: its memory at the last sample, with what is in the balloon
 * @view: what the policy made of that sample
 * @limits: this node's part of what the user asked for, at the last sample
 * @ballooned: in the balloon, or with a migration, pages; counts as free and treated
 * @fell: when free memory was last seen to fall, ms
 * @known: what is treated of it, pages, where the allocator does not count that
 * @out: pages that are out of the allocator for a batch
 * @done: pages that the running pass treated
 * @present: it has memory; without, all else means nothing
 *
 * All of it is covered by the lock of &struct intake_pacing.
 */
struct intake_node {
	struct policy policy;
	struct policy_level level;
	struct policy_limits limits;
	struct policy_view view;
	u64 ballooned;
	u64 fell;
	u64 known;
	u64 out;
	u64 done;
	bool present;
};

struct intake_node *intake_node_after(const struct intake_pacing *p, struct intake_node *n);

/* The nodes that had memory at the last sample. */
#define for_each_intake_node(n, p)					\
	for (n = intake_node_after(p, NULL); n; n = intake_node_after(p, n))

struct intake_node *intake_nodes_alloc(void);
void intake_nodes_start(struct intake_pacing *p);
u64 intake_nodes_sample(struct intake_pacing *p, const struct intake_limits *limits);
u64 intake_nodes_deficit(const struct intake_pacing *p);
u64 intake_nodes_out(const struct intake_pacing *p);
u64 intake_nodes_surplus(const struct intake_pacing *p);
unsigned int intake_nodes_wait(const struct intake_pacing *p);
unsigned int intake_nodes_watch(const struct intake_pacing *p);
void intake_nodes_wake(struct intake_pacing *p);
void intake_nodes_refuse(struct intake_pacing *p);

#endif /* AERATOR_INTAKE_NODE_H */
