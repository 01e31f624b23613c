// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own page reporting as the source of free blocks.
 *
 * mm/page_reporting.c walks the free lists in a delayed work, isolates up to 32
 * blocks at a time (or fewer, where it can be asked for that), calls the
 * registered device's report(), and puts them back
 * with the Reported bit set. It decides by itself when: two seconds after a
 * large block was freed, and, as a pass covers a sixteenth of a list only,
 * every two seconds while there is more. That is what makes virtio_balloon slow.
 *
 * The delayed work and its state stand in the structure that the device
 * registers, which is ours. So a function of ours is put in place of the work's
 * function. Whoever queues the work, the kernel's timer or we, ends up in
 * ours, which asks the policy and then either runs the kernel's function or
 * comes again later (intake_pacing.c). All of this is one work item on one workqueue and
 * never runs twice at a time, so that the reactor needs no lock:
 *
 *	free --> notify --> [work] --> pacing --(look again)--> [work]
 *	                                 |
 *	                               pass: the kernel's function
 *	                                 |  report(): allowed? send, settle, decant
 *	                                 +--(more to do)--> [work]
 *
 * Which blocks, and how many at once, is up to the kernel. We decide how much, by
 * refusing the batch that would be too much of what is no surplus (intake_batch.c): the
 * kernel then puts it back, and its pass ends. The kernel puts what was reported at the
 * tail of the free list, so that allocations take raw blocks first, and what was refused
 * behind that. And it does not count what was reported: we look (mm_scan.c).
 *
 * What must be kept for this to be right, of which the first is tried before anything
 * depends on it (reporting_is_known()):
 *   - state is 0 when idle. A notification then sets it to REQUESTED and queues
 *     the work; in any other state it does not queue. The kernel's function sets
 *     the state itself as it begins, so that running it early loses nothing.
 *   - a work item is one by its function and its workqueue. It must not run
 *     while the function is exchanged, and is always queued where the kernel
 *     queues it (system_wq, freezable since suspend was found to need that).
 *   - report() never unregisters or flushes: the work would wait for itself.
 *   - an error from report() ends the pass for all zones and leaves the blocks
 *     unmarked. It is returned only when the host did not take them, all or none.
 *   - after the intake was stopped nobody may queue the work: mm_notify is
 *     stopped before, and everyone else holds the owner's lock and checks.
 */
#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/page_reporting.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat/compat.h"
#include "intake.h"
#include "mm_free.h"
#include "mm_notify.h"
#include "mm_scan.h"
#include "params.h"
#include "reactor.h"

/*
 * Most of the guest's memory that a batch of the smallest blocks may be. Guests of
 * 512 MiB still have the default order with it, whose blocks are as large as the
 * host's pages.
 */
#define REPORTING_BATCH_PART	7

/* What a survey may be wrong by, of what it finds: much less. */
#define REPORTING_ERROR_PART	8

/* So often a free may be in the way of finding out what a pass does. */
#define REPORTING_TRIES		3

/**
 * struct reporting - an intake that is fed by the kernel's page reporting
 * @in: what all intakes have
 * @prdev: what is registered; its work is the one that all of this runs in
 * @capacity: most blocks that the kernel hands over at once
 * @pass: the kernel's function of that work, which walks the free lists
 * @passer: the task that runs @pass from reporting_work(), or to try it; NULL outside of that
 * @notify: tells of large frees before the kernel's two seconds are over
 * @rested: the state was idle when the work ended; owned by the work
 * @out: pages that the kernel has handed over, and may have back already; as all
 *	below owned by the work
 * @nid: the node that they are of
 * @refused: the running or last pass was ended by a batch that was refused
 * @err: why the host did not take a batch of it, or 0
 */
struct reporting {
	struct intake in;
	struct page_reporting_dev_info prdev;
	unsigned int capacity;
	work_func_t pass;
	struct task_struct *passer;
	struct mm_notify notify;
	bool rested;
	u64 out;
	int nid;
	bool refused;
	int err;
};

/* The order that the registered device asked for: page reporting takes one device. */
static unsigned int reporting_asked = COMPAT_REPORTING_ORDER_UNSET;

/* Is page reporting what this file takes it for? Owned by the registered device. */
static enum { REPORTING_UNTRIED, REPORTING_KNOWN, REPORTING_UNKNOWN } reporting_kernel;

static struct reporting *to_reporting(const struct intake *in)
{
	return container_of(in, struct reporting, in);
}

/* Sooner than the kernel's timer, if that is what the work waits for. */
static void reporting_queue(struct reporting *rp, unsigned int ms)
{
	mod_delayed_work(rp->in.pacing.wq, &rp->prdev.work, msecs_to_jiffies(ms));
}

