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
struct balloon_report;

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
 * @failed: the device was reset after an error; from then on only lifecycle_stop() and
 *	lifecycle_start() make it usable. Set under @reset_lock, after the reset;
 *	cleared while nothing uses the device
 * @reset_lock: serialises resets of the device
 * @stuck: the device did not answer, and could not be reset; @reset_lock to write
 * @pinned: a reference to the module is held because of @stuck; @reset_lock
 * @asked: number of requests that were begun
 * @ended: number of these requests that have ended
 * @retry_ms: delay of the next recovery, ms; @reset_lock, or as @reactors
 * @intakes: one intake of each kind, for as long as the device is bound
 * @intake: the intake that is started, or was last; balloon_mutex to change
 * @reactors: the batches; the first @intake->nr_reactors are in use, and owned by
 *	the intake's work
 * @runs: entries of all @reactors; valid while @up
 * @sg: scatterlist of the chain that is put on the queue; as @reactors
 * @heard: time of the device's last answer on the reporting queue, jiffies; as @reactors
 * @answered: woken by the interrupt of the reporting queue
 * @told: woken by the interrupts of the request queues (inflate, deflate, hint) and of
 *	the reporting queue, and when a wait for an answer ends
 * @urgent: the guest is out of memory, and its OOM notifier waits for a request
 * @stats: counters
 * @reports: whether the host discards reported memory; the intake's work, or before it
 * @recover: restarts a failed device
 * @config: handles a change of the device's configuration
 * @balloon: the pages in the balloon
 * @hint: free page hint
 * @answer: answers a request for statistics
 * @answering: @answer may use the queue
 * @report: buffer of the answer; owned by the device while it is on the queue
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
	bool failed;
	struct mutex reset_lock;	/* serialises resets of the device */
	bool stuck;
	bool pinned;
	atomic_t asked;
	atomic_t ended;
	unsigned int retry_ms;
	struct intake *intakes[INTAKE_KINDS];
	struct intake *intake;
	struct reactor reactors[PARAMS_REACTORS_MAX];
	struct reactor_run *runs;
	struct scatterlist sg[BALLOON_CHAIN_MAX];
	unsigned long heard;
	wait_queue_head_t answered;
	wait_queue_head_t told;
	bool urgent;
	struct aerator_stats stats;
	enum trial_result reports;
	struct delayed_work recover;
	struct work_struct config;
	struct balloon *balloon;
	struct balloon_hint hint;
	struct work_struct answer;
	bool answering;
	struct balloon_report *report;
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
void balloon_leave(struct aerator *a);
void balloon_wake(void);
int balloon_restart(void);
int balloon_flush(struct aerator *a);
void balloon_shutdown(void);

/* balloon_reset.c: reset of a device after an error */
bool balloon_reset_device(struct virtio_device *vdev);
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
	/* Pairs with balloon_fail(): the reset is over before pages are freed. */
	return smp_load_acquire(&a->failed);
}

/* balloon_queues.c: the virtqueues of the device */
int balloon_queues_find(struct aerator *a);
void balloon_queues_delete(struct aerator *a);
void balloon_queues_abandon(struct aerator *a);

/* balloon_quiesce.c: waits for batches in flight, before a stop */
int balloon_quiesce_intake(struct aerator *a);
void balloon_quiesce_cancel(struct aerator *a);
void balloon_quiesce_leave(struct aerator *a);
bool balloon_quiesce_try(struct aerator *a);
void balloon_quiesce_wait(struct aerator *a);
void balloon_quiesce_stick(struct aerator *a);
void balloon_quiesce_unstick(struct aerator *a);

/**
 * struct balloon_vq_wait - a wait for answers of the device
 * @vq: the queue
 * @answered: woken by the queue's interrupt, and when the device failed
 * @heard: time of the last answer on the queue, jiffies
 * @look: takes the used buffers off the queue, updates @heard, and returns true if the
 *	wait is over; does not sleep
 */
struct balloon_vq_wait {
	struct virtqueue *vq;
	wait_queue_head_t *answered;
	unsigned long *heard;
	bool (*look)(struct aerator *a, struct balloon_vq_wait *wait);
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
const char *balloon_trial_word(const struct aerator *a);

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
int balloon_reporting_send(void *owner, struct reactor *r);
int balloon_reporting_settle(void *owner, struct reactor *r);

/* balloon_statistics.c: the statistics queue */
int balloon_statistics_create(struct aerator *a);
void balloon_statistics_start(struct aerator *a);
void balloon_statistics_stop(struct aerator *a);
void balloon_statistics_abandon(struct aerator *a);
void balloon_statistics_destroy(struct aerator *a);
void balloon_statistics_asked(struct virtqueue *vq);

/* balloon_takeover.c: takes devices from virtio_balloon, and gives them back */
int balloon_takeover_start(void);
void balloon_takeover_stop(void);
void balloon_takeover(void);

/* sysfs.c */
extern const struct attribute_group *sysfs_groups[];

#endif /* AERATOR_BALLOON_H */
