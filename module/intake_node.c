// SPDX-License-Identifier: GPL-2.0
/*
 * The gate's view of the guest's NUMA nodes: one policy each.
 *
 * Allocations are served by their own node first. Memory that is free on one node is
 * no cushion for what another one is about to allocate, and a node that is short of
 * memory says nothing of the others. So each node has its own history of what was
 * free, its own surplus, and its own pressure.
 *
 * What the user asked for is of the whole guest. The nodes are served in their order:
 * the first ones may treat as much as the share allows, and the reserve is what is
 * left on the last ones, where the kernel's own page reporting, which walks the zones
 * in the same order, comes last too. On a guest with one node that is just the limit.
 *
 * A node may get its memory later, or lose it. It starts without history each time.
 */
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include "intake.h"
#include "intake_node.h"
#include "intake_pacing.h"
#include "mm_ballooned.h"
#include "mm_free.h"
#include "mm_pressure.h"
#include "trace.h"

/* Free memory goes up and down by this much, or this part of it, in an idle node. */
#define GATE_SLACK_PAGES	(SZ_16M >> PAGE_SHIFT)
#define GATE_SLACK_PART		128

/**
 * gate_node_after - the next node that has memory
 * @g: the gate
 * @n: the one before, NULL for the first
 *
 * Context: any; only under the gate's lock it has memory for longer than a moment.
 *
 * Return: the node, NULL behind the last.
 */
struct gate_node *gate_node_after(const struct gate *g, struct gate_node *n)
{
	struct gate_node *end = g->nodes + nr_node_ids;

	for (n = n ? n + 1 : g->nodes; n < end; n++)
		if (n->present)
			return n;
	return NULL;
}

static int gate_node_id(const struct gate *g, const struct gate_node *n)
{
	return n - g->nodes;
}

/**
 * gate_nodes_alloc - room for all nodes that this guest may ever have
 *
 * Context: may sleep.
 *
 * Return: the nodes, none of them with memory; NULL without memory for them. To be
 * freed with kvfree().
 */
struct gate_node *gate_nodes_alloc(void)
{
	return kvcalloc(nr_node_ids, sizeof(struct gate_node), GFP_KERNEL);
}

/**
 * gate_nodes_start - forget all history
 * @g: the gate
 *
 * Context: under the gate's lock.
 */
void gate_nodes_start(struct gate *g)
{
	unsigned int nid;

	lockdep_assert_held(&g->lock);
	for (nid = 0; nid < nr_node_ids; nid++)
		g->nodes[nid].present = false;
}

static void gate_node_appear(struct gate_node *n, int nid, u64 now)
{
	u64 slack = min_t(u64, GATE_SLACK_PAGES, mm_free_managed(nid) / GATE_SLACK_PART);

	*n = (struct gate_node) { .out = n->out, .present = true };
	policy_init(&n->policy, now, slack);
}

/*
 * What is out is free: it comes back by itself. On a node that is down to its
 * watermarks nothing is: kswapd is about to run, or does.
 */
static u64 gate_node_free(const struct gate_node *n, int nid)
{
	u64 pages = mm_free_pages(nid) + n->out;

	return pages > mm_free_watermark(nid) ? pages : 0;
}

/* To inflate the balloon is no use of memory by the guest: what is in it stays free. */
static void gate_node_level(const struct gate *g, struct gate_node *n, int nid, u64 now)
{
	const struct intake *in = container_of(g, struct intake, gate);
	u64 room = in->ops->batch ? in->ops->batch(in) : 0;
	struct policy_level level = { .free = gate_node_free(n, nid) };

	/* A zone whose batch is out is not without room for that. */
	level.blocks = mm_free_blocks(nid, in->ops->order(in), room, n->out) + n->out;
	level.treated = in->ops->treated ? in->ops->treated(in, nid) + n->out :
					   min(n->known, level.blocks);
	n->known = level.treated;
	n->given = mm_ballooned_pages(nid);
	level.free += n->given;
	level.blocks += n->given;
	level.treated += n->given;
	if (level.free < n->level.free)
		n->fell = now;
	n->level = level;
}

/* Which nodes have memory, and how much of it is free. */
static void gate_nodes_level(struct gate *g, u64 now)
{
	struct gate_node *n = g->nodes;
	unsigned int nid;

	for (nid = 0; nid < nr_node_ids; nid++, n++) {
		bool present = node_state(nid, N_MEMORY);

		if (present && !n->present)
			gate_node_appear(n, nid, now);
		n->present = present;
		if (present)
			gate_node_level(g, n, nid, now);
	}
}

/* Share out the limits: see above. */
static void gate_nodes_limit(struct gate *g, const struct gate_limits *limits)
{
	u64 behind = 0, treated = 0;
	struct gate_node *n;

	for_each_gate_node(n, g) {
		behind += n->level.free - n->given;
		treated += n->level.treated - n->given;
	}
	for_each_gate_node(n, g) {
		u64 others = treated - (n->level.treated - n->given);

		behind -= n->level.free - n->given;
		n->limits = (struct policy_limits) {
			.window_ms = limits->window_ms,
			.refault_ms = limits->refault_ms,
			.reserve = limits->reserve - min(limits->reserve, behind),
			.cap = limits->cap - min(limits->cap, others) + n->given,
		};
	}
}

