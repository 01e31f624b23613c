/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_GATE_H
#define AERATOR_GATE_H

#include <linux/atomic.h>
#include <linux/page_reporting.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "policy.h"

/* The one value of prdev->state that an intake needs to know: not asked for. */
#define GATE_IDLE		0

/**
 * struct gate - what an intake's work asks before a pass, and tells after it
 * @wq: where the intake's work is queued, and the watch
 * @policy: when a pass may run; owned by the work
 * @noticed_free: free memory when a free was last noticed, pages, or 0
 * @watch: looks whether what was released is taken back
 * @watches: looks that are left
 * @watch_ms: time between them
 * @watch_floor: free memory below this is a fall, pages
 * @fall_at: when it was seen to fall, ms, or 0; released after @fall_free
 * @fall_free: free memory then, pages
 * @waiting: a pass was asked for and is held; owned by the work
 * @running: between start and close; written under the intake's owner's lock
 * @flushes: callers of flush who wait
 * @begun: number of times that the work began, passes and holds
 * @drained: the last of them that left nothing to do; released after
 *	@drained_err
 * @drained_err: how that one ended
 * @passed: woken after each pass and when the gate closes
 */
struct gate {
	struct workqueue_struct *wq;
	struct policy policy;
	u64 noticed_free;
	struct delayed_work watch;
	unsigned int watches;
	unsigned int watch_ms;
	u64 watch_floor;
	u64 fall_at;
	u64 fall_free;
	bool waiting;
	bool running;
	atomic_t flushes;
	unsigned int begun;
	unsigned int drained;
	int drained_err;
	wait_queue_head_t passed;
};

/* The intake's owner. */
void gate_init(struct gate *g);
void gate_start(struct gate *g, struct workqueue_struct *wq);
void gate_close(struct gate *g);
void gate_stop(struct gate *g);

/* The intake's work, in this order. */
bool gate_begin(struct gate *g);
unsigned int gate_wait(struct gate *g);
void gate_hold(struct gate *g, struct page_reporting_dev_info *prdev,
	       unsigned int wait);
void gate_passed(struct gate *g, u64 pages);
void gate_rest(struct gate *g, int err);
void gate_watch(struct gate *g);

/* Anyone. */
bool gate_dry(const struct gate *g);
void gate_noticed(struct gate *g);
unsigned int gate_sample_ms(void);
unsigned int gate_flush_begin(struct gate *g);
int gate_flush_end(struct gate *g, unsigned int ticket);
u64 gate_surplus(const struct gate *g);

#endif /* AERATOR_GATE_H */
