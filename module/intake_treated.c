// SPDX-License-Identifier: GPL-2.0
/*
 * The aeration patch as the source of free blocks (linux/memory_aeration.h).
 *
 * The patched allocator separates raw and treated blocks on its free lists. After a free
 * it sets the ZONE_RAW flag of the zone and queues the intake's work. As in every
 * intake, pacing decides how much may be treated. The work takes this amount, batch by
 * batch, with up to one batch in flight per reactor:
 *
 *	free --> ZONE_RAW, [work] --> pacing --(next sample)--> [work]
 *	                               |
 *	                             pass, zone by zone:
 *	                               settle --> drain     (the oldest, if no
 *	                                                     reactor is free)
 *	                               allowance? fill --> send
 *
 * A pass begins with the zones of a node that allocations use last, and takes those
 * blocks of each zone that have been free longest. ZONE_RAW tells where a block was
 * freed. A pass visits every zone nevertheless: a zone can get raw blocks without a free
 * (isolation is undone), and pacing reads the counts of all zones anyway.
 *
 * A pass sets the state to idle, and only then reads the free lists, under zone->lock,
 * under which the allocator reads the state. So either the pass sees a freed block, or
 * the allocator queues the work again.
 *
 * Blocks in flight are not free for a moment, and an allocation may fail for lack of
 * them. Before the OOM killer chooses a task it calls the OOM notifiers, and
 * treated_oom() waits until blocks are back.
 *
 * This file takes no lock. Everything runs in one work item. The allocator queues the
 * work between start and stop, and so do callers under the lock of the intake's owner.
 */
#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/memory_aeration.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "compat/compat.h"
#include "intake.h"
#include "intake_node.h"
#include "mm_free.h"
#include "params.h"
#include "reactor.h"

/*
 * Most memory in one batch, in pages: as much as the kernel's own page reporting takes,
 * and at most 1/8 of the guest's memory over all reactors. Allocations cannot use this
 * memory while the batch is in flight.
 */
#define TREATED_BATCH_MAX	(SZ_128M >> PAGE_SHIFT)
#define TREATED_BATCH_PART	8

/*
 * Longest duration of a pass, in ms: other works wait for the workqueue, and the freezer
 * for the work. The next pass continues soon enough to be part of the same release for
 * the policy.
 */
#define TREATED_PASS_MS		100

/* How long the OOM notifier waits for a batch to come back, in ms. */
#define TREATED_OOM_MS		1000

/**
 * struct treated - an intake that takes blocks from a patched allocator
 * @in: common part of all intakes
 * @prdev: the registered device; its delayed work is the intake's work
 * @batches: the blocks of each reactor, linked by page->lru
 * @sent: batches sent since the pass began
 * @settled: those of @sent that came back; the difference is in flight
 * @until: end of the pass, jiffies
 * @pages: pages that were treated in the running or last pass
 * @err: why the running or last pass ended early, or 0
 * @oom: OOM notifier
 * @taken: total of pages that were taken out of the allocator, or are about to be;
 *	written by the work
 * @returned: total of pages that went back to the allocator; written by the work
 * @back: woken when @returned changes, and when a fill found no block
 */
struct treated {
	struct intake in;
	struct page_reporting_dev_info prdev;
	struct list_head batches[PARAMS_REACTORS_MAX];
	unsigned int sent;
	unsigned int settled;
	unsigned long until;
	u64 pages;
	int err;
	struct notifier_block oom;
	unsigned long taken;
	unsigned long returned;
	wait_queue_head_t back;
};

/* Order of the registered device: page reporting takes one device. */
static unsigned int treated_order_seen = COMPAT_REPORTING_ORDER_UNSET;

static struct treated *to_treated(const struct intake *in)
{
	return container_of(in, struct treated, in);
}

static void treated_queue(struct treated *tp, unsigned int ms)
{
	mod_delayed_work(system_freezable_wq, &tp->prdev.work,
			 msecs_to_jiffies(ms));
}

