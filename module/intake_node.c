// SPDX-License-Identifier: GPL-2.0
/*
 * Per-node state of pacing: one policy for each NUMA node.
 *
 * An allocation is served by the local node first. So free memory on one node is of no
 * use to a workload on another node, and memory pressure on one node says nothing about
 * the others. Each node has therefore its own history of free memory, its own surplus,
 * and its own pressure.
 *
 * The user's settings apply to the whole guest and are divided here. Nodes are served in
 * ascending order: the first nodes may use up the share, and the last nodes keep the
 * reserve. The kernel's own page reporting walks the zones in the same order. On a guest
 * with one node, the node's limits are the user's settings.
 *
 * A node may get memory after boot, or lose it. Its history is empty each time.
 */
#include <linux/atomic.h>
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
#include "params.h"
#include "trace.h"

/*
 * Noise threshold: free memory of an idle node changes by less than 16 MiB, or 1/128 of
 * the node's memory if that is less.
 */
#define INTAKE_NODE_SLACK_PAGES	(SZ_16M >> PAGE_SHIFT)
#define INTAKE_NODE_SLACK_PART		128

/**
 * intake_node_after - the next node that has memory
 * @p: the pacing
 * @n: the node before, NULL for the first
 *
 * Context: any. Without @p->lock the node may lose its memory at any time.
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

static u64 mib_to_pages(unsigned int mib)
{
	return (u64)mib << (20 - PAGE_SHIFT);
}

/**
 * intake_limits - the user's settings; during a flush without window and rate
 * @p: the pacing
 *
 * Context: any.
 *
 * Return: the limits of the whole guest.
 */
struct intake_limits intake_limits(const struct intake_pacing *p)
{
	struct intake_limits limits = {
		.window_ms = READ_ONCE(aerator_params.window_ms),
		.refault_ms = READ_ONCE(aerator_params.refault_ms),
		.reserve = mib_to_pages(READ_ONCE(aerator_params.reserve_mb)),
		.rate = mib_to_pages(READ_ONCE(aerator_params.rate_mb)),
		.cap = mult_frac(totalram_pages(),
				 (unsigned long)READ_ONCE(aerator_params.share_pct), 100UL),
	};

	if (atomic_read(&p->flush.waiters)) {
		limits.window_ms = 0;
		limits.rate = 0;
	}
	return limits;
}

/**
 * intake_nodes_alloc - allocate the state of all possible nodes
 *
 * Context: may sleep.
 *
 * Return: an array of nr_node_ids nodes, none of them present, to be freed with
 * kvfree(); NULL without memory.
 */
struct intake_node *intake_nodes_alloc(void)
{
	return kvcalloc(nr_node_ids, sizeof(struct intake_node), GFP_KERNEL);
}

/**
 * intake_nodes_start - drop the history of all nodes
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

	*n = (struct intake_node) { .isolated = n->isolated, .present = true };
	policy_init(&n->policy, now, slack);
}

/*
 * Free memory of a node. Blocks of a running batch count as free: they come back without
 * a free by the guest. At or below the high watermarks free memory counts as 0: kswapd
 * runs or is about to.
 */
static u64 intake_node_free(const struct intake_node *n, int nid)
{
	u64 pages = mm_free_pages(nid) + n->isolated;

	return pages > mm_free_watermark(nid) ? pages : 0;
}

/* Treated pages, by the allocator's count, or by the last survey and later batches. */
static u64 intake_node_treated(const struct intake *in, const struct intake_node *n, int nid,
			       u64 blocks)
{
	u64 treated;

	if (!in->ops->treated)
		return min(n->known, blocks);
	treated = in->ops->treated(in, nid) + n->isolated;
	/* Between two samples only batches add to the count: what is missing was used. */
	if (treated < n->known)
		atomic64_add((n->known - treated) << PAGE_SHIFT, &in->stats->reused_bytes);
	return treated;
}

/*
 * Sample a node. Pages in the balloon count as free: inflating the balloon does not mean
 * that the guest's workload needs the memory.
 */
