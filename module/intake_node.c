// SPDX-License-Identifier: GPL-2.0
/*
 * What pacing knows of the guest's NUMA nodes: one policy each.
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
#define INTAKE_NODE_SLACK_PAGES	(SZ_16M >> PAGE_SHIFT)
#define INTAKE_NODE_SLACK_PART		128

/**
 * intake_node_after - the next node that has memory
 * @p: the pacing
 * @n: the one before, NULL for the first
 *
 * Context: any; only under @p->lock it has memory for longer than a moment.
 *
 * Return: the node, NULL behind the last.
 */
struct intake_node *intake_node_after(const struct intake_pacing *p, struct intake_node *n)
{
	struct intake_node *end = p->nodes + nr_node_ids;

	for (n = n ? n + 1 : p->nodes; n < end; n++)
		if (n->present)
			return n;
	return NULL;
}

static int intake_node_id(const struct intake_pacing *p, const struct intake_node *n)
{
	return n - p->nodes;
}

/**
 * intake_nodes_alloc - room for all nodes that this guest may ever have
 *
 * Context: may sleep.
 *
 * Return: the nodes, none of them with memory; NULL without memory for them. To be
 * freed with kvfree().
 */
struct intake_node *intake_nodes_alloc(void)
{
	return kvcalloc(nr_node_ids, sizeof(struct intake_node), GFP_KERNEL);
}

/**
 * intake_nodes_start - forget all history
 * @p: the pacing
 *
 * Context: under @p->lock.
 */
void intake_nodes_start(struct intake_pacing *p)
{
	unsigned int nid;

	lockdep_assert_held(&p->lock);
	for (nid = 0; nid < nr_node_ids; nid++)
		p->nodes[nid].present = false;
}

static void intake_node_appear(struct intake_node *n, int nid, u64 now)
{
	u64 slack = min_t(u64, INTAKE_NODE_SLACK_PAGES,
			  mm_free_managed(nid) / INTAKE_NODE_SLACK_PART);

	*n = (struct intake_node) { .out = n->out, .present = true };
	policy_init(&n->policy, now, slack);
}

/*
 * What is out is free: it comes back by itself. On a node that is down to its
 * watermarks nothing is: kswapd is about to run, or does.
 */
static u64 intake_node_free(const struct intake_node *n, int nid)
{
	u64 pages = mm_free_pages(nid) + n->out;

	return pages > mm_free_watermark(nid) ? pages : 0;
}

/* To inflate the balloon is no use of memory by the guest: what is in it stays free. */
static void intake_node_level(const struct intake_pacing *p, struct intake_node *n, int nid,
			      u64 now)
{
	const struct intake *in = container_of(p, struct intake, pacing);
	u64 room = in->ops->batch ? in->ops->batch(in) : 0;
	struct policy_level level = { .free = intake_node_free(n, nid) };

	/* A zone whose batch is out is not without room for that. */
	level.blocks = mm_free_blocks(nid, in->ops->order(in), room, n->out) + n->out;
	level.treated = in->ops->treated ? in->ops->treated(in, nid) + n->out :
					   min(n->known, level.blocks);
	n->known = level.treated;
	n->ballooned = mm_ballooned_pages(nid);
	level.free += n->ballooned;
	level.blocks += n->ballooned;
	level.treated += n->ballooned;
	if (level.free < n->level.free)
		n->fell = now;
	n->level = level;
}

/* Which nodes have memory, and how much of it is free. */
static void intake_nodes_level(struct intake_pacing *p, u64 now)
{
	struct intake_node *n = p->nodes;
	unsigned int nid;

	for (nid = 0; nid < nr_node_ids; nid++, n++) {
		bool present = node_state(nid, N_MEMORY);

		if (present && !n->present)
			intake_node_appear(n, nid, now);
		n->present = present;
		if (present)
			intake_node_level(p, n, nid, now);
	}
}

/* Share out the limits: see above. */
static void intake_nodes_limit(struct intake_pacing *p, const struct intake_limits *limits)
{
	u64 behind = 0, treated = 0;
	struct intake_node *n;

	for_each_intake_node(n, p) {
		behind += n->level.free - n->ballooned;
		treated += n->level.treated - n->ballooned;
	}
	for_each_intake_node(n, p) {
		u64 others = treated - (n->level.treated - n->ballooned);

		behind -= n->level.free - n->ballooned;
		n->limits = (struct policy_limits) {
			.window_ms = limits->window_ms,
			.refault_ms = limits->refault_ms,
			.reserve = limits->reserve - min(limits->reserve, behind),
			.cap = limits->cap - min(limits->cap, others) + n->ballooned,
		};
	}
}

/**
 * intake_nodes_sample - let all policies see what is free now
 * @p: the pacing
 * @limits: what the user asked for
 *
 * Context: under @p->lock.
 *
 * Return: the time of this sample, ms.
 */
