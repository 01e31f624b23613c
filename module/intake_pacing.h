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
#include "params.h"
#include "policy_rate.h"
#include "stats.h"

/* prdev->state, PAGE_REPORTING_IDLE of mm/page_reporting.c: no pass was requested. */
#define INTAKE_IDLE		0

/* Longest age of the result of a survey, ms. */
#define INTAKE_SURVEY_MS		1000U

/* Delay from a free that wakes the intake's work to its start, ms. */
#define INTAKE_SOON_MS		10

/**
 * struct intake_flush - callers that wait until all surplus is treated (intake_flush.c)
 * @waiters: number of these callers
 * @drained: number of the last run of the work that left no deficit; released after
 *	@drained_err
 * @drained_err: result of that run
 * @left: the deficit at the first pass of the flush, less what was treated since, pages. A
 *	guest that goes on freeing cannot delay the flush. Owned by the work
 * @left_run: number of the run that set @left; owned by the work
 * @done: woken when @drained changes, and when pacing is halted
 */
struct intake_flush {
	atomic_t waiters;
	unsigned int drained;
	int drained_err;
	u64 left;
	unsigned int left_run;
	wait_queue_head_t done;
};

/**
 * struct intake_pacing - decides when an intake's work takes blocks, and how many
 * @wq: workqueue of the intake's work, and of @watch
 * @prdev: the registered device; its delayed work is the intake's work
 * @running: between start and halt; written under the lock of the intake's owner
 * @lock: protects @nodes, @batch, @rate and @awake
 * @nodes: state of each node, by node number; nr_node_ids entries
 * @batch: decides on batches of fixed size
 * @rate: token bucket for the limit of treated memory per second
 * @awake: the work queues itself, and needs no free to wake it
 * @watch: takes a few more samples while not @awake
 * @runs: number of runs of the work, with the present one. This field and the ones below,
 *	except @flush, are owned by the work
 * @woken: when @awake was last set, ms
 * @surveyed: time of the last survey, ms; the watch may read it while not @awake
 * @run_surveyed: the present run has made a survey
 * @pass_err: result of the last pass of the present run
 * @retry_later: the last pass could take nothing for a moment
 * @flush: callers that wait for a flush
 */
struct intake_pacing {
	struct workqueue_struct *wq;
	struct page_reporting_dev_info *prdev;
	bool running;
	spinlock_t lock; /* see above */
	struct intake_node *nodes;
	struct intake_batch batch;
	struct policy_rate rate;
	bool awake;
	struct delayed_work watch;
	unsigned int runs;
	u64 woken;
	u64 surveyed;
	bool run_surveyed;
	int pass_err;
	bool retry_later;
	struct intake_flush flush;
};

/* The clock of pacing and its policies, ms. */
static inline u64 intake_pacing_ms(void)
{
	return ktime_to_ms(ktime_get());
}

/* Time until @ms have passed since the time @since; 0 if they have. */
static inline unsigned int intake_pacing_left(u64 since, unsigned int ms)
{
	u64 passed = intake_pacing_ms() - since;

	return passed < ms ? ms - passed : 0;
}

/**
 * intake_pacing_is_off - must no batch begin, not even in a running pass?
 * @p: the pacing
 *
 * Context: any.
 *
 * Return: true if pacing is halted, or paused by the user (enabled=0).
 */
static inline bool intake_pacing_is_off(const struct intake_pacing *p)
{
	return !READ_ONCE(p->running) || !READ_ONCE(aerator_params.enabled);
}

/* Called by the intake, at its creation, start, stop and end. */
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
 * Context: as intake_pacing_halt(). The caller then queues the intake's work.
 */
static inline void intake_pacing_resume(struct intake_pacing *p)
{
	WRITE_ONCE(p->running, true);
}

/* Called by the intake's work, in this order. */
bool intake_pacing_begin(struct intake_pacing *p);
bool intake_pacing_wants_pass(struct intake_pacing *p);
u64 intake_pacing_allowance(struct intake_pacing *p, int nid);
bool intake_pacing_allows(struct intake_pacing *p, int nid, u64 pages);
void intake_pacing_treat(struct intake_pacing *p, int nid, u64 pages);
void intake_pacing_end_pass(struct intake_pacing *p, bool complete, int err);
void intake_pacing_retry_later(struct intake_pacing *p);
void intake_pacing_end(struct intake_pacing *p);

void intake_pacing_untreat(struct intake_pacing *p, int nid, u64 pages);
void intake_pacing_count_refusal(const struct intake_pacing *p, enum stats_refusal why);

/* intake_survey.c */
bool intake_is_coarse(const struct intake_pacing *p);
unsigned int intake_survey_due(const struct intake_pacing *p);
bool intake_survey_stale(const struct intake_pacing *p);
void intake_survey(struct intake_pacing *p);

/* intake_flush.c */
void intake_flush_drained(struct intake_pacing *p, unsigned int run);

/* Called in other contexts too. */
unsigned int intake_flush_begin(struct intake_pacing *p);
int intake_flush_end(struct intake_pacing *p, unsigned int ticket);
u64 intake_pacing_surplus(struct intake_pacing *p);
s64 intake_pacing_reused(struct intake_pacing *p);
u64 intake_nodes_all_isolated(struct intake_pacing *p);
bool intake_nodes_window(struct intake_pacing *p, unsigned int i, u64 *cost);

#endif /* AERATOR_INTAKE_PACING_H */
