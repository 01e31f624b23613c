// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own page reporting as the source of free blocks.
 *
 * mm/page_reporting.c walks the free lists in a delayed work, isolates up to 32 blocks at
 * a time (fewer on kernels with a configurable capacity), calls the registered device's
 * report(), and puts the blocks back with PG_reported set. The delay is fixed: two
 * seconds after a large block was freed, and, since a pass covers only a sixteenth of a
 * list, every two seconds while there is more. This makes virtio_balloon slow.
 *
 * The delayed work and its state are in struct page_reporting_dev_info, which the driver
 * owns. reporting_hook() replaces the function of this work by reporting_work(). So the
 * kernel's timer and aerator queue the same work. It asks the policy, and then either
 * runs the kernel's function or queues itself again (intake_pacing.c). There is one work
 * item on one workqueue, which never runs twice at a time, so that the reactor needs no
 * lock:
 *
 *	free --> notify --> [work] --> pacing --(next sample)--> [work]
 *	                                 |
 *	                               pass: the kernel's function
 *	                                 |  report(): allowed? send, settle, decant
 *	                                 +--(more to do)--> [work]
 *
 * The kernel chooses the blocks and the size of a batch. The driver limits the amount: it
 * refuses a batch that has too many pages besides the surplus (intake_batch.c). The
 * kernel then puts the batch back, and its pass ends. Reported blocks go to the tail of
 * the free list, so that allocations take raw blocks first; refused blocks go behind
 * them. The kernel keeps no count of reported blocks: mm_scan.c estimates it.
 *
 * This relies on the following rules. reporting_is_known() tests the first one before
 * anything depends on it:
 *   - state is 0 when idle. A notification then sets it to REQUESTED and queues the
 *     work; in any other state it does not queue. The kernel's function sets the state
 *     itself as it begins, so that running it early loses nothing.
 *   - the workqueue code identifies a work item by its function and its workqueue. The
 *     work must not run while the function is exchanged, and must be queued on the
 *     kernel's workqueue for it (system_wq; system_freezable_wq since a suspend fix).
 *   - report() never unregisters the device or flushes the work: this would deadlock.
 *   - an error from report() ends the pass for all zones and leaves the blocks raw. An
 *     error is returned only if the host did not take the blocks, all or none.
 *   - after the intake was stopped the work must not be queued: mm_notify is stopped
 *     before, and all other callers check under the lock of the intake's owner.
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
#include "intake_node.h"
#include "mm_free.h"
#include "mm_notify.h"
#include "mm_scan.h"
#include "params.h"
#include "reactor.h"

/*
 * A full batch of the smallest blocks may be at most 1/7 of the guest's memory. With this
 * limit a guest of 512 MiB still uses the default order, whose blocks are as large as the
 * host's huge pages.
 */
#define REPORTING_BATCH_PART	7

/* Error of a survey: less than 1/8 of its result. */
#define REPORTING_ERROR_PART	8

/* Tries of reporting_passes(): a free during a try makes its result invalid. */
#define REPORTING_TRIES		3

/**
 * struct reporting - an intake whose source is the kernel's page reporting
 * @in: common part of all intakes
 * @prdev: the registered device; its delayed work is the intake's work
 * @capacity: most blocks that the kernel hands over at once
 * @pass: the kernel's function of the work, which walks the free lists
 * @passer: the task that runs @pass, called by reporting_run(); NULL otherwise
 * @notify: notifies large frees before the kernel's two seconds are over
 * @rested: the state was idle when the work ended; owned by the work
 * @out: pages of the last batch of the pass, which may be back in the allocator already;
 *	this and the fields below are owned by the work
 * @nid: node of these pages
 * @refused: the running or last pass ended with a refused batch
 * @err: why the host did not take a batch of this pass, or 0
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

/* Order of the registered device: page reporting takes one device. */
static unsigned int reporting_order_seen = COMPAT_REPORTING_ORDER_UNSET;