/* Adds the pages of the zone's blocks of at least @order to @raw and @treated. */
static void treated_zone_counts(struct zone *zone, unsigned int order, u64 *raw,
				u64 *treated)
{
	unsigned long nr_raw, nr_treated;

	for (; order <= MAX_PAGE_ORDER; order++) {
		memory_aeration_count(zone, order, &nr_raw, &nr_treated);
		*raw += (u64)nr_raw << order;
		*treated += (u64)nr_treated << order;
	}
}

static u64 treated_batch_max(const struct treated *tp)
{
	return min_t(u64, TREATED_BATCH_MAX,
		     totalram_pages() / TREATED_BATCH_PART / tp->in.nr_reactors);
}

/* Blocks that the batch has room for, if each of them is of the largest order. */
static unsigned int treated_room(const struct reactor *r, u64 most)
{
	u64 blocks;

	if (r->pages >= most)
		return 0;
	blocks = max_t(u64, (most - r->pages) >> MAX_PAGE_ORDER, 1);
	return min_t(u64, blocks, r->size - r->blocks);
}

/*
 * Fill once. Adds to @taken before the fill: otherwise treated_oom() could see no blocks
 * in flight during the fill. Returns the number of blocks.
 */
static unsigned int treated_piece(struct treated *tp, struct reactor *r,
				  struct zone *zone, unsigned int room)
{
	unsigned long taken = tp->taken;
	u64 before = r->pages;
	struct page *page;
	LIST_HEAD(piece);
	unsigned int nr;

	WRITE_ONCE(tp->taken, taken + ((unsigned long)room << MAX_PAGE_ORDER));
	nr = memory_aeration_fill(zone, tp->prdev.order, &piece, room);
	list_for_each_entry(page, &piece, lru)
		reactor_add(r, page_to_pfn(page), 1ULL << page_private(page));
	list_splice_tail(&piece, &tp->batches[r->index]);
	WRITE_ONCE(tp->taken, taken + r->pages - before);
	if (!nr)
		wake_up_all(&tp->back);
	return nr;
}

/*
 * Fill a batch, in several pieces: memory_aeration_fill() limits its time under
 * zone->lock. Reschedules between them, since a batch of many small blocks takes a while,
 * see Documentation/interrupt-or-thread.md.
 */
static void treated_fill(struct treated *tp, struct reactor *r, struct zone *zone,
			 u64 most)
{
	unsigned int room;

	reactor_fill(r, ktime_get_ns());
	while ((room = treated_room(r, most)) && treated_piece(tp, r, zone, room))
		cond_resched();
	intake_nodes_isolate(&tp->in.pacing, zone_to_nid(zone), r->pages);
}

/* Return a batch, in pieces that the allocator takes in one section of zone->lock. */
static void treated_return(struct list_head *batch, bool treated)
{
	unsigned int nr;

	while (!list_empty(batch)) {
		struct list_head *last = batch;
		LIST_HEAD(piece);

		for (nr = 0; nr < MEMORY_AERATION_HOLD && last->next != batch; nr++)
			last = last->next;
		list_cut_position(&piece, batch, last);
		memory_aeration_drain(&piece, treated);
		cond_resched();
	}
}

/* A batch came back from the host: its blocks go back to the allocator. */
static void treated_drain(struct treated *tp, struct reactor *r, int err)
{
	int nid = page_to_nid(list_first_entry(&tp->batches[r->index], struct page, lru));

	intake_nodes_isolate(&tp->in.pacing, nid, -(s64)r->pages);
	treated_return(&tp->batches[r->index], !err);
	WRITE_ONCE(tp->returned, tp->returned + r->pages);
	wake_up_all(&tp->back);
	if (!err)
		tp->pages += r->pages;
	else
		intake_pacing_untreat(&tp->in.pacing, nid, r->pages);
	if (!tp->err)
		tp->err = err;
	reactor_rest(r, ktime_get_ns());
}