static void intake_node_level(const struct intake_pacing *p, struct intake_node *n, int nid,
			      u64 now)
{
	const struct intake *in = container_of(p, struct intake, pacing);
	u64 room = in->ops->batch ? in->ops->batch(in) : 0;
	struct policy_level level = { .free = intake_node_free(n, nid) };

	/* With @isolated, a zone has enough room although its blocks are in a batch. */
	level.blocks = mm_free_blocks(nid, in->ops->order(in), room, n->isolated) + n->isolated;
	level.treated = intake_node_treated(in, n, nid, level.blocks);
	n->known = level.treated;
	n->ballooned = mm_ballooned_pages(nid);
	level.free += n->ballooned;
	level.blocks += n->ballooned;
	level.treated += n->ballooned;
	if (level.free < n->level.free)
		n->last_fall = now;
	n->level = level;
}

/* Sample all nodes; a node that got its memory since the last sample starts anew. */
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

/* Divide the user's settings between the nodes, as described at the top of this file. */
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
 * intake_nodes_sample - take a sample of all nodes, and run their policies
 * @p: the pacing
 * @limits: the user's settings
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
		if (mm_pressure_recent(intake_node_id(p, n)))
			policy_pressure(&n->policy, now);
		policy_sample(&n->policy, now, &n->level, &n->limits, &n->view);
		trace_aerator_policy(intake_node_id(p, n), &n->policy, &n->view);
	}
	return now;
}

/**
 * intake_nodes_deficit - surplus that is to be treated now
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
 * intake_nodes_isolate - blocks were taken out of the allocator, or went back
 * @p: the pacing
 * @nid: node of the blocks
 * @pages: their size; negative when they went back
 *
 * Context: the intake's work.
 */
void intake_nodes_isolate(struct intake_pacing *p, int nid, s64 pages)
{
	spin_lock(&p->lock);
	p->nodes[nid].isolated += pages;
	spin_unlock(&p->lock);
}

/**
 * intake_nodes_isolated - memory that is out of the allocator for a batch
 * @p: the pacing
 *
 * Context: under @p->lock.
 *
 * Return: pages.
 */
u64 intake_nodes_isolated(const struct intake_pacing *p)
{
	struct intake_node *n;
	u64 pages = 0;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		pages += n->isolated;
	return pages;
}

/**
 * intake_nodes_surplus - surplus, treated or not, without the balloon
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
 * intake_nodes_wait - time until the next sample of a node that waits for surplus
 * @p: the pacing, sampled
 *
 * Nodes that have a deficit now do not count.
 *
 * Context: under @p->lock.
 *
 * Return: milliseconds, or POLICY_NEVER if no surplus can arise without a free.
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
 * intake_nodes_watch - time until the watch takes its next sample
 * @p: the pacing, sampled, with intake_nodes_wait() being POLICY_NEVER
 *
 * Context: under @p->lock.
 *
 * Return: milliseconds, or POLICY_NEVER if the watch is over.
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
 * intake_nodes_wake - retry refused batches and deficits
 * @p: the pacing
 *
 * The free that woke the work may have changed the kernel's next batch, and its order.
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
 * intake_nodes_defer - no pass can treat the present deficit
 * @p: the pacing, sampled
 *
 * The deficit does not count until it grows, or the work is woken again.
 *
 * Context: under @p->lock.
 */
void intake_nodes_defer(struct intake_pacing *p)
{
	struct intake_node *n;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		policy_defer(&n->policy, &n->view);
}

/**
 * intake_nodes_window - cost of a window of the policy
 * @p: the pacing
 * @i: index of the window, less than POLICY_WINDOWS
 * @cost: set to the cost so far, pages times ms, summed over all nodes
 *
 * Context: any that may take a spinlock.
 *
 * Return: true if the window is in use on any node.
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
 * intake_nodes_all_isolated - intake_nodes_isolated() for callers without the lock
 * @p: the pacing
 *
 * Context: any that may take a spinlock.
 *
 * Return: pages.
 */
u64 intake_nodes_all_isolated(struct intake_pacing *p)
{
	u64 pages;

	spin_lock(&p->lock);
	pages = intake_nodes_isolated(p);
	spin_unlock(&p->lock);
	return pages;
}
