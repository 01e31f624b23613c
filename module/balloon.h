/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_BALLOON_H
#define AERATOR_BALLOON_H

#include <linux/device.h>
#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_types.h>
#include "intake.h"
#include "params.h"
#include "reactor.h"
#include "stats.h"

/* Name on the bus of the driver that this one replaces. */
#define BALLOON_RIVAL	"virtio_balloon"

/* Most entries of one chain: more have no benefit, and need a larger indirect table. */
#define BALLOON_CHAIN_MAX	128

/* Shortest time that a request of the host keeps the guest from suspending, ms. */
#define BALLOON_AWAKE_MS	1000

struct balloon;
struct statistics_buffer;

/**
 * enum trial_result - whether the host discards reported memory
 * @TRIAL_UNKNOWN: no trial since the device was started
 * @TRIAL_DROPS: the content of the block was gone after the trial
 * @TRIAL_KEEPS: the content was unchanged, although the device has answered
 */
enum trial_result {
	TRIAL_UNKNOWN,
	TRIAL_DROPS,
	TRIAL_KEEPS,
};

/**
 * struct balloon_hint - state of free page hint
 * @work: serves the host's commands
 * @wq: workqueue of @work
 * @running: @work may use the queue
 * @changed: the host may have given a command since @wanted was read
 * @wanted: command id when it was last read. This field and the ones below are owned by
 *	@work; while @work is stopped, by balloon_hint_start() and balloon_hint_stop()
 * @migrating: there was a command since the last VIRTIO_BALLOON_CMD_ID_DONE
 * @command: the id that is being served, or VIRTIO_BALLOON_CMD_ID_STOP
 * @done: the last id that was served to the end
 * @left: pages that may still be hinted to this migration
 * @says: buffer for the id that the device reads
 */
struct balloon_hint {
	struct work_struct work;
	struct workqueue_struct *wq;
	bool running;
	bool migrating;
	int changed;	/* int: not every architecture has xchg() of a byte */
	u32 wanted;
	u32 command;
	u32 done;
	u64 left;
	__virtio32 says;
};

/**
 * struct balloon_requests - requests to the device (balloon_vq.c)
 * @acked: woken by the interrupts of the request queues (inflate, deflate, hint) and of the
 *	reporting queue, and when a wait for an answer ends
 * @begun: number of requests that were begun
 * @ended: number of these requests that have ended
 * @urgent: the guest is out of memory, and its OOM notifier waits for a request; written
 *	under the kernel's oom_lock
 */
struct balloon_requests {
	wait_queue_head_t acked;
	atomic_t begun;
	atomic_t ended;
	bool urgent;
};

/**
 * struct balloon_stage_time - what a stage took, of all batches since the device was bound
 * @batches: number of batches that left the stage
 * @ns: sum of their times in it, nanoseconds
 *
 * Written by the intake's work; read in any context.
 */
struct balloon_stage_time {
	atomic64_t batches;
	atomic64_t ns;
};

/**
 * struct balloon_reporting - the reporting queue and its batches (balloon_reporting.c)
 * @reactors: the batches; the first &struct intake.nr_reactors are in use
 * @runs: entries of all @reactors; valid while &struct aerator.up
 * @sg: scatterlist of the chain that is put on the queue
 * @last_answer: time of the device's last answer on the queue, jiffies
 * @acked: woken by the interrupt of the queue
 * @times: time in each stage
 *
 * Not locked: owned by the work of the intake that is started. @runs: balloon_mutex, to
 * change. Other contexts may read the stages of @reactors, and @times.
 */
struct balloon_reporting {
	struct reactor reactors[PARAMS_REACTORS_MAX];
	struct reactor_run *runs;
	struct scatterlist sg[BALLOON_CHAIN_MAX];
	unsigned long last_answer;
	wait_queue_head_t acked;
	struct balloon_stage_time times[REACTOR_STAGES];
};

/**
 * struct balloon_statistics - the statistics queue (balloon_statistics.c)
 * @work: answers a request for statistics
 * @running: @work may use the queue; balloon_mutex to write
 * @buffer: the answer; owned by the device while it is on the queue, and else by @work
 */