/* Result of reporting_is_known(). Owned by the registered device. */
static enum { REPORTING_UNTRIED, REPORTING_KNOWN, REPORTING_UNKNOWN } reporting_kernel;

static struct reporting *to_reporting(const struct intake *in)
{
	return container_of(in, struct reporting, in);
}

/* Queue the work, or shorten the kernel's delay if the work is queued. */
static void reporting_queue(struct reporting *rp, unsigned int ms)
{
	mod_delayed_work(rp->in.pacing.wq, &rp->prdev.work, msecs_to_jiffies(ms));
}

static bool reporting_is_idle(const struct reporting *rp)
{
	return atomic_read(&rp->prdev.state) == INTAKE_IDLE;
}

/*
 * A large block was freed. The first free of a series is enough: the kernel sets the
 * state right after this. If pacing is off (enabled=0), the work ends without changing
 * the state, and no further free wakes it.
 */
static bool reporting_wants(const struct mm_notify *notify)
{
	return reporting_is_idle(container_of(notify, struct reporting, notify));
}

/*
 * The notification of such a free. Under zone->lock, with interrupts off, on any CPU.
 * Queues the work with a short delay; the kernel then finds the work queued already, and
 * does not start its own two seconds.
 */
static void reporting_noticed(struct mm_notify *notify)
{
	struct reporting *rp = container_of(notify, struct reporting, notify);

	queue_delayed_work(rp->in.pacing.wq, &rp->prdev.work,
			   msecs_to_jiffies(INTAKE_SOON_MS));
}

/* The kernel has queued the work already, with its two seconds: shorten the delay. */
static void reporting_overdue(struct mm_notify *notify)
{
	reporting_queue(container_of(notify, struct reporting, notify), INTAKE_SOON_MS);
}

/* Replace the batch that is out of the allocator by the next one, of @pages pages. */
static void reporting_out(struct reporting *rp, int nid, u64 pages)
{
	intake_nodes_isolate(&rp->in.pacing, rp->nid, -(s64)rp->out);
	intake_nodes_isolate(&rp->in.pacing, nid, pages);
	rp->nid = nid;
	rp->out = pages;
}

/* Run the kernel's pass. It calls report() for every batch before it returns. */
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
	intake_pacing_end_pass(&rp->in.pacing, !rp->refused, rp->err);
}

/* Function of the delayed work, in place of the kernel's. */
static void reporting_work(struct work_struct *work)
{
	struct reporting *rp = container_of(to_delayed_work(work),
					    struct reporting, prdev.work);
	struct intake_pacing *p = &rp->in.pacing;

	/* Only a free changes an idle state, right after it has hit the probe. */
	mm_notify_check(&rp->notify, rp->rested && !reporting_is_idle(rp));
	rp->rested = false;
	/* Pacing is off: the state stays, so that frees do not queue the work. */
	if (!intake_pacing_begin(p))
		return;
	if (intake_pacing_wants_pass(p))
		reporting_pass(rp);
	intake_pacing_end(p);
	rp->rested = reporting_is_idle(rp);
}

