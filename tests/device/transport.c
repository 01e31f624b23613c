// SPDX-License-Identifier: GPL-2.0
/*
 * The transport: the functions that a driver calls, in place of virtio-pci's.
 */
#include <linux/string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include "device.h"

/* By this much the target changes while the driver reads it, in 4 KiB pages. */
#define SWING	256

/**
 * transport_runs - may the device use its queues?
 *
 * Context: under the device's lock.
 *
 * Return: true from DRIVER_OK to the next reset, or until the device needs a reset.
 */
bool transport_runs(void)
{
	return !host.gone && (host.status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(host.status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/**
 * transport_interrupt - tell the driver that the configuration changed
 * @work: &balloon_host.config_interrupt
 *
 * Context: hard interrupt.
 */
void transport_interrupt(struct irq_work *work)
{
	virtio_config_changed(host.vdev);
}

/**
 * transport_config_changed - the configuration or the status changed
 *
 * Context: under the device's lock.
 */
void transport_config_changed(void)
{
	host.generation++;
	if (host.vdev && !host.gone)
		irq_work_queue(&host.config_interrupt);
}

/**
 * transport_swing - change the target, and change it back at the next call
 *
 * Context: under the device's lock.
 */
void transport_swing(void)
{
	u32 target = le32_to_cpu(host.config.num_pages);

	if (!host.swing)
		return;
	target += host.swing % 2 ? -SWING : SWING;
	host.swing--;
	host.config.num_pages = cpu_to_le32(target);
	transport_config_changed();
}

/* Reads from a device that was pulled out return all ones. */
static void transport_get(struct virtio_device *vdev, unsigned int offset, void *buf,
			  unsigned int len)
{
	mutex_lock(&host.lock);
	if (host.gone || offset + len > sizeof(host.config)) {
		memset(buf, 0xff, len);
	} else {
		memcpy(buf, (u8 *)&host.config + offset, len);
		/* The driver has just read the old value. */
		transport_swing();
	}
	mutex_unlock(&host.lock);
}

static void transport_set(struct virtio_device *vdev, unsigned int offset,
			  const void *buf, unsigned int len)
{
	mutex_lock(&host.lock);
	if (!host.gone && offset + len <= sizeof(host.config))
		memcpy((u8 *)&host.config + offset, buf, len);
	mutex_unlock(&host.lock);
}

static u32 transport_generation(struct virtio_device *vdev)
{
	return READ_ONCE(host.generation);
}

static u8 transport_get_status(struct virtio_device *vdev)
{
	return READ_ONCE(host.status);
}

static void transport_look(void)
{
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		ring_look(&host.queues[i]);
}

/* A driver cannot clear DEVICE_NEEDS_RESET by a write. */
static void transport_set_status(struct virtio_device *vdev, u8 status)
{
	mutex_lock(&host.lock);
	host.status = status | (host.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	mutex_unlock(&host.lock);
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		transport_look();
}

static void transport_reset(struct virtio_device *vdev)
{
	unsigned int i;

	mutex_lock(&host.lock);
	host.resets++;
	if (host.stubborn) {
		host.stubborn--;
		host.status |= VIRTIO_CONFIG_S_FAILED;
		goto unlock;
	}
	host.status = 0;
	for (i = 0; i < KINDS; i++) {
		ring_drop(&host.queues[i]);
		irq_work_sync(&host.queues[i].interrupt);
	}
	irq_work_sync(&host.config_interrupt);
	host.config.free_page_hint_cmd_id = cpu_to_le32(VIRTIO_BALLOON_CMD_ID_STOP);
	balloon_reset();
unlock:
	mutex_unlock(&host.lock);
}

static void transport_del_vqs(struct virtio_device *vdev)
{
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		ring_destroy(&host.queues[i]);
}

/* The next queue whose feature is offered: only these have an index. */
static struct device_queue *transport_next(unsigned int *kind)
{
	for (; *kind < KINDS; ++*kind) {
		int feature = device_kinds[*kind].feature;

		if (feature < 0 || host.features & BIT_ULL(feature))
			return &host.queues[(*kind)++];
	}
	return NULL;
}

static struct virtqueue *transport_find_vq(unsigned int *kind, unsigned int index,
					   const struct virtqueue_info *info)
{
	struct device_queue *q = transport_next(kind);

	return q ? ring_create(q, index, info) : ERR_PTR(-ENOENT);
}

static int transport_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
			      struct virtqueue *vqs[], struct virtqueue_info info[],
			      struct irq_affinity *desc)
{
	unsigned int i, index = 0, kind = 0;

	for (i = 0; i < nvqs; i++) {
		vqs[i] = NULL;
		if (!info[i].name)
			continue;
		vqs[i] = transport_find_vq(&kind, index++, &info[i]);
		if (IS_ERR(vqs[i])) {
			transport_del_vqs(vdev);
			return PTR_ERR(vqs[i]);
		}
	}
	return 0;
}

static u64 transport_get_features(struct virtio_device *vdev)
{
	return host.features;
}

static int transport_finalize_features(struct virtio_device *vdev)
{
	if (host.refuse) {
		host.refuse--;
		return -EIO;
	}
	vring_transport_features(vdev);
	return vdev->features & BIT_ULL(VIRTIO_F_VERSION_1) ? 0 : -EINVAL;
}

static const char *transport_bus_name(struct virtio_device *vdev)
{
	return dev_name(host.parent);
}

const struct virtio_config_ops transport_ops = {
	.get = transport_get,
	.set = transport_set,
	.generation = transport_generation,
	.get_status = transport_get_status,
	.set_status = transport_set_status,
	.reset = transport_reset,
	.find_vqs = transport_find_vqs,
	.del_vqs = transport_del_vqs,
	.get_features = transport_get_features,
	.finalize_features = transport_finalize_features,
	.bus_name = transport_bus_name,
};