/* Wait for the batch that was sent first. */
static void treated_settle(struct treated *tp)
{
	struct reactor *r = &tp->in.reactors[tp->settled++ % tp->in.nr_reactors];

	treated_drain(tp, r, tp->in.settle(tp->in.owner, r));
}

/* The next reactor in turn, once it is idle. */
static struct reactor *treated_reactor(struct treated *tp)
{
	if (tp->sent - tp->settled == tp->in.nr_reactors)
		treated_settle(tp);
	return &tp->in.reactors[tp->sent % tp->in.nr_reactors];
}

/* Send one batch of @zone's blocks. Returns its pages, 0 if the zone has no raw block. */
static u64 treated_batch(struct treated *tp, struct reactor *r, struct zone *zone,
			 u64 allowance)
{
	int err;

	treated_fill(tp, r, zone, min(allowance, treated_batch_max(tp)));
	if (!r->blocks) {
		reactor_rest(r, ktime_get_ns());
		return 0;
	}
	intake_pacing_treat(&tp->in.pacing, zone_to_nid(zone), r->pages);
	err = tp->in.send(tp->in.owner, r);
	if (err)
		treated_drain(tp, r, err);
	else
		tp->sent++;
	return r->pages;
}

/*
 * Treat at most the memory that was raw at the start: later frees are for the next pass.
 * A pass sends at least one batch, even if the vCPU was preempted past the end of the
 * pass: a pass that treats nothing means that the deficit cannot be treated.
 */
static void treated_zone(struct treated *tp, struct zone *zone)
{
	u64 raw = 0, treated = 0, pages, allowance;
	int nid = zone_to_nid(zone);
	struct reactor *r;

	clear_bit(ZONE_RAW, &zone->flags);
	treated_zone_counts(zone, tp->prdev.order, &raw, &treated);
	while (raw && (!tp->sent || time_before(jiffies, tp->until))) {
		r = treated_reactor(tp);
		allowance = tp->err ? 0 : intake_pacing_allowance(&tp->in.pacing, nid);
		if (!allowance)
			return;
		pages = treated_batch(tp, r, zone, allowance);
		if (!pages)
			return;
		raw -= min(raw, pages);
	}
}

/*
 * Memory isolation takes precedence, and the allocator queues the work again. An empty
 * pass is then no evidence that nothing is left. The same if a block was freed during the
 * pass.
 */
static bool treated_was_put_off(const struct treated *tp)
{
	return !tp->pages && !tp->err && atomic_read(&tp->prdev.state) != INTAKE_IDLE;
}

static void treated_pass(struct treated *tp)
{
	struct zone *zone;

	tp->pages = 0;
	tp->err = 0;
	tp->sent = 0;
	tp->settled = 0;
	tp->until = jiffies + msecs_to_jiffies(TREATED_PASS_MS);
	atomic_set(&tp->prdev.state, INTAKE_IDLE);
	/* Write the state before reading ZONE_RAW and the free lists, see the top. */
	smp_mb__after_atomic();

	for_each_populated(zone)
		treated_zone(tp, zone);
	while (tp->settled != tp->sent)
		treated_settle(tp);
	if (treated_was_put_off(tp))
		intake_pacing_retry_later(&tp->in.pacing);
	else
		intake_pacing_end_pass(&tp->in.pacing, time_before(jiffies, tp->until), tp->err);
}

static void treated_work(struct work_struct *work)
{
	struct treated *tp = container_of(to_delayed_work(work), struct treated,
					  prdev.work);
	struct intake_pacing *p = &tp->in.pacing;

	if (!intake_pacing_begin(p))
		return;
	if (intake_pacing_wants_pass(p))
		treated_pass(tp);
	intake_pacing_end(p);
}

/*
 * Wait for blocks in flight, and report how many came back. The OOM killer goes on if no
 * blocks are in flight, and also if none came back in time: the host may be silent.
 */
