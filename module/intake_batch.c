// SPDX-License-Identifier: GPL-2.0
/*
 * Batches that cannot be made smaller: those of the kernel's own page reporting.
 *
 * Page reporting walks the zones in their order, and hands over the blocks of each
 * free list from its head: the hottest first, 32 at a time. The driver can take such
 * a batch or refuse it. A refusal is not free:
 *   - it ends the pass, for all zones. What is surplus on a later node is not reached
 *     as long as an earlier one has a batch that is refused.
 *   - the blocks of a refused batch are put at the tail of the free list, behind the
 *     ones that the host was told of. Allocations then take treated blocks before them,
 *     and fault in as much memory as if the batch had been taken.
 *
 * So no pass begins unless its first batch will be taken. A batch that is only partly
 * surplus has two costs. To take it costs that the guest may fault in the part that is
 * not surplus. To leave it costs that the host holds the part that is, for as long as it
 * is left. That is the ski rental problem: to leave the batch until that has cost as
 * much as taking it would is at most twice as bad as the best choice. A pass that leaves
 * raw memory ends with a refusal, and what that costs is added to the price. What the
 * waiting has cost is added up over all nodes, since all wait for the batch, and is paid
 * when it is taken.
 *
 * The reserve and the share are bounds, and nothing is paid to exceed those.
 */
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "intake.h"
#include "intake_batch.h"
#include "intake_node.h"
#include "intake_pacing.h"

/* Waiting is added up for no longer than this between two samples, ms. */
#define GATE_BATCH_GAP_MAX	(60 * MSEC_PER_SEC)

/**
 * gate_batch_sample - add up what it costs that surplus is not treated
 * @g: the gate, sampled
 * @now: milliseconds
 *
 * Context: under the gate's lock.
 */
void gate_batch_sample(struct gate *g, u64 now)
{
	struct gate_batch *b = &g->batch;
	u64 deficit = gate_nodes_deficit(g);
	u64 ms = min_t(u64, now - b->at, GATE_BATCH_GAP_MAX);

	lockdep_assert_held(&g->lock);
	b->paid = deficit ? b->paid + b->deficit * ms : 0;
	b->deficit = deficit;
	b->at = now;
}

/*
 * The node that page reporting takes its next batch from, and how large that is going
 * to be: no smaller than one that was refused, since what is raw is only estimated.
 * Nodes at their watermark are passed over by page reporting as well.
 */
static struct gate_node *gate_batch_next(const struct gate *g, u64 *pages)
{
	const struct intake *in = container_of(g, struct intake, gate);
	u64 size = max(g->batch.size, in->ops->batch(in));
	struct gate_node *n;

	for_each_gate_node(n, g) {
		*pages = n->level.blocks - n->level.treated;
		if (n->level.free == n->given || !*pages)
			continue;
		*pages = max(min(*pages, size), g->batch.refused);
		return n;
	}
	return NULL;
}

/* What a fault costs, ms of holding the memory. A flush is worth any. */
static unsigned int gate_batch_refault_ms(const struct gate *g, const struct gate_node *n)
{
	return atomic_read(&g->flushes) ? 0 : n->limits.refault_ms;
}

/* Would the reserve or the share be exceeded? */
static bool gate_batch_exceeds(const struct gate_node *n, u64 pages)
{
	return n->policy.treated + pages > n->policy.available;
}

/*
 * What it costs to take a batch, pages times ms. One that is surplus by half is taken
 * at once: to refuse it would cost as much.
 */
static u64 gate_batch_price(const struct gate *g, const struct gate_node *n, u64 pages)
{
	u64 deficit = n->view.deficit;

	return pages > 2 * deficit ? (pages - 2 * deficit) * gate_batch_refault_ms(g, n) : 0;
}

/*
 * What it costs that a pass ends with a batch that is refused, pages times ms. It does if
 * it leaves more raw than goes along with its last batch.
 */
static u64 gate_batch_refusal(const struct gate *g, u64 size)
{
	unsigned int refault_ms = 0;
	struct gate_node *n;
	u64 raw, left = 0;

	for_each_gate_node(n, g) {
		raw = n->level.blocks - n->level.treated;
		left += raw - min(raw, n->view.deficit);
		refault_ms = gate_batch_refault_ms(g, n);
	}
	return left > size / 2 ? min(left, size) * refault_ms : 0;
}

/**
 * gate_batch_wait - how long until a pass's first batch can be taken
 * @g: the gate, sampled, with a deficit
 *
 * Context: under the gate's lock.
 *
 * Return: milliseconds, 0 if it can be taken now, or if the intake's batches can be made
 * as small as need be; GATE_BATCH_NEVER if the reserve or
 * the share is in the way.
 */
u64 gate_batch_wait(const struct gate *g)
{
	const struct gate_batch *b = &g->batch;
	struct gate_node *n;
	u64 pages, price;

	if (!gate_is_coarse(g))
		return 0;
	n = gate_batch_next(g, &pages);
	/* Where treated blocks are only estimated there may be some all the same. */
	if (!n)
		return 0;
	if (gate_batch_exceeds(n, pages))
		return GATE_BATCH_NEVER;
	price = gate_batch_price(g, n, pages) + gate_batch_refusal(g, pages);
	if (price <= b->paid || !b->deficit)
		return 0;
	return div64_u64(price - b->paid + b->deficit - 1, b->deficit);
}

/**
 * gate_batch_allows - is a batch of page reporting's to be taken?
 * @g: the gate, sampled
 * @n: the node that it is from
 * @pages: how much it is
 *
 * Context: under the gate's lock. What taking it costs is paid if it is.
 *
 * Return: true if it is.
 */
bool gate_batch_allows(struct gate *g, struct gate_node *n, u64 pages)
{
	struct gate_batch *b = &g->batch;
	u64 price = gate_batch_price(g, n, pages);

	lockdep_assert_held(&g->lock);
	/* Behind the last one nothing raw is left: to refuse it would leave no cushion. */
	if (pages >= n->level.blocks - n->level.treated && n->view.deficit)
		price = 0;
	b->size = max(b->size, pages);
	b->refused = gate_batch_exceeds(n, pages) || price > b->paid ? pages : 0;
	if (b->refused)
		return false;
	b->paid -= price;
	return true;
}