/**
 * gate_nodes_sample - let all policies see what is free now
 * @g: the gate
 * @limits: what the user asked for
 *
 * Context: under the gate's lock.
 *
 * Return: the time of this sample, ms.
 */
u64 gate_nodes_sample(struct gate *g, const struct gate_limits *limits)
{
	u64 now = gate_ms();
	struct gate_node *n;

	lockdep_assert_held(&g->lock);
	gate_nodes_level(g, now);
	gate_nodes_limit(g, limits);
	for_each_gate_node(n, g) {
		if (mm_pressure_felt(gate_node_id(g, n)))
			policy_press(&n->policy, now);
		policy_look(&n->policy, now, &n->level, &n->limits, &n->view);
		trace_aerator_policy(gate_node_id(g, n), &n->policy, &n->view);
	}
	return now;
}

/**
 * gate_nodes_deficit - what is surplus, and the host does not know of
 * @g: the gate, sampled
 *
 * Context: under the gate's lock.
 *
 * Return: pages.
 */
u64 gate_nodes_deficit(const struct gate *g)
{
	struct gate_node *n;
	u64 pages = 0;

	for_each_gate_node(n, g)
		pages += n->view.deficit;
	return pages;
}

/**
 * gate_nodes_out - what is out of the allocator for a batch
 * @g: the gate
 *
 * Context: under the gate's lock.
 *
 * Return: pages.
 */
u64 gate_nodes_out(const struct gate *g)
{
	struct gate_node *n;
	u64 pages = 0;

	for_each_gate_node(n, g)
		pages += n->out;
	return pages;
}

/**
 * gate_nodes_surplus - what is surplus, treated or not
 * @g: the gate, sampled
 *
 * Context: under the gate's lock.
 *
 * Return: pages.
 */
u64 gate_nodes_surplus(const struct gate *g)
{
	struct gate_node *n;
	u64 pages = 0;

	for_each_gate_node(n, g)
		pages += n->view.surplus - min(n->view.surplus, n->given);
	return pages;
}

/**
 * gate_nodes_wait - how long until a node has more that may be treated
 * @g: the gate, sampled
 *
 * Nodes that have something now do not count.
 *
 * Context: under the gate's lock.
 *
 * Return: milliseconds, or POLICY_NEVER if a free has to come first.
 */
unsigned int gate_nodes_wait(const struct gate *g)
{
	unsigned int wait = POLICY_NEVER;
	struct gate_node *n;

	for_each_gate_node(n, g)
		wait = min(wait, n->view.wait_ms ?: POLICY_NEVER);
	return wait;
}

/**
 * gate_nodes_watch - how soon to look though nothing was freed
 * @g: the gate, sampled, with nothing to wait for
 *
 * Context: under the gate's lock.
 *
 * Return: milliseconds, or POLICY_NEVER if there is no need.
 */
unsigned int gate_nodes_watch(const struct gate *g)
{
	unsigned int wait = POLICY_NEVER;
	struct gate_node *n;

	for_each_gate_node(n, g)
		wait = min(wait, n->view.watch_ms);
	return wait;
}

/**
 * gate_nodes_wake - what was refused may be tried again
 * @g: the gate
 *
 * What is handed over next may be another batch, and of another order.
 *
 * Context: under the gate's lock.
 */
void gate_nodes_wake(struct gate *g)
{
	struct gate_node *n;

	lockdep_assert_held(&g->lock);
	g->batch.refused = 0;
	for_each_gate_node(n, g)
		policy_wake(&n->policy);
}

/**
 * gate_nodes_refuse - what is surplus now cannot be treated
 * @g: the gate, sampled
 *
 * It does not count until there is more of it, or the work wakes anew.
 *
 * Context: under the gate's lock.
 */
void gate_nodes_refuse(struct gate *g)
{
	struct gate_node *n;

	lockdep_assert_held(&g->lock);
	for_each_gate_node(n, g)
		policy_refuse(&n->policy, &n->view);
}

/**
 * gate_window - what a window of the policy's would have cost
 * @g: the gate
 * @i: which, less than POLICY_WINDOWS
 * @cost: the cost, pages times ms, of all nodes
 *
 * Context: any that may take a spinlock.
 *
 * Return: true if it is the window in use, on any node.
 */
bool gate_window(struct gate *g, unsigned int i, u64 *cost)
{
	struct gate_node *n;
	bool used = false;

	*cost = 0;
	spin_lock(&g->lock);
	for_each_gate_node(n, g) {
		*cost += min(n->policy.shadows[i].cost, U64_MAX - *cost);
		used |= n->view.window_ms == policy_window(i);
	}
	spin_unlock(&g->lock);
	return used;
}

/**
 * gate_all_out - what is out of the allocator for a batch, on any node
 * @g: the gate
 *
 * Context: any that may take a spinlock.
 *
 * Return: pages.
 */
u64 gate_all_out(struct gate *g)
{
	u64 pages;

	spin_lock(&g->lock);
	pages = gate_nodes_out(g);
	spin_unlock(&g->lock);
	return pages;
}