u64 intake_nodes_sample(struct intake_pacing *p, const struct intake_limits *limits)
{
	u64 now = intake_pacing_ms();
	struct intake_node *n;

	lockdep_assert_held(&p->lock);
	intake_nodes_level(p, now);
	intake_nodes_limit(p, limits);
	for_each_intake_node(n, p) {
		if (mm_pressure_felt(intake_node_id(p, n)))
			policy_press(&n->policy, now);
		policy_look(&n->policy, now, &n->level, &n->limits, &n->view);
		trace_aerator_policy(intake_node_id(p, n), &n->policy, &n->view);
	}
	return now;
}

/**
 * intake_nodes_deficit - what is surplus, and the host does not know of
 * @p: the pacing, sampled
 *
 * Context: under @p->lock.
 *
 * Return: pages.
 */
u64 intake_nodes_deficit(const struct intake_pacing *p)
{
	struct intake_node *n;
	u64 pages = 0;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		pages += n->view.deficit;
	return pages;
}

/**
 * intake_nodes_out - what is out of the allocator for a batch
 * @p: the pacing
 *
 * Context: under @p->lock.
 *
 * Return: pages.
 */
u64 intake_nodes_out(const struct intake_pacing *p)
{
	struct intake_node *n;
	u64 pages = 0;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		pages += n->out;
	return pages;
}

/**
 * intake_nodes_surplus - what is surplus, treated or not
 * @p: the pacing, sampled
 *
 * Context: under @p->lock.
 *
 * Return: pages.
 */
u64 intake_nodes_surplus(const struct intake_pacing *p)
{
	struct intake_node *n;
	u64 pages = 0;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		pages += n->view.surplus - min(n->view.surplus, n->ballooned);
	return pages;
}

/**
 * intake_nodes_wait - how long until a node has more that may be treated
 * @p: the pacing, sampled
 *
 * Nodes that have something now do not count.
 *
 * Context: under @p->lock.
 *
 * Return: milliseconds, or POLICY_NEVER if a free has to come first.
 */
unsigned int intake_nodes_wait(const struct intake_pacing *p)
{
	unsigned int wait = POLICY_NEVER;
	struct intake_node *n;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		wait = min(wait, n->view.wait_ms ?: POLICY_NEVER);
	return wait;
}

/**
 * intake_nodes_watch - how soon to look though nothing was freed
 * @p: the pacing, sampled, with nothing to wait for
 *
 * Context: under @p->lock.
 *
 * Return: milliseconds, or POLICY_NEVER if there is no need.
 */
unsigned int intake_nodes_watch(const struct intake_pacing *p)
{
	unsigned int wait = POLICY_NEVER;
	struct intake_node *n;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		wait = min(wait, n->view.watch_ms);
	return wait;
}

/**
 * intake_nodes_wake - what was refused may be tried again
 * @p: the pacing
 *
 * What is handed over next may be another batch, and of another order.
 *
 * Context: under @p->lock.
 */
void intake_nodes_wake(struct intake_pacing *p)
{
	struct intake_node *n;

	lockdep_assert_held(&p->lock);
	p->batch.refused = 0;
	for_each_intake_node(n, p)
		policy_wake(&n->policy);
}

/**
 * intake_nodes_refuse - what is surplus now cannot be treated
 * @p: the pacing, sampled
 *
 * It does not count until there is more of it, or the work wakes anew.
 *
 * Context: under @p->lock.
 */
void intake_nodes_refuse(struct intake_pacing *p)
{
	struct intake_node *n;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		policy_refuse(&n->policy, &n->view);
}

/**
 * intake_nodes_window - what a window of the policy's would have cost
 * @p: the pacing
 * @i: which, less than POLICY_WINDOWS
 * @cost: the cost, pages times ms, of all nodes
 *
 * Context: any that may take a spinlock.
 *
 * Return: true if it is the window in use, on any node.
 */
bool intake_nodes_window(struct intake_pacing *p, unsigned int i, u64 *cost)
{
	struct intake_node *n;
	bool used = false;

	*cost = 0;
	spin_lock(&p->lock);
	for_each_intake_node(n, p) {
		*cost += min(n->policy.shadows[i].cost, U64_MAX - *cost);
		used |= n->view.window_ms == policy_window(i);
	}
	spin_unlock(&p->lock);
	return used;
}

/**
 * intake_nodes_all_out - what is out of the allocator for a batch, on any node
 * @p: the pacing
 *
 * Context: any that may take a spinlock.
 *
 * Return: pages.
 */
u64 intake_nodes_all_out(struct intake_pacing *p)
{
	u64 pages;

	spin_lock(&p->lock);
	pages = intake_nodes_out(p);
	spin_unlock(&p->lock);
	return pages;
}