static bool reporting_is_idle(const struct reporting *rp)
{
	return atomic_read(&rp->prdev.state) == INTAKE_IDLE;
}

/*
 * A large block was freed. The first of a series is enough: the kernel sets the
 * state as soon as this returns. While the user paused everything the work finds that
 * out, and leaves the state: it is woken by no other free.
 */
static bool reporting_wants(const struct mm_notify *notify)
{
	return reporting_is_idle(container_of(notify, struct reporting, notify));
}

/*
 * Such a block. Under zone->lock, interrupts off, any CPU. The kernel finds the work
 * queued when this returns, and leaves it at that.
 */
static void reporting_noticed(struct mm_notify *notify)
{
	struct reporting *rp = container_of(notify, struct reporting, notify);

	queue_delayed_work(rp->in.pacing.wq, &rp->prdev.work,
			   msecs_to_jiffies(INTAKE_SOON_MS));
}

/* Too late for that: the kernel has queued the work, for two seconds from now. */
static void reporting_overdue(struct mm_notify *notify)
{
	reporting_queue(container_of(notify, struct reporting, notify), INTAKE_SOON_MS);
}

/* So much of a node is out of the allocator now, instead of what was before. */
static void reporting_out(struct reporting *rp, int nid, u64 pages)
{
	intake_pacing_out(&rp->in.pacing, rp->nid, -(s64)rp->out);
	intake_pacing_out(&rp->in.pacing, nid, pages);
	rp->nid = nid;
	rp->out = pages;
}

/* Run the kernel's function: all that it hands over it does before it returns. */
static void reporting_run(struct reporting *rp)
{
	WRITE_ONCE(rp->passer, current);
	rp->pass(&rp->prdev.work.work);
	WRITE_ONCE(rp->passer, NULL);
}

static void reporting_pass(struct reporting *rp)
{
	struct reactor *r = rp->in.reactors;

	rp->refused = false;
	rp->err = 0;

	reactor_fill(r, ktime_get_ns());
	reporting_run(rp);
	reactor_rest(r, ktime_get_ns());

	reporting_out(rp, rp->nid, 0);
	intake_pacing_passed(&rp->in.pacing, !rp->refused, rp->err);
}

/* What the work runs instead of the kernel's function. */
static void reporting_work(struct work_struct *work)
{
	struct reporting *rp = container_of(to_delayed_work(work),
					    struct reporting, prdev.work);
	struct intake_pacing *p = &rp->in.pacing;

	/* Nothing but a free, behind the probe, can have changed an idle state. */
	mm_notify_check(&rp->notify, rp->rested && !reporting_is_idle(rp));
	rp->rested = false;
	/* Without a pass the state stays: a free does not queue the work. */
	if (!intake_pacing_begin(p))
		return;
	if (intake_pacing_wants_pass(p))
		reporting_pass(rp);
	intake_pacing_end(p);
	rp->rested = reporting_is_idle(rp);
}

/* One batch: as many of the blocks as the reactor holds. */
static int reporting_batch(struct reporting *rp, struct scatterlist **sg,
			   unsigned int *nents)
{
	struct reactor *r = rp->in.reactors;
	int err;

	/* The pass began the first batch; the kernel has taken back the last. */
	if (r->stage != REACTOR_FILL)
		reactor_fill(r, ktime_get_ns());
	while (*nents) {
		struct page *page = sg_page(*sg);

		if (!reactor_add(r, page_to_pfn(page),
				 (*sg)->length >> PAGE_SHIFT))
			break;
		*sg = sg_next(*sg);
		--*nents;
	}
	err = rp->in.send(rp->in.owner, r);
	if (!err)
		err = rp->in.settle(rp->in.owner, r);
	return err;
}

/* All of it in pages, and what it tells of the order in force. */
static u64 reporting_size(struct scatterlist *sg, unsigned int nents)
{
	unsigned int asked = reporting_asked;
	u64 pages = 0;

	for (; nents; nents--, sg = sg_next(sg)) {
		pages += sg->length >> PAGE_SHIFT;
		asked = compat_reporting_order_seen(asked, get_order(sg->length));
	}
	if (asked != reporting_asked)
		WRITE_ONCE(reporting_asked, asked);
	return pages;
}

static int reporting_treat(struct reporting *rp, struct scatterlist *sg,
			   unsigned int nents)
{
	int err = 0;

	while (nents && !err)
		err = reporting_batch(rp, &sg, &nents);
	return err;
}

static int reporting_paced(struct reporting *rp, struct scatterlist *sg,
			   unsigned int nents, u64 pages)
{
	int nid = page_to_nid(sg_page(sg));

	/* All blocks of a batch are of one zone. */
	reporting_out(rp, nid, pages);
	rp->refused = !intake_pacing_allows(&rp->in.pacing, nid, pages);
	if (rp->refused)
		return -EAGAIN;
	rp->err = reporting_treat(rp, sg, nents);
	if (!rp->err)
		intake_pacing_treat(&rp->in.pacing, nid, pages);
	return rp->err;
}

