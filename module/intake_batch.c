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
#define INTAKE_BATCH_GAP_MAX	(60 * MSEC_PER_SEC)

/**
 * intake_batch_sample - add up what it costs that surplus is not treated
 * @p: the pacing, sampled
 * @now: milliseconds
 *
 * Context: under @p->lock.
 */
void intake_batch_sample(struct intake_pacing *p, u64 now)
{
	struct intake_batch *b = &p->batch;
	u64 deficit = intake_nodes_deficit(p);
	u64 ms = min_t(u64, now - b->at, INTAKE_BATCH_GAP_MAX);

	lockdep_assert_held(&p->lock);
	b->paid = deficit ? b->paid + b->deficit * ms : 0;
	b->deficit = deficit;
	b->at = now;
}

/*
 * The node that page reporting takes its next batch from, and how large that is going
 * to be: no smaller than one that was refused, since what is raw is only estimated.
 * Nodes at their watermark are passed over by page reporting as well.
 */
static struct intake_node *intake_batch_next(const struct intake_pacing *p, u64 *pages)
{
	const struct intake *in = container_of(p, struct intake, pacing);
	u64 size = max(p->batch.size, in->ops->batch(in));
	struct intake_node *n;

	for_each_intake_node(n, p) {
		*pages = n->level.blocks - n->level.treated;
		if (n->level.free == n->ballooned || !*pages)
			continue;
		*pages = max(min(*pages, size), p->batch.refused);
		return n;
	}
	return NULL;
}

/* What a fault costs, ms of holding the memory. A flush is worth any. */
static unsigned int intake_batch_refault_ms(const struct intake_pacing *p,
					    const struct intake_node *n)
{
	return atomic_read(&p->flushes) ? 0 : n->limits.refault_ms;
}

/* Would the reserve or the share be exceeded? */
static bool intake_batch_exceeds(const struct intake_node *n, u64 pages)
{
	return n->policy.treated + pages > n->policy.available;
}

/*
 * What it costs to take a batch, pages times ms. One that is surplus by half is taken
 * at once: to refuse it would cost as much.
 */
static u64 intake_batch_price(const struct intake_pacing *p, const struct intake_node *n,
			      u64 pages)
{
	u64 deficit = n->view.deficit;

	return pages > 2 * deficit ? (pages - 2 * deficit) * intake_batch_refault_ms(p, n) : 0;
}

/*
 * What it costs that a pass ends with a batch that is refused, pages times ms. It does if
 * it leaves more raw than goes along with its last batch.
 */
static u64 intake_batch_refusal(const struct intake_pacing *p, u64 size)
{
	unsigned int refault_ms = 0;
	struct intake_node *n;
	u64 raw, left = 0;

	for_each_intake_node(n, p) {
		raw = n->level.blocks - n->level.treated;
		left += raw - min(raw, n->view.deficit);
		refault_ms = intake_batch_refault_ms(p, n);
	}
	return left > size / 2 ? min(left, size) * refault_ms : 0;
}

/**
 * intake_batch_wait - how long until a pass's first batch can be taken
 * @p: the pacing, sampled, with a deficit
 *
 * Context: under @p->lock.
 *
 * Return: milliseconds, 0 if it can be taken now, or if the intake's batches can be made
 * as small as need be; INTAKE_BATCH_NEVER if the reserve or
 * the share is in the way.
 */
u64 intake_batch_wait(const struct intake_pacing *p)
{
	const struct intake_batch *b = &p->batch;
	struct intake_node *n;
	u64 pages, price;

	lockdep_assert_held(&p->lock);
	if (!intake_is_coarse(p))
		return 0;
	n = intake_batch_next(p, &pages);
	/* Where treated blocks are only estimated there may be some all the same. */
	if (!n)
		return 0;
	if (intake_batch_exceeds(n, pages))
		return INTAKE_BATCH_NEVER;
	price = intake_batch_price(p, n, pages) + intake_batch_refusal(p, pages);
	if (price <= b->paid || !b->deficit)
		return 0;
	return div64_u64(price - b->paid + b->deficit - 1, b->deficit);
}

/**
 * intake_batch_allows - is a batch of page reporting's to be taken?
 * @p: the pacing, sampled
 * @n: the node that it is from
 * @pages: how much it is
 *
 * Context: under @p->lock. What taking it costs is paid if it is.
 *
 * Return: true if it is.
 */
bool intake_batch_allows(struct intake_pacing *p, struct intake_node *n, u64 pages)
{
	struct intake_batch *b = &p->batch;
	u64 price = intake_batch_price(p, n, pages);

	lockdep_assert_held(&p->lock);
	/* Behind the last one nothing raw is left: to refuse it would leave no cushion. */
	if (pages >= n->level.blocks - n->level.treated && n->view.deficit)
		price = 0;
	b->size = max(b->size, pages);
	b->refused = intake_batch_exceeds(n, pages) || price > b->paid ? pages : 0;
	if (b->refused)
		return false;
	b->paid -= price;
	return true;
}
