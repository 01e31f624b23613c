// SPDX-License-Identifier: GPL-2.0
/*
 * The device's side of a split ring (virtio 1.2, 2.7), whose addresses are physical ones. The
 * kernel has such code (vringh), but distributions do not build it.
 */
#include <linux/io.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include "device.h"

#define INDIRECT_MAX	(PAGE_SIZE / sizeof(struct vring_desc))

static u16 split_16(__virtio16 val)
{
	return virtio16_to_cpu(host.vdev, val);
}

/* Add one descriptor. Writable ones must follow the readable ones. */
static int split_add(struct device_chain *chain, const struct vring_desc *desc)
{
	bool in = split_16(desc->flags) & VRING_DESC_F_WRITE;
	unsigned int nr = chain->out.used + chain->in.used;

	if (nr == ARRAY_SIZE(chain->iov) || (!in && chain->in.used))
		return -EINVAL;
	chain->iov[nr].iov_base = (void *)(uintptr_t)virtio64_to_cpu(host.vdev, desc->addr);
	chain->iov[nr].iov_len = virtio32_to_cpu(host.vdev, desc->len);
	if (in)
		chain->in.used++;
	else
		chain->out.used++;
	return 0;
}

/* Walk a list of descriptors in a table of @nr. */
static int split_walk(struct device_chain *chain, const struct vring_desc *table,
		      unsigned int nr, unsigned int at)
{
	unsigned int left = nr;
	int err = 0;

	while (!err) {
		if (at >= nr || !left--)
			return -EINVAL;
		err = split_add(chain, &table[at]);
		if (!(split_16(table[at].flags) & VRING_DESC_F_NEXT))
			break;
		at = split_16(table[at].next);
	}
	return err;
}

static int split_read(struct device_split *s, struct device_chain *chain)
{
	const struct vring_desc *desc = &s->vring.desc[chain->head];
	unsigned int nr;

	if (!(split_16(desc->flags) & VRING_DESC_F_INDIRECT))
		return split_walk(chain, s->vring.desc, s->vring.num, chain->head);
	nr = virtio32_to_cpu(host.vdev, desc->len) / sizeof(*desc);
	if (nr > INDIRECT_MAX)
		return -EINVAL;
	desc = phys_to_virt(virtio64_to_cpu(host.vdev, desc->addr));
	return split_walk(chain, desc, nr, 0);
}

static bool split_empty(const struct device_split *s)
{
	return split_16(READ_ONCE(s->vring.avail->idx)) == s->taken;
}

/**
 * split_take - take a chain off the ring
 * @s: the ring
 * @chain: set to the chain's head and buffers; zeroed by the caller
 *
 * Context: under the device's lock.
 *
 * Return: 1, 0 if there is none, or -EINVAL with the ring as it was.
 */
int split_take(struct device_split *s, struct device_chain *chain)
{
	u16 head;

	if (split_empty(s))
		return 0;
	virtio_rmb(true);	/* the index is read before the entry, as the driver writes them */
	head = split_16(s->vring.avail->ring[s->taken % s->vring.num]);
	chain->head = head;
	if (head >= s->vring.num || split_read(s, chain))
		return -EINVAL;
	chain->out.iov = chain->iov;
	chain->in.iov = chain->iov + chain->out.used;
	s->taken++;
	return 1;
}

/**
 * split_complete - put an entry on the used ring
 * @s: the ring
 * @head: the chain's head, or a wrong value
 * @len: bytes written, or a wrong value
 *
 * Context: under the device's lock.
 */
void split_complete(struct device_split *s, u16 head, u32 len)
{
	struct vring_used_elem *elem = &s->vring.used->ring[s->used % s->vring.num];

	elem->id = cpu_to_virtio32(host.vdev, head);
	elem->len = cpu_to_virtio32(host.vdev, len);
	virtio_wmb(true);	/* the entry is written before the index */
	WRITE_ONCE(s->vring.used->idx, cpu_to_virtio16(host.vdev, ++s->used));
}

/**
 * split_wants_interrupt - does the driver want an interrupt for the new used entries?
 * @s: the ring
 *
 * Context: under the device's lock, once for all new entries.
 *
 * Return: true if the driver has asked for one.
 */
bool split_wants_interrupt(struct device_split *s)
{
	u16 old = s->told;

	/* The used index is written before the driver's event index or flag is read. */
	virtio_mb(true);
	s->told = s->used;
	if (old == s->used)
		return false;
	if (s->event)
		return vring_need_event(split_16(vring_used_event(&s->vring)), s->used, old);
	return !(split_16(s->vring.avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

/**
 * split_listen - ask the driver to kick for the next chain
 * @s: the ring
 *
 * Context: under the device's lock.
 *
 * Return: false if that chain is available already.
 */
bool split_listen(struct device_split *s)
{
	if (s->event)
		vring_avail_event(&s->vring) = cpu_to_virtio16(host.vdev, s->taken);
	/* The event is written before the driver's index is read; the driver does the reverse. */
	virtio_mb(true);
	return split_empty(s);
}

/**
 * split_attach - use a ring that the driver has made
 * @s: the device's side, set here
 * @vq: the driver's side
 */
void split_attach(struct device_split *s, struct virtqueue *vq)
{
	*s = (struct device_split) {
		.vring.num = virtqueue_get_vring_size(vq),
		.vring.desc = (void *)virtqueue_get_desc_addr(vq),
		.vring.avail = (void *)virtqueue_get_avail_addr(vq),
		.vring.used = (void *)virtqueue_get_used_addr(vq),
		.event = virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX),
	};
	/* The driver's addresses are physical, without an IOMMU: map them. */
	s->vring.desc = phys_to_virt((phys_addr_t)s->vring.desc);
	s->vring.avail = phys_to_virt((phys_addr_t)s->vring.avail);
	s->vring.used = phys_to_virt((phys_addr_t)s->vring.used);
}