/* A batch of a pass of which neither the beginning nor the end is known. */
static int reporting_plain(struct reporting *rp, struct scatterlist *sg,
			   unsigned int nents)
{
	int err;

	if (intake_pacing_is_off(&rp->in.pacing))
		return -EBUSY;
	err = reporting_treat(rp, sg, nents);
	reactor_rest(rp->in.reactors, ktime_get_ns());
	return err;
}

/*
 * Called by the pass with blocks that are out of the allocator until we return.
 * A pass that did not come from reporting_work() (see reporting_hook()) gets nothing.
 */
static int reporting_report(struct page_reporting_dev_info *prdev,
			    struct scatterlist *sg, unsigned int nents)
{
	struct reporting *rp = container_of(prdev, struct reporting, prdev);
	u64 pages = reporting_size(sg, nents);

	if (rp->in.plain)
		return reporting_plain(rp, sg, nents);
	if (READ_ONCE(rp->passer) != current)
		return -EBUSY;
	return reporting_paced(rp, sg, nents, pages);
}

/*
 * Within the bounds of this intake, whichever was in use when it was asked for. In a
 * small guest the default is less: the kernel's pass leaves a zone alone that does not
 * have a batch, 64 MiB of blocks of 2 MiB, beyond its low watermark.
 */
static unsigned int reporting_order_wanted(unsigned int capacity)
{
	unsigned int order = clamp_t(unsigned int, intake_order_wanted(),
				     COMPAT_REPORTING_ORDER_MIN, COMPAT_REPORTING_ORDER_MAX);

	if (READ_ONCE(aerator_params.order_source) != PARAMS_ORDER_DEFAULT)
		return order;
	while (order > COMPAT_REPORTING_ORDER_MIN &&
	       (unsigned long)capacity << order > totalram_pages() / REPORTING_BATCH_PART)
		order--;
	return order;
}

static unsigned int reporting_order_in_force(void)
{
	unsigned int asked = READ_ONCE(reporting_asked);
	unsigned int size = READ_ONCE(aerator_params.reactor_size);

	if (asked != COMPAT_REPORTING_ORDER_UNSET)
		return compat_reporting_order(asked);
	return reporting_order_wanted(compat_reporting_capacity(size));
}

static unsigned int reporting_order(const struct intake *in)
{
	return reporting_order_in_force();
}

static u64 reporting_least_batch(const struct intake *in)
{
	return (u64)to_reporting(in)->capacity << reporting_order(in);
}

static u64 reporting_survey(const struct intake *in, int nid)
{
	return mm_scan_treated_blocks(nid, reporting_order(in), reporting_least_batch(in));
}

/* Has a pass a batch to hand over, for all that a survey can tell? */
static bool reporting_has_raw(const struct intake *in)
{
	u64 blocks = 0, treated = 0, batch = reporting_least_batch(in);
	int nid;

	for_each_online_node(nid) {
		blocks += mm_free_blocks(nid, reporting_order(in), batch, 0);
		treated += reporting_survey(in, nid);
	}
	return blocks > treated + treated / REPORTING_ERROR_PART + batch;
}

/*
 * Is the state idle again, or asked for by a free since, with the work queued? The free
 * holds zone->lock until it is.
 */
static bool reporting_is_over(const struct reporting *rp)
{
	bool idle = reporting_is_idle(rp);

	mm_zones_sync();
	return idle || delayed_work_pending(&rp->prdev.work);
}

/* With pacing halted: a batch is handed over, and refused, and that is all. */
static bool reporting_passes(struct reporting *rp)
{
	unsigned int tries = REPORTING_TRIES;
	bool handed = true, over = false;

	while (tries-- && handed && !over) {
		reporting_run(rp);
		handed = rp->out;
		reporting_out(rp, rp->nid, 0);
		over = reporting_is_over(rp);
	}
	return handed && over;
}

/*
 * Is page reporting what this file takes it for? No header tells, and in a kernel in
 * which it is not, memory would go back at the wrong time, or not at all. It is found
 * out the first time that there is something to hand over.
 */
static bool reporting_is_known(struct reporting *rp)
{
	if (reporting_kernel == REPORTING_UNTRIED && reporting_has_raw(&rp->in)) {
		reporting_kernel = reporting_passes(rp) ? REPORTING_KNOWN : REPORTING_UNKNOWN;
		if (reporting_kernel == REPORTING_UNKNOWN)
			pr_warn("page reporting of this kernel is not as known: it decides when and how much, as with virtio_balloon\n");
	}
	return reporting_kernel != REPORTING_UNKNOWN;
}

