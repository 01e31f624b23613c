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
#define GATE_IDLE		0

/* How old what a survey found may get, ms. */
#define GATE_SURVEY_MS		1000U

/* How soon after the first free the intake's work begins, ms. */
#define GATE_SOON_MS		10

/**
 * struct gate - what an intake's work asks before it takes blocks, and tells after
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
 * @running: between start and close; written under the intake's owner's lock
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
 * @passed: woken when @drained changes, and when the gate closes
 */
struct gate {
	struct workqueue_struct *wq;
	struct page_reporting_dev_info *prdev;
	spinlock_t lock; /* see above */
	struct gate_node *nodes;
	struct gate_batch batch;
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

/* The one clock of the gate and its policies, ms. */
static inline u64 gate_ms(void)
{
	return ktime_to_ms(ktime_get());
}

/* What is left of some time since then, ms. */
static inline unsigned int gate_left(u64 since, unsigned int ms)
{
	u64 passed = gate_ms() - since;

	return passed < ms ? ms - passed : 0;
}

/* The intake's owner. */
int gate_init(struct gate *g);
void gate_destroy(struct gate *g);
void gate_start(struct gate *g, struct workqueue_struct *wq,
		struct page_reporting_dev_info *prdev);
void gate_close(struct gate *g);
void gate_stop(struct gate *g);

/**
 * gate_reopen - undo gate_close()
 * @g: the gate, closed and not stopped
 *
 * Context: as gate_close(). The caller queues the intake's work then.
 */
static inline void gate_reopen(struct gate *g)
{
	WRITE_ONCE(g->running, true);
}

/* The intake's work, in this order. */
bool gate_begin(struct gate *g);
bool gate_wants_pass(struct gate *g);
u64 gate_allowance(struct gate *g, int nid);
bool gate_allows(struct gate *g, int nid, u64 pages);
void gate_out(struct gate *g, int nid, s64 pages);
void gate_treat(struct gate *g, int nid, u64 pages);
void gate_passed(struct gate *g, bool complete, int err);
void gate_put_off(struct gate *g);
void gate_end(struct gate *g);

/* intake_survey.c */
bool gate_is_coarse(const struct gate *g);
unsigned int gate_survey_due(const struct gate *g);
bool gate_survey_stale(const struct gate *g);
void gate_survey(struct gate *g);

/* intake_flush.c */
void gate_drained(struct gate *g, unsigned int begun);

/* Anyone. */
bool gate_dry(const struct gate *g);
unsigned int gate_flush_begin(struct gate *g);
int gate_flush_end(struct gate *g, unsigned int ticket);
u64 gate_surplus(struct gate *g);
u64 gate_all_out(struct gate *g);
bool gate_window(struct gate *g, unsigned int i, u64 *cost);

#endif /* AERATOR_INTAKE_PACING_H */