struct balloon_statistics {
	struct work_struct work;
	bool running;
	struct statistics_buffer *buffer;
};

/**
 * struct balloon_reset - reset of the device, and its recovery (balloon_reset.c)
 * @lock: serialises resets; protects @failed, @stuck and @pinned
 * @failed: the device was reset after an error; from then on only lifecycle_stop() and
 *	lifecycle_start() make it usable. Set after the reset; cleared, without @lock,
 *	while nothing uses the device
 * @stuck: the device did not answer, and could not be reset (balloon_quiesce.c)
 * @pinned: a reference to the module is held because of @stuck
 * @retry_ms: delay of the next recovery, ms; 0 after an answer of the device. Not locked: a
 *	race changes one delay
 * @recover: restarts a failed device
 */
struct balloon_reset {
	struct mutex lock;	/* serialises resets */
	bool failed;
	bool stuck;
	bool pinned;
	unsigned int retry_ms;
	struct delayed_work recover;
};

/**
 * struct aerator - a balloon device that is bound to this driver
 * @vdev: the device
 * @inflate_vq: the inflate queue
 * @deflate_vq: the deflate queue
 * @statistics_vq: the statistics queue, NULL if the device has none
 * @hint_vq: the free page hint queue, NULL if the device has none
 * @reporting_vq: the free page reporting queue
 * @taken_over: the device was taken over from virtio_balloon; does not change
 * @up: queues and intake are running; balloon_mutex
 * @removing: the device is being unbound, and is not started again; balloon_mutex
 * @intakes: one intake of each kind, for as long as the device is bound
 * @intake: the intake that is started, or was last; balloon_mutex to change
 * @config_work: handles a change of the device's configuration
 * @stats: counters
 * @trial: whether the host discards reported memory; owned by the intake's work, or,
 *	before the intake is started, by balloon_mutex
 * @balloon: the pages in the balloon
 * @hint: free page hint
 * @requests: requests on the inflate, deflate and hint queues
 * @reporting: batches on the reporting queue
 * @statistics: the statistics queue
 * @reset: reset and recovery
 *
 * The queues are set up while nothing uses the device, under balloon_mutex.
 */
struct aerator {
	struct virtio_device *vdev;
	struct virtqueue *inflate_vq;
	struct virtqueue *deflate_vq;
	struct virtqueue *statistics_vq;
	struct virtqueue *hint_vq;
	struct virtqueue *reporting_vq;
	bool taken_over;
	bool up;
	bool removing;
	struct intake *intakes[INTAKE_KINDS];
	struct intake *intake;
	struct work_struct config_work;
	struct aerator_stats stats;
	enum trial_result trial;
	struct balloon *balloon;
	struct balloon_hint hint;
	struct balloon_requests requests;
	struct balloon_reporting reporting;
	struct balloon_statistics statistics;
	struct balloon_reset reset;
};

/* balloon_driver.c: the virtio driver */
extern struct virtio_driver balloon_driver;
void balloon_driver_take(const struct device *dev);
int balloon_driver_watch(void);
void balloon_driver_unwatch(void);

/* balloon_features.c: feature negotiation */
const char *balloon_features_refusal(struct virtio_device *vdev);
u32 balloon_features_poison(void);
int balloon_features_validate(struct virtio_device *vdev);

/* balloon_lifecycle.c: start, stop, suspend, recovery */
int balloon_lifecycle_begin(struct aerator *a);
void balloon_lifecycle_end(struct aerator *a);
int balloon_lifecycle_freeze(struct aerator *a);
void balloon_lifecycle_restore(struct aerator *a);
void balloon_lifecycle_recover(struct work_struct *work);
void balloon_lifecycle_prepare_end(struct aerator *a);
void balloon_wake(void);
int balloon_restart(void);
int balloon_flush(struct aerator *a);
void balloon_shutdown(void);

/* balloon_reset.c: reset of a device after an error */
bool balloon_reset_device(struct aerator *a);
void balloon_reset_recover_soon(struct aerator *a);
void balloon_fail(struct aerator *a, const char *why);
void balloon_answered(struct aerator *a);

/**
 * balloon_has_failed - was the device reset after an error?
 * @a: the device
 *
 * Context: any.
 *
 * Return: true if it was; it then has no access to any page.
 */