/* And out again. Each of the two functions is waited for under its own name. */
static void reporting_unhook(struct reporting *rp)
{
	struct delayed_work *work = &rp->prdev.work;

	cancel_delayed_work_sync(work);
	WRITE_ONCE(work->work.func, rp->pass);
	cancel_delayed_work_sync(work);
}

/*
 * Put our function in the place of the kernel's. Registration queued a first
 * pass, which is taken back, and waited for if it has begun. On a kernel that
 * was told to delay nothing a free can start another one before the exchange.
 * That one has its blocks refused, and reporting_stop() waits for it. One that
 * it starts after the exchange finds pacing halted: hence several tries.
 *
 * Returns false, with nothing changed, if it cannot be put there.
 */
static bool reporting_hook(struct reporting *rp)
{
	struct delayed_work *work = &rp->prdev.work;

	cancel_delayed_work_sync(work);
	rp->pass = work->work.func;
	WRITE_ONCE(work->work.func, reporting_work);
	if (reporting_is_known(rp))
		return true;
	reporting_unhook(rp);
	return false;
}

static int reporting_register(struct reporting *rp, unsigned int order)
{
	int err;

	intake_order_prepare(&rp->in, &rp->prdev, order);
	err = page_reporting_register(&rp->prdev);
	if (err)
		return err;
	WRITE_ONCE(reporting_asked, order);
	intake_order_set(&rp->in, order);
	return 0;
}

/* The kernel's order is put back before another device can register. */
static void reporting_unregister(struct reporting *rp)
{
	intake_order_restore(&rp->in, reporting_asked);
	WRITE_ONCE(reporting_asked, COMPAT_REPORTING_ORDER_UNSET);
	page_reporting_unregister(&rp->prdev);
}

/* As virtio_balloon does: nothing of the kernel's work is touched. */
static int reporting_start_plain(struct reporting *rp, unsigned int order)
{
	int err;

	rp->in.plain = true;
	intake_pacing_start(&rp->in.pacing, system_freezable_wq, &rp->prdev);
	err = reporting_register(rp, order);
	if (err)
		intake_pacing_halt(&rp->in.pacing);
	return err;
}

static int reporting_start(struct intake *in)
{
	struct reporting *rp = to_reporting(in);
	unsigned int order;
	int err;

	rp->prdev.report = reporting_report;
	rp->capacity = compat_reporting_capacity(min(in->ring, in->reactors->size));
	order = reporting_order_wanted(rp->capacity);
	compat_reporting_capacity_set(&rp->prdev, rp->capacity);
	in->plain = false;
	rp->rested = false;
	err = reporting_register(rp, order);
	if (err)
		return err;
	if (!reporting_hook(rp)) {
		reporting_unregister(rp);
		return reporting_start_plain(rp, order);
	}
	intake_pacing_start(&in->pacing, rp->prdev.work.wq ?: system_freezable_wq, &rp->prdev);
	mm_notify_start(&rp->notify);
	reporting_queue(rp, 0);
	return 0;
}

/*
 * From here on no batch begins, and a pass gets no further than
 * its batch.
 */
static void reporting_stop(struct intake *in)
{
	struct reporting *rp = to_reporting(in);

	intake_pacing_halt(&in->pacing);
	mm_notify_stop(&rp->notify);
	cancel_delayed_work_sync(&rp->prdev.work);
	reporting_unregister(rp);
	reporting_unhook(rp);
	intake_pacing_stop(&in->pacing);
}

static void reporting_wake(struct intake *in)
{
	struct reporting *rp = to_reporting(in);

	if (!in->plain)
		reporting_queue(rp, 0);
}

static void reporting_destroy(struct intake *in)
{
	kfree(to_reporting(in));
}

static struct intake *reporting_create(void)
{
	struct reporting *rp = kzalloc(sizeof(*rp), GFP_KERNEL);

	if (!rp)
		return NULL;
	rp->notify.wanted = reporting_wants;
	rp->notify.noticed = reporting_noticed;
	rp->notify.overdue = reporting_overdue;
	return &rp->in;
}

static unsigned int reporting_order_min(void)
{
	return COMPAT_REPORTING_ORDER_MIN;
}

static unsigned int reporting_order_max(void)
{
	return COMPAT_REPORTING_ORDER_MAX;
}

const struct intake_ops intake_reporting_ops = {
	.name = "reporting",
	.order_min = reporting_order_min,
	.order_max = reporting_order_max,
	.create = reporting_create,
	.destroy = reporting_destroy,
	.start = reporting_start,
	.stop = reporting_stop,
	.wake = reporting_wake,
	.order = reporting_order,
	.order_in_force = reporting_order_in_force,
	.survey = reporting_survey,
	.batch = reporting_least_batch,
	.counts = mm_scan_counts,
};
