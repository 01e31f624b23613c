/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_DEVICE_H
#define AERATOR_DEVICE_H

#include <linux/device.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/virtio.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/virtio_balloon.h>
#include <uapi/linux/virtio_ring.h>

/* Most buffers of one chain. */
#define DEVICE_CHAIN_MAX	128

/* The queues, in the order of the specification (virtio 1.2, 5.5.2). */
enum device_kind {
	KIND_INFLATE,
	KIND_DEFLATE,
	KIND_STATS,
	KIND_FREE_PAGE,
	KIND_REPORTING,
	KINDS
};

struct device_queue;

/**
 * struct device_split - the device's side of a ring
 * @vring: where its parts are
 * @event: the driver says from which entry on it wants an interrupt
 * @taken: how many chains were taken off it
 * @used: how many entries were put on it
 * @told: @used when the driver was last told of them, or did not want to be
 */
struct device_split {
	struct vring vring;
	bool event;
	u16 taken;
	u16 used;
	u16 told;
};

/**
 * struct device_buffers - a part of a chain
 * @iov: the first; addresses are physical
 * @used: how many
 */
struct device_buffers {
	const struct kvec *iov;
	unsigned int used;
};

/**
 * struct device_chain - buffers that the driver gave, and has not got back
 * @list: in &device_queue.held, in the order in which they came
 * @head: what the driver knows it by
 * @mark: makes the pattern of its pages unlike that of others'
 * @due: when it is to be answered, jiffies; 0 until somebody asks
 * @spoilt: got a wrong answer, and is to have no other for now
 * @kept: what is in its pages was left there
 * @out: buffers for the device to read
 * @in: buffers for the device to write
 * @iov: both
 */
struct device_chain {
	struct list_head list;
	u16 head;
	u64 mark;
	unsigned long due;
	bool spoilt;
	bool kept;
	struct device_buffers out;
	struct device_buffers in;
	struct kvec iov[DEVICE_CHAIN_MAX];
};

/**
 * struct device_kind_ops - what the buffers of a queue are for
 * @name: of its folder
 * @feature: the feature that the queue comes with, or -1
 * @took: a chain became the device's
 * @give: it is the driver's again, answered or by a reset
 * @asks: the device answers only when it wants to be asked again
 */
struct device_kind_ops {
	const char *name;
	int feature;
	void (*took)(struct device_queue *q, struct device_chain *chain);
	void (*give)(struct device_queue *q, struct device_chain *chain);
	bool asks;
};

/**
 * struct device_behaviour - how a queue is served
 * @name: what is written to and read from the file
 * @serve: looks at &device_queue.held; under the device's lock
 */
struct device_behaviour {
	const char *name;
	void (*serve)(struct device_queue *q);
};

/**
 * struct device_queue - one queue, as long as the module is loaded
 * @ops: what it is for
 * @vq: the driver's side of it, NULL while it is not set up
 * @ring: our side, if @vq is set
 * @work: takes, serves and answers
 * @interrupt: tells the driver, as a device does: in hard interrupt context
 * @held: chains that are the device's
 * @behaviour: how they are served
 * @asked: &device_kind_ops.asks and the device wants to; one answer
 * @taken: chains so far
 * @answered: of those, how many were given back
 * @bytes: in buffers for the device to write
 * @deaf: so many of the driver's next kicks are lost
 */
struct device_queue {
	const struct device_kind_ops *ops;
	struct virtqueue *vq;
	struct device_split ring;
	struct delayed_work work;
	struct irq_work interrupt;
	struct list_head held;
	const struct device_behaviour *behaviour;
	bool asked;
	u64 taken;
	u64 answered;
	u64 bytes;
	u32 deaf;
};

/**
 * struct balloon_host - the device, and the host behind it. There is one.
 * @parent: what it sits on
 * @vdev: what drivers see; NULL after it has disappeared
 * @lock: see there
 * @comings: see there; outside of @lock
 * @wq: serves the queues, in turn
 * @status: the driver's, and DEVICE_NEEDS_RESET
 * @stubborn: so many of the next resets only mark it as failed, and it goes on
 * @refuse: so many of the driver's next negotiations fail
 * @gone: the device is not there any more, whatever the driver still thinks
 * @keeps: what is in pages that it is told of stays there
 * @numbers_max: a longer buffer of page numbers is answered and not read; 0 for none
 * @features: those that are offered
 * @config: the configuration space
 * @generation: of that
 * @swing: the configuration changes under the driver so often, then is steady
 * @config_interrupt: says that it changed
 * @leave: work that makes it disappear
 * @pages: what is in the balloon: 4 KiB page number to &era in which it came
 * @in_balloon: how many came in this era
 * @era: counts resets that made the host forget the balloon
 * @queues: by &enum device_kind
 * @resets: how often drivers did that
 * @violations: what the driver must not have done
 * @hinted: the last command that came through the free page queue
 * @stats: what came through the statistics queue
 * @nr_stats: how many of them
 */
struct balloon_host {
	struct device *parent;
	struct virtio_device *vdev;
	struct mutex lock;	/* all of it */
	struct mutex comings;	/* @vdev comes and goes */
	struct workqueue_struct *wq;
	u8 status;
	u32 stubborn;
	u32 refuse;
	bool gone;
	bool keeps;
	u32 numbers_max;
	u64 features;
	struct virtio_balloon_config config;
	u32 generation;
	unsigned int swing;
	struct irq_work config_interrupt;
	struct work_struct leave;
	struct xarray pages;
	u64 in_balloon;
	unsigned long era;
	struct device_queue queues[KINDS];
	u64 resets;
	u64 violations;
	u32 hinted;
	struct virtio_balloon_stat stats[VIRTIO_BALLOON_S_NR];
	unsigned int nr_stats;
};

extern struct balloon_host host;
extern unsigned int late_ms;
extern bool keep;

/* main.c */
int device_appear(void);
void device_disappear(void);
void device_violation(const char *what, unsigned long pfn);

/* transport.c: what a driver calls */
extern const struct virtio_config_ops transport_ops;
bool transport_runs(void);
void transport_config_changed(void);
void transport_swing(void);
void transport_interrupt(struct irq_work *work);

/* ring.c: chains in and out */
void ring_init(struct device_queue *q, const struct device_kind_ops *ops);
struct virtqueue *ring_create(struct device_queue *q, unsigned int index,
			      const struct virtqueue_info *info);
void ring_destroy(struct device_queue *q);
void ring_drop(struct device_queue *q);
void ring_look(struct device_queue *q);
void ring_answer(struct device_queue *q, struct device_chain *chain, u32 len);
void ring_complete(struct device_queue *q, u16 head, u32 len);

/* split.c: the ring itself */
void split_attach(struct device_split *s, struct virtqueue *vq);
int split_take(struct device_split *s, struct device_chain *chain);
void split_complete(struct device_split *s, u16 head, u32 len);
bool split_wants_interrupt(struct device_split *s);
bool split_listen(struct device_split *s);

/* behaviour.c: how they are answered */
extern const struct device_behaviour behaviours[];
const struct device_behaviour *behaviour_of(const char *name);

/* balloon.c: what they are for */
extern const struct device_kind_ops device_kinds[KINDS];
bool balloon_must_be_told(void);
void balloon_reset(void);

/* pages.c: memory that is the device's */
void pages_fill(unsigned long pfn, unsigned long nr, u64 mark);
bool pages_check(unsigned long pfn, unsigned long nr, u64 mark, unsigned long *bad);

/* control.c: the files */
void control_create(void);
void control_destroy(void);

#endif /* AERATOR_DEVICE_H */
