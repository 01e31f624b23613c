// SPDX-License-Identifier: GPL-2.0
/*
 * The aeration patch as the source of free blocks (linux/memory_aeration.h).
 *
 * The allocator keeps raw and treated blocks apart, and takes nothing by
 * itself. After a free it marks the zone and queues our work. The work asks
 * pacing, as every intake does, how much may be treated, and takes that, batch by
 * batch, with as many batches under way as there are reactors:
 *
 *	free --> ZONE_RAW, [work] --> pacing --(look again)--> [work]
 *	                               |
 *	                             pass, zone by zone:
 *	                               settle --> drain     (the oldest, if no
 *	                                                     reactor is free)
 *	                               allowance? fill --> send
 *
 * It begins with the zones of a node that allocations come to last, and takes the
 * coldest of each. The marks say where something was freed; as pacing counts
 * all zones anyway, and a zone can become raw without a free (isolation is undone),
 * a pass looks at each.
 *
 * A pass sets the state to idle, and only then looks at lists, under the lock under
 * which the allocator looks at the state. So either the pass sees a block, or the
 * work is queued again.
 *
 * What is under way is nobody's for a moment, and an allocation may fail for
 * want of it. Before the guest kills for that, it asks us, and we wait until some
 * is back.
 *
 * Nothing here takes a lock. All of it is one work item, which the allocator
 * queues, and so do those who hold the lock of the intake's owner, between start
 * and stop.
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
#include "mm_free.h"
#include "params.h"
#include "reactor.h"

/*
 * Most memory in one batch, in pages: as much as the kernel's own reporting
 * takes at once, and no more than this part of all. It is not to be had
 * meanwhile, whoever needs it.
 */
#define TREATED_BATCH_MAX	(SZ_128M >> PAGE_SHIFT)
#define TREATED_BATCH_PART	8

/*
 * How long a pass may take, in ms: others wait for its workqueue, and to be frozen. The
 * next one goes on, soon enough for both to be one release to the policy.
 */
#define TREATED_PASS_MS		100

/* How long an allocation waits for a batch before something is killed, in ms. */
#define TREATED_OOM_MS		1000

/**
 * struct treated - an intake that takes blocks from a patched allocator
 * @in: what all intakes have
 * @prdev: what is registered; its work is the one that all of this runs in
 * @batches: the blocks of each reactor, by page->lru
 * @sent: batches that were sent since the pass began
 * @settled: those of them that have come back; the difference is under way
 * @until: when the pass has to end, jiffies
 * @pages: pages that were treated in the running or last pass
 * @err: why the running or last pass ended early, or 0
 * @oom: asked before something is killed for want of memory
 * @taken: pages that were ever taken out of the allocator, or are about to be; written
 *	by the work
 * @returned: pages that went back to it, likewise
 * @back: woken when some are, and when there were none to take
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

/* The order that the registered device asked for: page reporting takes one device. */
static unsigned int treated_asked = COMPAT_REPORTING_ORDER_UNSET;

static struct treated *to_treated(const struct intake *in)
{
	return container_of(in, struct treated, in);
}

static void treated_queue(struct treated *tp, unsigned int ms)
{
	mod_delayed_work(system_freezable_wq, &tp->prdev.work,
			 msecs_to_jiffies(ms));
}

/* Adds up; in pages, of blocks of at least that order. */
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

/* How many blocks the batch has room for, whichever size they turn out to be. */
static unsigned int treated_room(const struct reactor *r, u64 most)
{
	u64 blocks;

	if (r->pages >= most)
		return 0;
	blocks = max_t(u64, (most - r->pages) >> MAX_PAGE_ORDER, 1);
	return min_t(u64, blocks, r->size - r->blocks);
}

/*
 * Counts as taken before it is, or an allocation that fails meanwhile would find
 * nothing under way. Returns the blocks.
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
 * In as many pieces as the allocator likes to hand out. Others may run between
 * them: a batch of many small blocks takes a while, see
 * Documentation/interrupt-or-thread.md.
 */
static void treated_fill(struct treated *tp, struct reactor *r, struct zone *zone,
			 u64 most)
{
	unsigned int room;

	reactor_fill(r, ktime_get_ns());
	while ((room = treated_room(r, most)) && treated_piece(tp, r, zone, room))
		cond_resched();
	intake_pacing_out(&tp->in.pacing, zone_to_nid(zone), r->pages);
}

/* Likewise: no more at a time than the allocator takes under one lock. */
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

/* The batch is back: its blocks go to where they came from. */
static void treated_drain(struct treated *tp, struct reactor *r, int err)
{
	const struct page *first = list_first_entry(&tp->batches[r->index], struct page, lru);

	intake_pacing_out(&tp->in.pacing, page_to_nid(first), -(s64)r->pages);
	treated_return(&tp->batches[r->index], !err);
	WRITE_ONCE(tp->returned, tp->returned + r->pages);
	wake_up_all(&tp->back);
	if (!err)
		tp->pages += r->pages;
	else if (!tp->err)
		tp->err = err;
	reactor_rest(r, ktime_get_ns());
}

/* Wait for the one that was sent first. */
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

/* One batch out of @zone. Returns the pages in it, 0 if there is no more. */
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
 * No more than was raw when we came: what is freed meanwhile is for later. And one
 * batch at least, however long the host had the processor since the pass began: a
 * pass that treats nothing says that nothing can be done.
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
 * Who isolates memory has it before us, and we are called again: then that there was
 * nothing to take means nothing. (Nor does it if something was freed meanwhile.)
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
	/* The state before the marks and the lists, see above. */
	smp_mb__after_atomic();

	for_each_populated(zone)
		treated_zone(tp, zone);
	while (tp->settled != tp->sent)
		treated_settle(tp);
	if (treated_was_put_off(tp))
		intake_pacing_put_off(&tp->in.pacing);
	else
		intake_pacing_passed(&tp->in.pacing, time_before(jiffies, tp->until), tp->err);
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
 * Is anything under way? Then the guest has more memory in a moment. It kills if
 * we say that there is none, and also if none came in time: a host may be silent.
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
	WRITE_ONCE(treated_asked, order);
	intake_order_set(in, order);
	register_oom_notifier(&tp->oom);
	treated_queue(tp, 0);
	return 0;

halt:
	intake_pacing_halt(&in->pacing);
	intake_pacing_stop(&in->pacing);
	return err;
}

/* The pass gets no further than its batches, and is waited for. */
static void treated_stop(struct intake *in)
{
	struct treated *tp = to_treated(in);

	intake_pacing_halt(&in->pacing);
	cancel_delayed_work_sync(&tp->prdev.work);
	unregister_oom_notifier(&tp->oom);
	intake_order_restore(in, treated_asked);
	WRITE_ONCE(treated_asked, COMPAT_REPORTING_ORDER_UNSET);
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
	unsigned int asked = READ_ONCE(treated_asked);

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

/* The allocator counts, whether this intake runs or not. */
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