/* Send one batch: as many of the blocks as fit into the reactor. */
static int reporting_batch(struct reporting *rp, struct scatterlist **sg,
			   unsigned int *nents)
{
	struct reactor *r = rp->in.reactors;
	int err;

	/* reporting_pass() began the first batch; the kernel took back the one before. */
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

/* Size in pages. The sizes of the blocks also show the order that the kernel uses. */
static u64 reporting_size(struct scatterlist *sg, unsigned int nents)
{
	unsigned int asked = reporting_order_seen;
	u64 pages = 0;

	for (; nents; nents--, sg = sg_next(sg)) {
		pages += sg->length >> PAGE_SHIFT;
		asked = compat_reporting_order_seen(asked, get_order(sg->length));
	}
	if (asked != reporting_order_seen)
		WRITE_ONCE(reporting_order_seen, asked);
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

/* A batch in plain mode: the beginning and the end of the kernel's pass are unknown. */
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
 * Called by the kernel's pass, with blocks that are isolated until this returns. A pass
 * that reporting_run() did not start (see reporting_hook()) has its blocks refused.
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
 * The order, limited to the range of this intake: the user may have set it while another
 * intake was in use. In a small guest the default is smaller: the kernel's pass skips a
 * zone that does not have one full batch, 64 MiB of blocks of 2 MiB, above its low
 * watermark.
 */
static unsigned int reporting_order_wanted(unsigned int capacity)
{
	unsigned int order = clamp_t(unsigned int, intake_order_wanted(),
				     COMPAT_REPORTING_ORDER_MIN, COMPAT_REPORTING_ORDER_MAX);

	if (intake_order_is_set())
		return order;
	while (order > COMPAT_REPORTING_ORDER_MIN &&
	       (unsigned long)capacity << order > totalram_pages() / REPORTING_BATCH_PART)
		order--;
	return order;
}

static unsigned int reporting_order_in_force(void)
{
	unsigned int asked = READ_ONCE(reporting_order_seen);
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

/* Is there more raw memory than one batch, even if the survey is wrong? */
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
 * Is the state idle again, or set by a later free, with the work queued? A free queues
 * the work under zone->lock: mm_zones_sync() waits for that.
 */
static bool reporting_is_over(const struct reporting *rp)
{
	bool idle = reporting_is_idle(rp);

	mm_zones_sync();
	return idle || delayed_work_pending(&rp->prdev.work);
}

/*
 * Run the kernel's pass with pacing halted, so that its batch is refused. Returns true if
 * the pass handed over a batch and ended in the expected state.
 */
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
 * Does page reporting behave as this file expects? No header tells. On a kernel with
 * another page reporting, memory would be reported at the wrong time, or not at all. The
 * test runs once, at the first start with enough raw memory.
 */
static bool reporting_is_known(struct reporting *rp)
{
	if (reporting_kernel == REPORTING_UNTRIED && reporting_has_raw(&rp->in)) {
		reporting_kernel = reporting_passes(rp) ? REPORTING_KNOWN : REPORTING_UNKNOWN;
		if (reporting_kernel == REPORTING_UNKNOWN)
			pr_warn("page reporting of this kernel does not work as expected: the kernel decides when and how much, as with virtio_balloon\n");
	}
	return reporting_kernel != REPORTING_UNKNOWN;
}

/* Undo reporting_hook(). Waits for the work with each of the two functions. */
static void reporting_unhook(struct reporting *rp)
{
	struct delayed_work *work = &rp->prdev.work;

	cancel_delayed_work_sync(work);
	WRITE_ONCE(work->work.func, rp->pass);
	cancel_delayed_work_sync(work);
}

/*
 * Replace the kernel's function by reporting_work(). Registration queued a first pass,
 * which is cancelled, and waited for if it has begun. On a kernel with a delay of 0, a
 * free can start another pass before the exchange. This pass has its blocks refused, and
 * reporting_stop() waits for it. A pass that a free starts after the exchange finds
 * pacing halted: therefore reporting_passes() tries several times.
 *
 * Returns false, with the kernel's function back in place, if page reporting is not
 * as expected.
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
	WRITE_ONCE(reporting_order_seen, order);
	intake_order_set(&rp->in, order);
	return 0;
}

/* The kernel's order is put back before another device can register. */
static void reporting_unregister(struct reporting *rp)
{
	intake_order_restore(&rp->in, reporting_order_seen);
	WRITE_ONCE(reporting_order_seen, COMPAT_REPORTING_ORDER_UNSET);
	page_reporting_unregister(&rp->prdev);
}

/* Start in plain mode, as virtio_balloon: the kernel's delayed work is not changed. */
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
 * After intake_pacing_halt() no batch begins, and a running pass ends after its present
 * batch.
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
