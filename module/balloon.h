/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_BALLOON_H
#define AERATOR_BALLOON_H

#include <linux/device.h>
#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "intake.h"
#include "params.h"
#include "reactor.h"
#include "stats.h"

/* The driver that this one stands in for, as it calls itself on the bus. */
#define BALLOON_RIVAL	"virtio_balloon"

/* Entries of one chain: more gain nothing, and cost a larger indirect table. */
#define BALLOON_CHAIN_MAX	128

struct balloon_report;

/**
 * struct aerator - a balloon device that is bound to this driver
 * @vdev: the device
 * @hinting: the queue on which free memory is reported
 * @statistics: the statistics queue, NULL if the device has none
 * @up: queues and intake are running; balloon_mutex
 * @gone: the device is being unbound: no more recovery; balloon_mutex
 * @lost: the device was reset under a batch; from then on only balloon_stop()
 *	and balloon_start() make it usable. Set by the work that runs the batch,
 *	which is not running when they do.
 * @retry_ms: delay of the next recovery, ms; as @lost
 * @intakes: the sources of blocks that there are; as long as the device is bound
 * @intake: the one that is started, or was last; balloon_mutex to change
 * @reactors: the batches; the first @intake->nr_reactors are in use, and owned by
 *	the intake's work
 * @runs: their entries; there while @up
 * @sg: one chain on its way to the queue, as @reactors
 * @heard: when the device last showed that it is alive, jiffies; as @reactors
 * @answered: woken by the device's interrupt
 * @stats: what was done so far
 * @recover: brings a lost device back
 * @config: looks at a change of the device's configuration
 * @answer: answers a request for statistics
 * @answering: it may use the queue
 * @report: the buffer of that answer; the device's while it is on the queue
 */
struct aerator {
	struct virtio_device *vdev;
	struct virtqueue *hinting;
	struct virtqueue *statistics;
	bool up;
	bool gone;
	bool lost;
	unsigned int retry_ms;
	struct intake *intakes[INTAKE_KINDS];
	struct intake *intake;
	struct reactor reactors[PARAMS_REACTORS_MAX];
	struct reactor_run *runs;
	struct scatterlist sg[BALLOON_CHAIN_MAX];
	unsigned long heard;
	wait_queue_head_t answered;
	struct aerator_stats stats;
	struct delayed_work recover;
	struct work_struct config;
	struct work_struct answer;
	bool answering;
	struct balloon_report *report;
};

/* balloon_device.c: the virtio driver */
extern struct virtio_driver balloon_driver;
const char *balloon_refusal(struct virtio_device *vdev);
void balloon_recover_soon(struct aerator *a);
void balloon_wake(void);
int balloon_restart(void);
int balloon_flush(struct aerator *a);
void balloon_shutdown(void);

/* balloon_hinting.c: the hinting queue */
void hinting_acked(struct virtqueue *vq);
int hinting_send(void *owner, struct reactor *r);
int hinting_settle(void *owner, struct reactor *r);

/* balloon_statistics.c: the statistics queue */
int statistics_create(struct aerator *a);
void statistics_start(struct aerator *a);
void statistics_stop(struct aerator *a);
void statistics_destroy(struct aerator *a);
void statistics_asked(struct virtqueue *vq);

/* balloon_takeover.c: from virtio_balloon, and back to it */
int takeover_start(void);
void takeover_stop(void);
void balloon_takeover(void);
bool takeover_of(const struct device *dev);

/* sysfs.c */
extern const struct attribute_group *sysfs_groups[];

#endif /* AERATOR_BALLOON_H */