static inline bool balloon_has_failed(const struct aerator *a)
{
	/* Pairs with balloon_reset_device(): the reset is over before pages are freed. */
	return smp_load_acquire(&a->reset.failed);
}

/* balloon_queues.c: the virtqueues of the device */
int balloon_queues_find(struct aerator *a);
void balloon_queues_delete(struct aerator *a);
void balloon_queues_abandon(struct aerator *a);

/* balloon_quiesce.c: waits for batches in flight, before a stop */
int balloon_quiesce_intake(struct aerator *a);
void balloon_quiesce_cancel(struct aerator *a);
void balloon_quiesce_begin(struct aerator *a);
bool balloon_quiesce_try(struct aerator *a);
void balloon_quiesce_wait(struct aerator *a);
void balloon_quiesce_set_stuck(struct aerator *a);
void balloon_quiesce_clear_stuck(struct aerator *a);

/**
 * struct balloon_vq_wait - a wait for answers of the device
 * @vq: the queue
 * @acked: woken by the queue's interrupt, and when the device failed
 * @last_answer: time of the last answer on the queue, jiffies
 * @poll: takes the used buffers off the queue, updates @last_answer, and returns true if
 *	the wait is over; does not sleep
 */
struct balloon_vq_wait {
	struct virtqueue *vq;
	wait_queue_head_t *acked;
	unsigned long *last_answer;
	bool (*poll)(struct aerator *a, struct balloon_vq_wait *wait);
};

/* balloon_vq.c: requests, and waiting for their answers */
bool balloon_vq_await(struct aerator *a, struct balloon_vq_wait *wait);
void balloon_vq_acked(struct virtqueue *vq);
int balloon_vq_tell(struct aerator *a, struct virtqueue *vq, void *what, unsigned int len);
int balloon_vq_wait(struct aerator *a, struct virtqueue *vq, unsigned int nr);

/* balloon_inflate.c: inflate and deflate */
int balloon_inflate_create(struct aerator *a);
void balloon_inflate_start(struct aerator *a);
void balloon_inflate_stop(struct aerator *a);
void balloon_inflate_empty(struct aerator *a);
int balloon_inflate_try_empty(struct aerator *a);
void balloon_inflate_destroy(struct aerator *a);
unsigned long balloon_inflate_size(const struct aerator *a);

/* balloon_trial.c: does the host discard reported memory? */
void balloon_trial_report(struct aerator *a);
const char *balloon_trial_name(const struct aerator *a);

/* balloon_target.c: the size of the balloon that the host wants */
int balloon_target_create(struct aerator *a);
void balloon_target_destroy(struct aerator *a);
void balloon_target_start(struct aerator *a);
void balloon_target_stop(struct aerator *a);
void balloon_target_changed(struct aerator *a);

/* balloon_hint.c: free page hint */
int balloon_hint_create(struct aerator *a);
void balloon_hint_destroy(struct aerator *a);
void balloon_hint_start(struct aerator *a);
void balloon_hint_stop(struct aerator *a);
void balloon_hint_changed(struct aerator *a);
unsigned long balloon_hint_held(void);
unsigned long balloon_hint_return(unsigned long pages);

/* balloon_reporting.c: the reporting queue */
void balloon_reporting_acked(struct virtqueue *vq);
void balloon_reporting_left(struct reactor *r, enum reactor_stage stage, u64 ns);
int balloon_reporting_send(void *owner, struct reactor *r);
int balloon_reporting_settle(void *owner, struct reactor *r);

/* balloon_statistics.c: the statistics queue */
int balloon_statistics_create(struct aerator *a);
void balloon_statistics_start(struct aerator *a);
void balloon_statistics_stop(struct aerator *a);
void balloon_statistics_abandon(struct aerator *a);
void balloon_statistics_destroy(struct aerator *a);
void balloon_statistics_requested(struct virtqueue *vq);

/* balloon_takeover.c: takes devices from virtio_balloon, and gives them back */
int balloon_takeover_start(void);
void balloon_takeover_stop(void);
void balloon_takeover(void);

/* sysfs.c */
extern const struct attribute_group *sysfs_groups[];

#endif /* AERATOR_BALLOON_H */