static int treated_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	struct treated *tp = container_of(nb, struct treated, oom);
	unsigned long returned = READ_ONCE(tp->returned);

	if (returned == READ_ONCE(tp->taken))
		return NOTIFY_OK;
	wait_event_timeout(tp->back, READ_ONCE(tp->returned) != returned ||
			   READ_ONCE(tp->taken) == returned,
			   msecs_to_jiffies(TREATED_OOM_MS));
	*(unsigned long *)freed += READ_ONCE(tp->returned) - returned;
	return NOTIFY_OK;
}

static int treated_start(struct intake *in)
{
	struct treated *tp = to_treated(in);
	unsigned int order = intake_order_wanted();
	int err;

	intake_pacing_start(&in->pacing, system_freezable_wq, &tp->prdev);
	tp->prdev.aerate = treated_work;
	tp->prdev.delay = msecs_to_jiffies(INTAKE_SOON_MS);
	intake_order_prepare(in, &tp->prdev, order);
	tp->prdev.order = order;
	err = page_reporting_register(&tp->prdev);
	if (err)
		goto halt;
	WRITE_ONCE(treated_order_seen, order);
	intake_order_set(in, order);
	register_oom_notifier(&tp->oom);
	treated_queue(tp, 0);
	return 0;

halt:
	intake_pacing_halt(&in->pacing);
	intake_pacing_stop(&in->pacing);
	return err;
}

/* A running pass ends after its present batches; the cancel waits for it. */
static void treated_stop(struct intake *in)
{
	struct treated *tp = to_treated(in);

	intake_pacing_halt(&in->pacing);
	cancel_delayed_work_sync(&tp->prdev.work);
	unregister_oom_notifier(&tp->oom);
	intake_order_restore(in, treated_order_seen);
	WRITE_ONCE(treated_order_seen, COMPAT_REPORTING_ORDER_UNSET);
	page_reporting_unregister(&tp->prdev);
	intake_pacing_stop(&in->pacing);
}

static void treated_wake(struct intake *in)
{
	treated_queue(to_treated(in), 0);
}

static unsigned int treated_order(const struct intake *in)
{
	return to_treated(in)->prdev.order;
}

static unsigned int treated_order_in_force(void)
{
	unsigned int asked = READ_ONCE(treated_order_seen);

	return asked == COMPAT_REPORTING_ORDER_UNSET ? intake_order_wanted() : asked;
}

static u64 treated_blocks(const struct intake *in, int nid)
{
	u64 raw = 0, treated = 0;
	struct zone *zone;

	for_each_populated_of(zone, nid)
		treated_zone_counts(zone, treated_order(in), &raw, &treated);
	return treated;
}

/* The patched allocator keeps the counts whether this intake runs or not. */
static void treated_counts(u64 *raw, u64 *treated)
{
	struct zone *zone;

	*raw = 0;
	*treated = 0;
	for_each_populated(zone)
		treated_zone_counts(zone, 0, raw, treated);
}

static void treated_destroy(struct intake *in)
{
	kfree(to_treated(in));
}

static struct intake *treated_create(void)
{
	struct treated *tp = kzalloc(sizeof(*tp), GFP_KERNEL);
	unsigned int i;

	if (!tp)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(tp->batches); i++)
		INIT_LIST_HEAD(&tp->batches[i]);
	tp->oom.notifier_call = treated_oom;
	init_waitqueue_head(&tp->back);
	return &tp->in;
}

static unsigned int treated_order_min(void)
{
	return 0;
}

static unsigned int treated_order_max(void)
{
	return MAX_PAGE_ORDER;
}

const struct intake_ops intake_treated_ops = {
	.name = "treated",
	.order_min = treated_order_min,
	.order_max = treated_order_max,
	.create = treated_create,
	.destroy = treated_destroy,
	.start = treated_start,
	.stop = treated_stop,
	.wake = treated_wake,
	.order = treated_order,
	.order_in_force = treated_order_in_force,
	.treated = treated_blocks,
	.counts = treated_counts,
};
