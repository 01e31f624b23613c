// SPDX-License-Identifier: GPL-2.0
/*
 * Batches of fixed size: those of the kernel's own page reporting.
 *
 * Page reporting walks the zones in their order, and hands over the blocks of each free
 * list from the head, most recently freed blocks first, 32 at a time. The driver can take
 * a batch or refuse it. A refusal has a cost:
 *   - it ends the pass, for all zones. The surplus of a later node is not reached while
 *     an earlier node has a batch that is refused.
 *   - page reporting puts the refused blocks at the tail of the free list, behind the
 *     treated ones. Allocations then take treated blocks first, and cause as many
 *     refaults as if the batch had been taken.
 *
 * So a pass begins only if its first batch will be taken. For a batch that is only partly
 * surplus there are two costs. Taking it may cause refaults of the part that is not
 * surplus. Leaving it keeps the other part, the surplus, in the host for as long as the
 * batch is left. This is the ski rental problem: leave the batch until waiting has cost
 * as much as taking it; the total is at most twice that of the best choice. A pass that
 * leaves raw memory ends with a refusal: the decision to begin a pass adds its cost to the
 * price of the batch.
 * The cost of waiting is summed over all nodes, since all of them wait for the batch, and
 * the price is subtracted from this sum when the batch is taken.
 *
 * The reserve and the share are hard limits: a batch that exceeds one is never taken.
 */
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include "intake.h"
#include "intake_batch.h"
#include "intake_node.h"
#include "intake_pacing.h"

/* Between two samples, waiting is charged for at most this time, ms. */
#define INTAKE_BATCH_GAP_MAX	(60 * MSEC_PER_SEC)

/**
 * intake_batch_sample - charge the time since the last sample for the deficit
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
 * Predict the next batch of page reporting: its node and its size. The size is at least
 * that of a batch that was refused, since raw memory is only estimated. Nodes at their
 * watermark are skipped, as page reporting does.
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

/* Cost of a refault, in ms of keeping the memory in the host. None during a flush. */
static unsigned int intake_batch_refault_ms(const struct intake_pacing *p,
					    const struct intake_node *n)
{
	return atomic_read(&p->flush.waiters) ? 0 : n->limits.refault_ms;
}

/* Would the batch exceed the reserve or the share? */
static bool intake_batch_exceeds(const struct intake_node *n, u64 pages)
{
	return n->policy.treated + pages > n->policy.available;
}

/*
 * Cost of taking a batch, pages times ms. A batch of which at least half is surplus is
 * taken at once: a refusal would cost as much.
 */
static u64 intake_batch_price(const struct intake_pacing *p, const struct intake_node *n,
			      u64 pages)
{
	u64 deficit = n->view.deficit;

	return pages > 2 * deficit ? (pages - 2 * deficit) * intake_batch_refault_ms(p, n) : 0;
}

/*
 * Cost of the refusal that ends a pass, pages times ms. There is a refusal if the raw
 * memory that the pass leaves is more than its last batch may take along.
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
 * intake_batch_wait - time until the first batch of a pass will be taken
 * @p: the pacing, sampled, with a deficit
 *
 * Context: under @p->lock.
 *
 * Return: milliseconds; 0 if the batch will be taken now, or if the intake's batches are
 * not of fixed size; INTAKE_BATCH_NEVER if the batch exceeds the reserve or the share.
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
	/* Treated memory is only estimated: there may be raw blocks nevertheless. */
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
 * intake_batch_allows - is a batch of page reporting to be taken?
 * @p: the pacing, sampled
 * @n: node of the batch
 * @pages: size of the batch
 *
 * If it is, its price is subtracted from the cost of waiting. If not, the refusal is counted.
 *
 * Context: under @p->lock.
 *
 * Return: true if it is.
 */
bool intake_batch_allows(struct intake_pacing *p, struct intake_node *n, u64 pages)
{
	struct intake_batch *b = &p->batch;
	u64 price = intake_batch_price(p, n, pages);
	bool exceeds = intake_batch_exceeds(n, pages);

	lockdep_assert_held(&p->lock);
	/* The last raw batch: a refusal would put it behind the treated blocks. */
	if (pages >= n->level.blocks - n->level.treated && n->view.deficit)
		price = 0;
	b->size = max(b->size, pages);
	b->refused = exceeds || price > b->paid ? pages : 0;
	if (b->refused) {
		intake_pacing_count_refusal(p, exceeds ? STATS_LIMIT : STATS_WINDOW);
		return false;
	}
	b->paid -= price;
	return true;
}
