// SPDX-License-Identifier: GPL-2.0
/*
 * The device's side of the rings: chains are taken off, held, and returned.
 *
 * The work runs under the device's lock, which a reset takes, too: so no work goes on after a
 * reset. The work may use the memory reserves (PF_MEMALLOC): it stands for a host, which has
 * memory of its own, and must not wait for reclaim that waits for the host.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/virtio_ring.h>
#include "device.h"

static unsigned int ring_size = 128;
module_param(ring_size, uint, 0444);
MODULE_PARM_DESC(ring_size, "number of descriptors of a queue");

#define RETRY_MS	10

static struct device_chain *chain_alloc(void)
{
	static u64 marks;
	struct device_chain *chain = kzalloc(sizeof(*chain), GFP_NOWAIT);

	if (!chain)
		return NULL;
	chain->mark = ++marks;
	return chain;
}

/* Take one chain. Returns false if there is none, or it cannot be taken now. */
static bool ring_take(struct device_queue *q)
{
	struct device_chain *chain = chain_alloc();
	int got = -ENOMEM;

	if (chain)
		got = split_take(&q->ring, chain);
	if (got > 0) {
		q->taken++;
		list_add_tail(&chain->list, &q->held);
		if (q->ops->took)
			q->ops->took(q, chain);
		return true;
	}
	if (got < 0)
		queue_delayed_work(host.wq, &q->work, msecs_to_jiffies(RETRY_MS));
	kfree(chain);
	return false;
}

/* Take all chains, and then ask for a kick for the next one. */
static void ring_take_all(struct device_queue *q)
{
	do {
		while (ring_take(q))
			cond_resched();
	} while (!delayed_work_pending(&q->work) && !split_listen(&q->ring));
}

static void ring_notify(struct device_queue *q)
{
	if (split_wants_interrupt(&q->ring))
		irq_work_queue(&q->interrupt);
}

static void ring_serve(struct device_queue *q)
{
	ring_take_all(q);
	if (q->ops->asks && !q->asked)
		return;
	q->behaviour->serve(q);
	ring_notify(q);
}

static void ring_work(struct work_struct *work)
{
	struct device_queue *q = container_of(to_delayed_work(work), struct device_queue,
					      work);
	unsigned int flags = memalloc_noreclaim_save();

	mutex_lock(&host.lock);
	if (q->vq && transport_runs())
		ring_serve(q);
	mutex_unlock(&host.lock);
	memalloc_noreclaim_restore(flags);
}

static void ring_interrupt(struct irq_work *work)
{
	struct device_queue *q = container_of(work, struct device_queue, interrupt);

	vring_interrupt(0, q->vq);
}

/* The driver cannot see whether its kick is lost. */
static bool ring_kicked(struct virtqueue *vq)
{
	struct device_queue *q = vq->priv;
	u32 deaf = READ_ONCE(q->deaf);

	if (deaf)
		WRITE_ONCE(q->deaf, deaf - 1);
	else
		ring_look(q);
	return true;
}

/**
 * ring_look - queue the work of a queue
 * @q: the queue
 *
 * Context: any.
 */
void ring_look(struct device_queue *q)
{
	mod_delayed_work(host.wq, &q->work, 0);
}

/**
 * ring_complete - put an entry on the used ring, without checking it
 * @q: the queue
 * @head: the chain
 * @len: bytes that the device claims to have written
 *
 * Context: under the device's lock.
 */
void ring_complete(struct device_queue *q, u16 head, u32 len)
{
	split_complete(&q->ring, head, len);
}

static void ring_forget(struct device_queue *q, struct device_chain *chain)
{
	if (q->ops->give)
		q->ops->give(q, chain);
	list_del(&chain->list);
	kfree(chain);
}

/**
 * ring_answer - return a chain to the driver
 * @q: the queue
 * @chain: a chain that the queue holds; freed here
 * @len: bytes that the device claims to have written
 *
 * Context: under the device's lock.
 */
void ring_answer(struct device_queue *q, struct device_chain *chain, u32 len)
{
	u16 head = chain->head;

	/* Check the chain's pages before the driver gets it back. */
	ring_forget(q, chain);
	q->answered++;
	q->asked = false;
	ring_complete(q, head, len);
}

/**
 * ring_drop - a reset: return all chains without an answer, and behave correctly again
 * @q: the queue
 *
 * Context: under the device's lock.
 */
void ring_drop(struct device_queue *q)
{
	struct device_chain *chain, *next;

	list_for_each_entry_safe(chain, next, &q->held, list)
		ring_forget(q, chain);
	q->asked = false;
	q->behaviour = &behaviours[0];
}

/**
 * ring_create - a driver sets a queue up
 * @q: the queue
 * @index: its number for the driver
 * @info: the driver's parameters of the queue
 *
 * Return: the driver's side of the queue, or an error.
 */
struct virtqueue *ring_create(struct device_queue *q, unsigned int index,
			      const struct virtqueue_info *info)
{
	struct virtqueue *vq;

	vq = vring_create_virtqueue(index, ring_size, SMP_CACHE_BYTES, host.vdev, true,
				    false, info->ctx, ring_kicked, info->callback,
				    info->name);
	if (!vq)
		return ERR_PTR(-ENOMEM);
	vq->num_max = ring_size;
	vq->priv = q;
	mutex_lock(&host.lock);
	split_attach(&q->ring, vq);
	q->vq = vq;
	mutex_unlock(&host.lock);
	return vq;
}

/**
 * ring_destroy - a driver takes a queue down
 * @q: the queue, if it is set up
 *
 * The driver must have reset the device before.
 */
void ring_destroy(struct device_queue *q)
{
	struct virtqueue *vq = q->vq;

	if (!vq)
		return;
	mutex_lock(&host.lock);
	if (!list_empty(&q->held))
		device_violation("taken off the queue without a reset", 0);
	ring_drop(q);
	irq_work_sync(&q->interrupt);
	q->vq = NULL;
	mutex_unlock(&host.lock);
	vring_del_virtqueue(vq);
}

/**
 * ring_init - initialize a queue before any driver is bound
 * @q: the queue
 * @ops: its purpose
 */
void ring_init(struct device_queue *q, const struct device_kind_ops *ops)
{
	q->ops = ops;
	q->behaviour = &behaviours[0];
	INIT_LIST_HEAD(&q->held);
	INIT_DELAYED_WORK(&q->work, ring_work);
	q->interrupt = IRQ_WORK_INIT_HARD(ring_interrupt);
}
