// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own page reporting as the source of free blocks.
 *
 * mm/page_reporting.c walks the free lists in a delayed work, isolates up to 32
 * blocks at a time, calls the registered device's report(), and puts them back
 * with the Reported bit set. It decides by itself when: two seconds after a
 * large block was freed, and, as a pass covers a sixteenth of a list only,
 * every two seconds while there is more. That is what makes virtio_balloon slow.
 *
 * The delayed work and its state stand in the structure that the device
 * registers, which is ours. So a gate of ours is put in place of the work's
 * function. Whoever queues the work, the kernel's timer or we, ends up at the
 * gate, which asks the policy and then either runs the kernel's function or
 * comes again later. All of this is one work item on one workqueue and never
 * runs twice at a time, so that the policy and the reactor need no lock:
 *
 *	free --> notice --> [work] --> gate --(wait)--> [work]
 *	                                 |
 *	                               pass: the kernel's function
 *	                                 |  fill, report() -> treat, decant
 *	                                 +--(more to do)--> [work]
 *
 * After a release a second work, the watch, looks a few times whether memory is
 * taken back, which nothing else would tell before the next free. Then nothing
 * runs until that free.
 *
 * What must be kept for this to be right:
 *   - state is 0 when idle. A notification then sets it to REQUESTED and queues
 *     the work; in any other state it does not queue. The kernel's function sets
 *     the state itself as it begins, so that running it early loses nothing.
 *   - a work item is one by its function and its workqueue. It must not run
 *     while the function is exchanged, and is always queued where the kernel
 *     queues it (system_wq, freezable since suspend was found to need that).
 *   - report() never unregisters or flushes: the work would wait for itself.
 *   - an error from report() ends the pass for all zones and leaves the blocks
 *     unmarked. It is returned only when the host did not take them.
 *   - after the intake was stopped nobody may queue the work: the notice is
 *     stopped before, and everyone else holds the owner's lock and checks.
 */
#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/page_reporting.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmstat.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "compat/compat.h"
#include "intake.h"
#include "notice.h"
#include "params.h"
#include "policy.h"
#include "reactor.h"

/* The one value of prdev->state that this file needs to know, see above. */
#define REPORTING_IDLE		0

/*
 * While a pass is held, free memory is looked at this often in each window, but
 * not so seldom that a fall and rise in between goes unseen. Bounds in ms.
 */
#define REPORTING_SAMPLES	8
#define REPORTING_SAMPLE_MIN	10
#define REPORTING_SAMPLE_MAX	125

/* Memory goes up and down by this much all the time in a guest that rests. */
#define REPORTING_SLACK_MIB	16

/* A flush that takes longer than this fails; unbinding has to wait for it. */
#define REPORTING_FLUSH_MS	60000

/**
 * struct reporting - an intake that is fed by the kernel's page reporting
 * @in: what all intakes have
 * @prdev: what is registered; its work is the one that all of this runs in
 * @pass: the kernel's function of that work, which walks the free lists
 * @wq: the workqueue that the kernel puts it on
 * @passer: who runs @pass from the gate; NULL outside of it
 * @notice: tells of large frees before the kernel's two seconds are over
 * @noticed_free: free memory when that was last told, pages
 * @old_order: the kernel's order before ours
 * @policy: when a pass may run; owned by the work
 * @watch: looks whether what was released is taken back
 * @watches: looks that are left
 * @watch_ms: time between them
 * @watch_floor: free memory below this is a fall, pages
 * @fall_at: when it was seen to fall, ms, or 0; released after @fall_free
 * @fall_free: free memory then, pages
 * @waiting: a pass was asked for and is held; owned by the work
 * @blocks: blocks in the running or last pass; owned by the work
 * @pages: pages that were treated in it; owned by the work
 * @err: why the running or last pass ended early, or 0; owned by the work
 * @running: between start and stop; written under the owner's lock
 * @flushes: callers of flush who wait
 * @begun: number of times that the work began, passes and holds
 * @drained: the last of them that left nothing to do; released after
 *	@drained_err
 * @drained_err: how that one ended
 * @passed: woken after each pass and when the intake stops
 */
