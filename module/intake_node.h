/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_NODE_H
#define AERATOR_INTAKE_NODE_H

#include <linux/types.h>
#include "policy.h"

struct intake_pacing;

/**
 * struct intake_limits - the user's settings, for the whole guest
 * @window_ms: how long memory has to be free before it is surplus, or POLICY_WINDOW_AUTO
 * @refault_ms: cost of the refault of a page: as much as keeping a free page in the
 *	host for so many ms
 * @reserve: free memory that is never surplus, pages
 * @cap: upper limit of treated memory, pages
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
 * struct intake_node - state of pacing for a NUMA node
 * @policy: decides how much of the node's memory may be treated, and when
 * @level: the last sample, with the pages in the balloon
 * @view: the policy's decision after the last sample
 * @limits: the node's share of the user's settings, at the last sample
 * @ballooned: pages in the balloon, or hinted to a migration; count as free and treated
 * @last_fall: time of the last sample that showed a fall of free memory, ms
 * @known: treated pages, by the last survey (on patched kernels: the last sample) and later
 *	batches
 * @isolated: pages that are out of the allocator for a batch
 * @done: pages that the running pass treated
 * @present: the node has memory; if not, the other fields are not valid
 *
 * All fields are protected by the lock of &struct intake_pacing.
 */
struct intake_node {
	struct policy policy;
	struct policy_level level;
	struct policy_limits limits;
	struct policy_view view;
	u64 ballooned;
	u64 last_fall;
	u64 known;
	u64 isolated;
	u64 done;
	bool present;
};

struct intake_node *intake_node_after(const struct intake_pacing *p, struct intake_node *n);

/* The nodes that had memory at the last sample. */
#define for_each_intake_node(n, p)					\
	for (n = intake_node_after(p, NULL); n; n = intake_node_after(p, n))

struct intake_limits intake_limits(const struct intake_pacing *p);
struct intake_node *intake_nodes_alloc(void);
void intake_nodes_start(struct intake_pacing *p);
u64 intake_nodes_sample(struct intake_pacing *p, const struct intake_limits *limits);
u64 intake_nodes_deficit(const struct intake_pacing *p);
void intake_nodes_isolate(struct intake_pacing *p, int nid, s64 pages);
u64 intake_nodes_isolated(const struct intake_pacing *p);
u64 intake_nodes_surplus(const struct intake_pacing *p);
unsigned int intake_nodes_wait(const struct intake_pacing *p);
unsigned int intake_nodes_watch(const struct intake_pacing *p);
void intake_nodes_wake(struct intake_pacing *p);
void intake_nodes_defer(struct intake_pacing *p);

#endif /* AERATOR_INTAKE_NODE_H */
