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

/* The driver that this one stands in for, as it calls itself on the bus. */
#define BALLOON_RIVAL	"virtio_balloon"

/* Entries of one chain: more gain nothing, and cost a larger indirect table. */
#define BALLOON_CHAIN_MAX	128

/* How long what the host asks for keeps a guest from going to sleep, at least. */
#define BALLOON_AWAKE_MS	1000

struct balloon;
struct balloon_report;

/**
 * enum trial_result - whether a host drops the memory that it is told of
 * @TRIAL_UNKNOWN: not tried since the device was started
 * @TRIAL_DROPS: what was in it was gone afterwards
 * @TRIAL_KEEPS: it was there as before, though the device has answered
 */
enum trial_result {
	TRIAL_UNKNOWN,
	TRIAL_DROPS,
	TRIAL_KEEPS,
};

/**
 * struct balloon_hint - what a migration is told of free memory
 * @work: follows the host's commands
 * @wq: runs it
 * @running: it may use the queue
 * @changed: the host may have given a command since @wanted was read
 * @wanted: the command that it showed then; as all below: @work, or who stopped it
 * @migrating: there was a command since the host was last done
 * @command: the id that is being served, or VIRTIO_BALLOON_CMD_ID_STOP
 * @done: the last one that was
 * @left: pages that may still be hinted to this migration
 * @says: what the device reads
 */
struct balloon_hint {
	struct work_struct work;
	struct workqueue_struct *wq;
	bool running;
	bool migrating;
	int changed;	/* not all can exchange a byte */
	u32 wanted;
	u32 command;
	u32 done;
	u64 left;
	__virtio32 says;
};

/**
 * struct aerator - a balloon device that is bound to this driver
 * @vdev: the device
 * @inflate_vq: the queue of pages that the host gets
 * @deflate_vq: and of those that it gives back
 * @statistics_vq: the statistics queue, NULL if the device has none
 * @hint_vq: the queue of free page hint, NULL if the device has none
 * @reporting_vq: the queue on which free memory is reported
 * @taken_over: virtio_balloon had it before; does not change
 * @up: queues and intake are running; balloon_mutex
 * @removing: the device is being unbound: nothing begins anew; balloon_mutex
 * @failed: the device was reset because it did not behave; from then on only
 *	lifecycle_stop() and lifecycle_start() make it usable. Set under @reset_lock,
 *	after the reset; cleared when nothing runs
 * @reset_lock: one task at a time does that
 * @stuck: the device was silent, and could not be reset; @reset_lock to write
 * @pinned: the module is in use for that; @reset_lock
 * @asked: requests of it that were ever begun
 * @ended: how many of them are over
 * @retry_ms: delay of the next recovery, ms; @reset_lock, or as the reactors
 * @intakes: the sources of blocks that there are; as long as the device is bound
 * @intake: the one that is started, or was last; balloon_mutex to change
 * @reactors: the batches; the first @intake->nr_reactors are in use, and owned by
 *	the intake's work
 * @runs: their entries; there while @up
 * @sg: one chain on its way to the queue, as @reactors
 * @heard: when the device last showed that it is alive, jiffies; as @reactors
 * @answered: woken by the reporting queue's interrupt
 * @told: woken by that of the queues of requests, and when a wait for an answer ends
 * @urgent: the guest is out of memory and waits for one of these
 * @stats: what was done so far
 * @reports: whether the host drops what is reported; the intake's work, or before it
 * @recover: brings a failed device back
 * @config: looks at a change of the device's configuration
 * @balloon: what is in the balloon
 * @hint: free page hint
 * @answer: answers a request for statistics
 * @answering: it may use the queue
 * @report: the buffer of that answer; the device's while it is on the queue
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
	struct mutex reset_lock;	/* the reset of a device that does not behave */
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

/* balloon_features.c: what a device offers, and what is made of it */
const char *balloon_features_refusal(struct virtio_device *vdev);
u32 balloon_features_poison(void);
int balloon_features_validate(struct virtio_device *vdev);

/* balloon_lifecycle.c: up, down, and up again */
int balloon_lifecycle_begin(struct aerator *a);
void balloon_lifecycle_end(struct aerator *a);
void balloon_lifecycle_freeze(struct aerator *a);
void balloon_lifecycle_restore(struct aerator *a);
void balloon_lifecycle_recover(struct work_struct *work);
void balloon_leave(struct aerator *a);
void balloon_wake(void);
int balloon_restart(void);
int balloon_flush(struct aerator *a);
void balloon_shutdown(void);

/* balloon_reset.c: a device that does not behave */
bool balloon_reset_device(struct virtio_device *vdev);
void balloon_reset_recover_soon(struct aerator *a);
void balloon_fail(struct aerator *a, const char *why);
void balloon_answered(struct aerator *a);

/**
 * balloon_has_failed - was the device reset because it did not behave?
 * @a: the device
 *
 * Context: any.
 *
 * Return: true if it was, and has forgotten what it had.
 */
static inline bool balloon_has_failed(const struct aerator *a)
{
	/* Pairs with balloon_fail(): the reset is over before memory is given back. */
	return smp_load_acquire(&a->failed);
}

/* balloon_queues.c: which queues there are */
int balloon_queues_find(struct aerator *a);
void balloon_queues_delete(struct aerator *a);
void balloon_queues_abandon(struct aerator *a);

/* balloon_quiesce.c: before anything stops */
int balloon_quiesce_intake(struct aerator *a);
void balloon_quiesce_leave(struct aerator *a);
bool balloon_quiesce_try(struct aerator *a);
void balloon_quiesce_wait(struct aerator *a);
void balloon_quiesce_stick(struct aerator *a);
void balloon_quiesce_unstick(struct aerator *a);

/**
 * struct balloon_vq_wait - a wait for answers of the device
 * @vq: the queue
 * @answered: woken by its interrupt, and when the device failed
 * @heard: when the device last showed on it that it is alive, jiffies
 * @look: takes what was answered, notes that in @heard, and says whether the wait is
 *	over; does not sleep
 */
struct balloon_vq_wait {
	struct virtqueue *vq;
	wait_queue_head_t *answered;
	unsigned long *heard;
	bool (*look)(struct aerator *a, struct balloon_vq_wait *wait);
};

/* balloon_vq.c: queues on which one asks and waits */
bool balloon_vq_await(struct aerator *a, struct balloon_vq_wait *wait);
void balloon_vq_acked(struct virtqueue *vq);
int balloon_vq_tell(struct aerator *a, struct virtqueue *vq, void *what, unsigned int len);
int balloon_vq_wait(struct aerator *a, struct virtqueue *vq, unsigned int nr);

/* balloon_inflate.c: inflate and deflate */
int balloon_inflate_create(struct aerator *a);
void balloon_inflate_start(struct aerator *a);
void balloon_inflate_stop(struct aerator *a);
void balloon_inflate_empty(struct aerator *a);
void balloon_inflate_destroy(struct aerator *a);
unsigned long balloon_inflate_size(const struct aerator *a);

/* balloon_trial.c: does the host drop what it is told of? */
void balloon_trial_report(struct aerator *a);
const char *balloon_trial_word(const struct aerator *a);

/* balloon_target.c: how much the host wants in the balloon */
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

/* balloon_takeover.c: from virtio_balloon, and back to it */
int balloon_takeover_start(void);
void balloon_takeover_stop(void);
void balloon_takeover(void);

/* sysfs.c */
extern const struct attribute_group *sysfs_groups[];

#endif /* AERATOR_BALLOON_H */