struct reporting {
	struct intake in;
	struct page_reporting_dev_info prdev;
	work_func_t pass;
	struct workqueue_struct *wq;
	struct task_struct *passer;
	struct notice notice;
	u64 noticed_free;
	unsigned int old_order;
	struct policy policy;
	struct delayed_work watch;
	unsigned int watches;
	unsigned int watch_ms;
	u64 watch_floor;
	u64 fall_at;
	u64 fall_free;
	bool waiting;
	unsigned int blocks;
	u64 pages;
	int err;
	bool running;
	atomic_t flushes;
	unsigned int begun;
	unsigned int drained;
	int drained_err;
	wait_queue_head_t passed;
};

static struct reporting *to_reporting(const struct intake *in)
{
	return container_of(in, struct reporting, in);
}

static u64 reporting_free(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

static u64 reporting_ms(void)
{
	return ktime_to_ms(ktime_get());
}

static u64 mib_to_pages(unsigned int mib)
{
	return (u64)mib << (20 - PAGE_SHIFT);
}

static struct policy_limits reporting_limits(void)
{
	return (struct policy_limits) {
		.window_ms = READ_ONCE(aerator_params.window_ms),
		.reserve = mib_to_pages(READ_ONCE(aerator_params.reserve_mb)),
		.rate = mib_to_pages(READ_ONCE(aerator_params.rate_mb)),
	};
}

/* How soon to look again while a pass is held. */
static unsigned int reporting_sample_ms(void)
{
	return clamp_t(unsigned int,
		       READ_ONCE(aerator_params.window_ms) / REPORTING_SAMPLES,
		       REPORTING_SAMPLE_MIN, REPORTING_SAMPLE_MAX);
}

/* Sooner than the kernel's timer, if that is what the work waits for. */
static void reporting_queue(struct reporting *rp, unsigned int ms)
{
	mod_delayed_work(rp->wq, &rp->prdev.work, msecs_to_jiffies(ms));
}

/*
 * A large block was freed. Under zone->lock, interrupts off, any CPU. The first
 * of a series is enough: the kernel sets the state as soon as this returns. It
 * finds the work queued by then and leaves it at that.
 */
static void reporting_noticed(struct notice *notice)
{
	struct reporting *rp = container_of(notice, struct reporting, notice);

	if (atomic_read(&rp->prdev.state) != REPORTING_IDLE ||
	    !READ_ONCE(aerator_params.enabled))
		return;
	WRITE_ONCE(rp->noticed_free, reporting_free());
	queue_delayed_work(rp->wq, &rp->prdev.work,
			   msecs_to_jiffies(reporting_sample_ms()));
}

/* Stopped or paused: no pass is wanted, not even the rest of a running one. */
static bool reporting_dry(const struct reporting *rp)
{
	return !READ_ONCE(rp->running) || !READ_ONCE(aerator_params.enabled);
}

static void reporting_watch(struct work_struct *work)
{
	struct reporting *rp = container_of(to_delayed_work(work),
					    struct reporting, watch);
	u64 free = reporting_free();

	if (free < READ_ONCE(rp->watch_floor)) {
		WRITE_ONCE(rp->fall_free, free);
		/* Pairs with the acquire in reporting_look(). */
		smp_store_release(&rp->fall_at, reporting_ms());
	} else if (--rp->watches) {
		queue_delayed_work(rp->wq, &rp->watch,
				   msecs_to_jiffies(READ_ONCE(rp->watch_ms)));
	}
}

/* Memory was released on a guess: watch it for as long as that is judged. */
static void reporting_watch_begin(struct reporting *rp)
{
	struct policy_limits limits = reporting_limits();
	const struct policy *p = &rp->policy;

	if (!p->released || !p->guessed || p->peak <= p->slack)
		return;
	cancel_delayed_work_sync(&rp->watch);
	rp->watches = POLICY_REGRET;
	rp->watch_ms = policy_hold(p, &limits);
	rp->watch_floor = p->peak - p->slack;
	rp->fall_at = 0;
	queue_delayed_work(rp->wq, &rp->watch, msecs_to_jiffies(rp->watch_ms));
}

/* Let the policy see what happened since it was last asked. */
static void reporting_look(struct reporting *rp, u64 now,
			   const struct policy_limits *limits)
{
	u64 noticed = READ_ONCE(rp->noticed_free);
	/* Pairs with the release in reporting_watch(). */
	u64 fall_at = smp_load_acquire(&rp->fall_at);

	if (fall_at) {
		policy_sample(&rp->policy, fall_at, READ_ONCE(rp->fall_free), limits);
		WRITE_ONCE(rp->fall_at, 0);
	}
	if (!rp->waiting) {
		policy_request(&rp->policy, now,
			       noticed ?: reporting_free(), limits);
		WRITE_ONCE(rp->noticed_free, 0);
		rp->waiting = true;
	}
	policy_sample(&rp->policy, now, reporting_free(), limits);
}

/* How long the pass has to wait, in ms, or POLICY_NEVER. */
static unsigned int reporting_gate(struct reporting *rp)
{
	struct policy_limits limits = reporting_limits();
	u64 now = reporting_ms();
	unsigned int wait;

	reporting_look(rp, now, &limits);
	wait = policy_wait(&rp->policy, now, &limits);
	if (wait != POLICY_NEVER && atomic_read(&rp->flushes))
		return 0;
	return wait;
}

/* Nothing is left to do, for those who wait until it is so. */
static void reporting_rest(struct reporting *rp, int err)
{
	rp->waiting = false;
	WRITE_ONCE(rp->noticed_free, 0);
	rp->drained_err = err;
	/* Pairs with the acquire in reporting_flushed(). */
	smp_store_release(&rp->drained, rp->begun);
	wake_up_all(&rp->passed);
}

/*
 * Only a new free can help (the reserve): let the kernel believe that all is
 * done, so that it tells of one. It changes the amount before it looks at the
 * state; a free that found the state still set is seen in the amount.
 */
static void reporting_sleep(struct reporting *rp)
{
	struct policy_limits limits = reporting_limits();

	atomic_set(&rp->prdev.state, REPORTING_IDLE);
	/* The state is written before the amount is read, see above. */
	smp_mb__after_atomic();
	if (reporting_free() > limits.reserve)
		reporting_queue(rp, reporting_sample_ms());
	reporting_rest(rp, 0);
}

/* Look again after a sample's time, unless somebody wants it sooner already. */
static void reporting_held(struct reporting *rp, unsigned int wait)
{
	if (wait == POLICY_NEVER)
		reporting_sleep(rp);
	else
		queue_delayed_work(rp->wq, &rp->prdev.work,
				   msecs_to_jiffies(min(wait, reporting_sample_ms())));
}

/*
 * Did the pass end because it had done enough for once? Then each list that has
 * more got at least two full batches (the budget in page_reporting_cycle()). A
 * pass with less saw all there was, and was asked for again by a free since. A
 * free during a long pass is taken for its rest, and goes without its window.
 */
static bool reporting_leftover(const struct reporting *rp)
{
	return rp->blocks >= 2 * compat_reporting_capacity(&rp->prdev);
}

/* After a pass: go on, wait for the window of what was freed since, or rest. */
static void reporting_next(struct reporting *rp)
{
	bool asked = atomic_read(&rp->prdev.state) != REPORTING_IDLE;

	if (asked && reporting_leftover(rp)) {
		reporting_queue(rp, 0);
		return;
	}
	reporting_rest(rp, rp->err);
	if (asked)
		reporting_queue(rp, reporting_sample_ms());
	else
		reporting_watch_begin(rp);
}

static void reporting_pass(struct reporting *rp, struct work_struct *work)
{
	struct policy_limits limits = reporting_limits();
	struct reactor *r = rp->in.reactor;

	rp->blocks = 0;
	rp->pages = 0;
	rp->err = 0;
	r->size = min3(READ_ONCE(aerator_params.reactor_size), rp->in.ring,
		       (unsigned int)PARAMS_REACTOR_SIZE_MAX);

	reactor_fill(r, ktime_get_ns());
	WRITE_ONCE(rp->passer, current);
	rp->pass(work);
	WRITE_ONCE(rp->passer, NULL);
	reactor_rest(r, ktime_get_ns());

	policy_passed(&rp->policy, reporting_ms(), rp->pages, &limits);
	reporting_next(rp);
}

/* The gate: what the work runs instead of the kernel's function. */
static void reporting_work(struct work_struct *work)
{
	struct reporting *rp = container_of(to_delayed_work(work),
					    struct reporting, prdev.work);
	unsigned int wait;

	/* The state stays as it is: a free does not queue the work meanwhile. */
	if (reporting_dry(rp)) {
		rp->waiting = false;
		wake_up_all(&rp->passed);
		return;
	}
	WRITE_ONCE(rp->begun, rp->begun + 1);
	wait = reporting_gate(rp);
	if (wait)
		reporting_held(rp, wait);
	else
		reporting_pass(rp, work);
}

/* One batch: as many of the blocks as the reactor holds. */
static int reporting_batch(struct reporting *rp, struct scatterlist **sg,
			   unsigned int *nents)
{
	struct reactor *r = rp->in.reactor;
	int err;

	/* The pass began the first batch; the kernel has taken back the last. */
	if (r->stage != REACTOR_FILL)
		reactor_fill(r, ktime_get_ns());
	while (*nents) {
		struct page *page = sg_page(*sg);

		if (reactor_add(r, page_to_pfn(page),
				(*sg)->length >> PAGE_SHIFT))
			break;
		*sg = sg_next(*sg);
		--*nents;
	}
	rp->blocks += r->blocks;
	err = rp->in.treat(rp->in.owner);
	if (!err)
		rp->pages += r->pages;
	return err;
}

/*
 * Called by the pass with blocks that are out of the allocator until we return.
 * A pass that did not come through the gate (see reporting_gate_in()) gets nothing.
 */
static int reporting_report(struct page_reporting_dev_info *prdev,
			    struct scatterlist *sg, unsigned int nents)
{
	struct reporting *rp = container_of(prdev, struct reporting, prdev);

	if (READ_ONCE(rp->passer) != current)
		return -EBUSY;
	while (nents && !rp->err) {
		if (reporting_dry(rp))
			rp->err = -ESHUTDOWN;
		else
			rp->err = reporting_batch(rp, &sg, &nents);
	}
	return rp->err;
}

/*
 * Put the gate in front of the kernel's function. Registration queued a first
 * pass, which is taken back, and waited for if it has begun. On a kernel that
 * was told to delay nothing a free can start another one before the exchange.
 * That one finds nobody to take its blocks, and reporting_stop() waits for it.
 */
static void reporting_gate_in(struct reporting *rp)
{
	struct delayed_work *work = &rp->prdev.work;

	cancel_delayed_work_sync(work);
	rp->pass = work->work.func;
	rp->wq = work->wq ?: system_freezable_wq;
	WRITE_ONCE(work->work.func, reporting_work);
}

/* And out again. Each of the two functions is waited for under its own name. */
static void reporting_gate_out(struct reporting *rp)
{
	struct delayed_work *work = &rp->prdev.work;

	cancel_delayed_work_sync(work);
	WRITE_ONCE(work->work.func, rp->pass);
	cancel_delayed_work_sync(work);
}

static int reporting_start(struct intake *in)
{
	struct reporting *rp = to_reporting(in);
	int err;

	policy_init(&rp->policy, mib_to_pages(REPORTING_SLACK_MIB));
	rp->waiting = false;
	rp->noticed_free = 0;
	rp->fall_at = 0;
	rp->prdev.report = reporting_report;
	compat_reporting_capacity_set(&rp->prdev, in->ring);
	rp->old_order = compat_reporting_order_prepare(&rp->prdev,
						       READ_ONCE(aerator_params.order));
	err = page_reporting_register(&rp->prdev);
	if (err)
		return err;
	compat_reporting_order_set(READ_ONCE(aerator_params.order));
	reporting_gate_in(rp);
	WRITE_ONCE(rp->running, true);
	notice_start(&rp->notice);
	reporting_queue(rp, 0);
	return 0;
}

/*
 * From here on the gate lets nothing through, and a pass gets no further than
 * its batch. The kernel's order is put back before anyone else can register.
 */
static void reporting_stop(struct intake *in)
{
	struct reporting *rp = to_reporting(in);

	WRITE_ONCE(rp->running, false);
	wake_up_all(&rp->passed);
	notice_stop(&rp->notice);
	cancel_delayed_work_sync(&rp->prdev.work);
	compat_reporting_order_set(rp->old_order);
	page_reporting_unregister(&rp->prdev);
	reporting_gate_out(rp);
	cancel_delayed_work_sync(&rp->watch);
}

static void reporting_wake(struct intake *in)
{
	reporting_queue(to_reporting(in), 0);
}

/*
 * Ask for a pass at once. The passes that begin after this call will see all
 * that is free now; the ticket is the number of the last one that may not.
 */
static unsigned int reporting_flush_begin(struct intake *in)
{
	struct reporting *rp = to_reporting(in);
	unsigned int ticket = READ_ONCE(rp->begun);

	atomic_inc(&rp->flushes);
	reporting_queue(rp, 0);
	return ticket;
}

static bool reporting_flushed(const struct reporting *rp, unsigned int ticket)
{
	/* Pairs with the release in reporting_rest(). */
	return (int)(smp_load_acquire(&rp->drained) - ticket) > 0;
}

static int reporting_flush_end(struct intake *in, unsigned int ticket)
{
	struct reporting *rp = to_reporting(in);
	long left;

	left = wait_event_interruptible_timeout(rp->passed,
						reporting_flushed(rp, ticket) || reporting_dry(rp),
						msecs_to_jiffies(REPORTING_FLUSH_MS));
	atomic_dec(&rp->flushes);
	if (left <= 0)
		return left ?: -ETIMEDOUT;
	if (reporting_dry(rp))
		return -EAGAIN;
	return READ_ONCE(rp->drained_err) ? -EIO : 0;
}

static unsigned int reporting_order(const struct intake *in)
{
	return compat_reporting_order(&to_reporting(in)->prdev);
}

static u64 reporting_surplus(const struct intake *in)
{
	struct policy_limits limits = reporting_limits();

	return policy_surplus(&to_reporting(in)->policy, reporting_free(),
			      &limits) << PAGE_SHIFT;
}

static void reporting_destroy(struct intake *in)
{
	kfree(to_reporting(in));
}

static const struct intake_ops reporting_ops = {
	.name = "reporting",
	.start = reporting_start,
	.stop = reporting_stop,
	.wake = reporting_wake,
	.flush_begin = reporting_flush_begin,
	.flush_end = reporting_flush_end,
	.order = reporting_order,
	.surplus = reporting_surplus,
	.destroy = reporting_destroy,
};

/**
 * intake_reporting_create - make an intake of the kernel's page reporting
 *
 * The caller sets the rest of &struct intake before it starts it.
 *
 * Return: the intake, stopped, or NULL without memory.
 */
struct intake *intake_reporting_create(void)
{
	struct reporting *rp = kzalloc(sizeof(*rp), GFP_KERNEL);

	if (!rp)
		return NULL;
	rp->in.ops = &reporting_ops;
	rp->notice.noticed = reporting_noticed;
	INIT_DELAYED_WORK(&rp->watch, reporting_watch);
	init_waitqueue_head(&rp->passed);
	return &rp->in;
}

/**
 * intake_reporting_order_min - the smallest order it can be asked for
 *
 * Return: log2 of pages.
 */
unsigned int intake_reporting_order_min(void)
{
	return COMPAT_REPORTING_ORDER_MIN;
}

/**
 * intake_reporting_order_max - the largest order it can be asked for
 *
 * Return: log2 of pages.
 */
unsigned int intake_reporting_order_max(void)
{
	return COMPAT_REPORTING_ORDER_MAX;
}
