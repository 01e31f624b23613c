/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_PACING_H
#define AERATOR_INTAKE_PACING_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/ktime.h>
#include <linux/page_reporting.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "intake_batch.h"
#include "policy_rate.h"

/* The one value of prdev->state that an intake needs to know: not asked for. */
#define INTAKE_IDLE		0

/* How old what a survey found may get, ms. */
#define INTAKE_SURVEY_MS		1000U

/* How soon after the first free the intake's work begins, ms. */
#define INTAKE_SOON_MS		10

/**
 * struct intake_pacing - what an intake's work asks before it takes blocks, and tells after
 * @wq: where the intake's work is queued, and the watch
 * @prdev: the device that is registered, whose work the intake's is
 * @lock: for @nodes, @batch, @rate and @awake
 * @nodes: what is free on each node, by its number; nr_node_ids of them
 * @batch: where batches cannot be made smaller, how they are weighed
 * @rate: how much may be treated a second
 * @surveyed: when it was last found out what is treated, ms; owned by the work, and by
 *	the watch while not @awake
 * @fresh: that was in the running work; owned by the work
 * @woken: when @awake was last set, ms; owned by the work
 * @awake: the work comes back by itself; no free has to wake it
 * @watch: looks now and then for a while, when not @awake
 * @running: between start and halt; written under the intake's owner's lock
 * @flushes: callers of flush who wait
 * @begun: number of times that the work began
 * @drained: the last of them that left nothing to do; released after
 *	@drained_err
 * @drained_err: how that one ended
 * @err: how the last pass of the running work ended; owned by the work
 * @put_off: it could take nothing just now; owned by the work
 * @owed: what is left, pages, of what was surplus when the first pass for those
 *	who flush began: a guest that goes on freeing must not hold them; owned by
 *	the work
 * @series: @begun then
 * @passed: woken when @drained changes, and when pacing is halted
 */
struct intake_pacing {
	struct workqueue_struct *wq;
	struct page_reporting_dev_info *prdev;
	spinlock_t lock; /* see above */
	struct intake_node *nodes;
	struct intake_batch batch;
	struct policy_rate rate;
	u64 surveyed;
	bool fresh;
	u64 woken;
	bool awake;
	struct delayed_work watch;
	bool running;
	atomic_t flushes;
	unsigned int begun;
	unsigned int drained;
	int drained_err;
	int err;
	bool put_off;
	u64 owed;
	unsigned int series;
	wait_queue_head_t passed;
};

/* The one clock of pacing and its policies, ms. */
static inline u64 intake_pacing_ms(void)
{
	return ktime_to_ms(ktime_get());
}

/* What is left of some time since then, ms. */
static inline unsigned int intake_pacing_left(u64 since, unsigned int ms)
{
	u64 passed = intake_pacing_ms() - since;

	return passed < ms ? ms - passed : 0;
}

/* The intake's owner. */
int intake_pacing_init(struct intake_pacing *p);
void intake_pacing_destroy(struct intake_pacing *p);
void intake_pacing_start(struct intake_pacing *p, struct workqueue_struct *wq,
			 struct page_reporting_dev_info *prdev);
void intake_pacing_halt(struct intake_pacing *p);
void intake_pacing_stop(struct intake_pacing *p);

/**
 * intake_pacing_resume - undo intake_pacing_halt()
 * @p: the pacing, halted and not stopped
 *
 * Context: as intake_pacing_halt(). The caller queues the intake's work then.
 */
static inline void intake_pacing_resume(struct intake_pacing *p)
{
	WRITE_ONCE(p->running, true);
}

/* The intake's work, in this order. */
bool intake_pacing_begin(struct intake_pacing *p);
bool intake_pacing_wants_pass(struct intake_pacing *p);
u64 intake_pacing_allowance(struct intake_pacing *p, int nid);
bool intake_pacing_allows(struct intake_pacing *p, int nid, u64 pages);
void intake_pacing_out(struct intake_pacing *p, int nid, s64 pages);
void intake_pacing_treat(struct intake_pacing *p, int nid, u64 pages);
void intake_pacing_passed(struct intake_pacing *p, bool complete, int err);
void intake_pacing_put_off(struct intake_pacing *p);
void intake_pacing_end(struct intake_pacing *p);

/* intake_survey.c */
bool intake_is_coarse(const struct intake_pacing *p);
unsigned int intake_survey_due(const struct intake_pacing *p);
bool intake_survey_stale(const struct intake_pacing *p);
void intake_survey(struct intake_pacing *p);

/* intake_flush.c */
void intake_flush_drained(struct intake_pacing *p, unsigned int begun);

/* Anyone. */
bool intake_pacing_is_off(const struct intake_pacing *p);
unsigned int intake_flush_begin(struct intake_pacing *p);
int intake_flush_end(struct intake_pacing *p, unsigned int ticket);
u64 intake_pacing_surplus(struct intake_pacing *p);
u64 intake_nodes_all_out(struct intake_pacing *p);
bool intake_nodes_window(struct intake_pacing *p, unsigned int i, u64 *cost);

#endif /* AERATOR_INTAKE_PACING_H */
