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

/* The largest number of buffers in a chain. */
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
 * @vring: the addresses of its parts
 * @event: VIRTIO_RING_F_EVENT_IDX was negotiated
 * @taken: chains taken off the available ring
 * @used: entries put on the used ring
 * @told: @used at the last check for an interrupt
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
 * @iov: the first buffer; addresses are physical
 * @used: number of buffers
 */
struct device_buffers {
	const struct kvec *iov;
	unsigned int used;
};

/**
 * struct device_chain - a chain that the device has taken and not yet answered
 * @list: in &device_queue.held, in the order of arrival
 * @head: index of its first descriptor
 * @mark: makes the pattern of its pages differ from that of other chains
 * @due: time of its answer, jiffies; 0 if not set yet
 * @spoilt: got a wrong answer, and is not to be answered again for now
 * @kept: its pages have kept their content, and have no pattern
 * @out: buffers for the device to read
 * @in: buffers for the device to write
 * @iov: all buffers
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
 * struct device_kind_ops - the purpose of a queue
 * @name: name of its folder
 * @feature: the feature of which the queue is a part, or -1
 * @took: called when the device has taken a chain
 * @give: called when a chain goes back to the driver, by an answer or a reset
 * @asks: the device keeps a chain until it wants the driver to send another one
 */
struct device_kind_ops {
	const char *name;
	int feature;
	void (*took)(struct device_queue *q, struct device_chain *chain);
	void (*give)(struct device_queue *q, struct device_chain *chain);
	bool asks;
};

/**
 * struct device_behaviour - a way of answering chains
 * @name: its name in the file "behaviour"
 * @serve: processes &device_queue.held; under the device's lock
 */
struct device_behaviour {
	const char *name;
	void (*serve)(struct device_queue *q);
};

/**
 * struct device_queue - a queue; exists as long as the module is loaded
 * @ops: its purpose
 * @vq: the driver's side, NULL while the queue is not set up
 * @ring: the device's side, valid if @vq is set
 * @work: takes, serves and answers chains
 * @interrupt: calls the driver in hard interrupt context, as a device does
 * @held: chains that are the device's
 * @behaviour: how they are answered
 * @asked: &device_kind_ops.asks is set, and the device wants one answer
 * @taken: number of chains taken so far
 * @answered: number of chains answered so far
 * @bytes: bytes in buffers for the device to write
 * @deaf: number of the driver's next kicks that are lost
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
 * struct balloon_host - the device, and the host behind it; there is only one
 * @parent: the parent device
 * @vdev: the virtio device; NULL after it was unplugged
 * @lock: protects all of this struct
 * @comings: serializes registration and removal of @vdev; taken before @lock
 * @wq: runs the works of the queues, one at a time
 * @status: the status that the driver has set, and DEVICE_NEEDS_RESET
 * @stubborn: number of the next resets that fail, while the device goes on working
 * @refuse: number of the driver's next negotiations that fail
 * @gone: the device was pulled out; the driver may not know that yet
 * @asleep: the device was suspended, as in a suspend of the whole guest
 * @keeps: reported and inflated pages keep their content
 * @numbers_max: a longer buffer of page numbers is answered and not read; 0 for no limit
 * @features: the offered features
 * @config: the configuration space
 * @generation: the generation of @config
 * @swing: number of reads of the configuration during which it still changes
 * @config_interrupt: tells the driver that @config has changed
 * @leave: work that unplugs the device
 * @pages: pages in the balloon: from 4 KiB page number to the @era of its inflation
 * @in_balloon: number of pages inflated in this era
 * @era: counts resets that made the host forget the balloon
 * @queues: by &enum device_kind
 * @resets: number of resets by drivers
 * @violations: number of violations by the driver
 * @hinted: the last command from the free page queue
 * @stats: the last entries from the statistics queue
 * @nr_stats: number of entries in @stats
 */
struct balloon_host {
	struct device *parent;
	struct virtio_device *vdev;
	struct mutex lock;	/* the whole struct */
	struct mutex comings;	/* registration and removal of @vdev */
	struct workqueue_struct *wq;
	u8 status;
	u32 stubborn;
	u32 refuse;
	bool gone;
	bool asleep;
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
int device_sleep(void);
int device_wake(void);
void device_violation(const char *what, unsigned long pfn);

/* transport.c: the functions that a driver calls */
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

/* behaviour.c: ways of answering chains */
extern const struct device_behaviour behaviours[];
const struct device_behaviour *behaviour_of(const char *name);

/* balloon.c: the meaning of chains */
extern const struct device_kind_ops device_kinds[KINDS];
bool balloon_must_be_told(void);
void balloon_reset(void);

/* pages.c: patterns in memory that is the device's */
void pages_fill(unsigned long pfn, unsigned long nr, u64 mark);
bool pages_check(unsigned long pfn, unsigned long nr, u64 mark, unsigned long *bad);

/* control.c: the files */
void control_create(void);
void control_destroy(void);

#endif /* AERATOR_DEVICE_H */
