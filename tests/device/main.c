// SPDX-License-Identifier: GPL-2.0
/*
 * A balloon device inside the guest that drives it, for tests. It can misbehave in many ways,
 * as no real host does, and checks that the driver follows the rules.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_ring.h>
#include "device.h"

#define FEATURES	(BIT_ULL(VIRTIO_BALLOON_F_STATS_VQ) |		\
			 BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |	\
			 BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT) |	\
			 BIT_ULL(VIRTIO_BALLOON_F_REPORTING) |		\
			 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) |		\
			 BIT_ULL(VIRTIO_RING_F_EVENT_IDX))

static ulong features = FEATURES;
module_param(features, ulong, 0444);
MODULE_PARM_DESC(features, "bits of the features that it offers, in addition to VERSION_1");

bool keep;
module_param(keep, bool, 0644);
MODULE_PARM_DESC(keep, "a reset does not empty the balloon");

struct balloon_host host = {
	.lock = __MUTEX_INITIALIZER(host.lock),
	.comings = __MUTEX_INITIALIZER(host.comings),
	.pages = XARRAY_INIT(host.pages, 0),
	.era = 1,
};

/**
 * device_violation - count and log a violation by the driver
 * @what: the fault, as a predicate of the page
 * @pfn: the page
 *
 * Context: under the device's lock.
 */
void device_violation(const char *what, unsigned long pfn)
{
	host.violations++;
	pr_err_ratelimited("violation: page %#lx %s\n", pfn, what);
}

static void device_release(struct device *dev)
{
	kfree(dev_to_virtio(dev));
}

static struct virtio_device *device_alloc(void)
{
	struct virtio_device *vdev = kzalloc(sizeof(*vdev), GFP_KERNEL);

	if (!vdev)
		return NULL;
	vdev->id.device = VIRTIO_ID_BALLOON;
	vdev->config = &transport_ops;
	vdev->dev.parent = host.parent;
	vdev->dev.release = device_release;
	return vdev;
}

static int device_plug(void)
{
	int err;

	host.vdev = device_alloc();
	if (!host.vdev)
		return -ENOMEM;
	host.gone = false;
	err = register_virtio_device(host.vdev);
	if (err) {
		put_device(&host.vdev->dev);
		host.vdev = NULL;
	}
	return err;
}

/**
 * device_appear - plug the device in, unless it is plugged in
 *
 * Return: 0 or a negative errno.
 */
int device_appear(void)
{
	int err = 0;

	mutex_lock(&host.comings);
	if (!host.vdev)
		err = device_plug();
	mutex_unlock(&host.comings);
	return err;
}

/* From here on the device answers no chain, and its queues cannot be used. */
static void device_vanish(void)
{
	mutex_lock(&host.lock);
	host.gone = true;
	irq_work_sync(&host.config_interrupt);
	virtio_break_device(host.vdev);
	mutex_unlock(&host.lock);
}

/**
 * device_disappear - pull the device out, and then unregister it
 */
void device_disappear(void)
{
	mutex_lock(&host.comings);
	if (host.vdev) {
		device_vanish();
		unregister_virtio_device(host.vdev);
		host.vdev = NULL;
	}
	mutex_unlock(&host.comings);
}

/**
 * device_sleep - suspend the device
 *
 * Return: 0 or the driver's error.
 */
int device_sleep(void)
{
	int err = 0;

	mutex_lock(&host.comings);
	if (host.vdev && !host.asleep)
		err = virtio_device_freeze(host.vdev);
	host.asleep |= host.vdev && !err;
	mutex_unlock(&host.comings);
	return err;
}

/**
 * device_wake - undo device_sleep()
 *
 * Return: 0 or the driver's error.
 */
int device_wake(void)
{
	int err = 0;

	mutex_lock(&host.comings);
	if (host.vdev && host.asleep)
		err = virtio_device_restore(host.vdev);
	host.asleep = false;
	mutex_unlock(&host.comings);
	return err;
}

static void device_leave(struct work_struct *work)
{
	device_disappear();
}

static void host_create(void)
{
	unsigned int i;

	host.features = features | BIT_ULL(VIRTIO_F_VERSION_1);
	host.config_interrupt = IRQ_WORK_INIT_HARD(transport_interrupt);
	INIT_WORK(&host.leave, device_leave);
	for (i = 0; i < KINDS; i++)
		ring_init(&host.queues[i], &device_kinds[i]);
}

static void host_quiesce(void)
{
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		cancel_delayed_work_sync(&host.queues[i].work);
	cancel_work_sync(&host.leave);
	destroy_workqueue(host.wq);
}

static int __init device_init(void)
{
	int err;

	host_create();
	host.wq = alloc_ordered_workqueue("aerator_device", WQ_MEM_RECLAIM);
	if (!host.wq)
		return -ENOMEM;
	host.parent = root_device_register(KBUILD_MODNAME);
	if (IS_ERR(host.parent)) {
		err = PTR_ERR(host.parent);
		goto quiesce;
	}
	control_create();
	err = device_appear();
	if (!err)
		return 0;

	control_destroy();
	root_device_unregister(host.parent);
quiesce:
	host_quiesce();
	xa_destroy(&host.pages);
	return err;
}

static void __exit device_exit(void)
{
	control_destroy();
	cancel_work_sync(&host.leave);
	device_disappear();
	root_device_unregister(host.parent);
	host_quiesce();
	xa_destroy(&host.pages);
}

module_init(device_init);
module_exit(device_exit);
MODULE_DESCRIPTION("A balloon device that behaves as tests want it to");
MODULE_LICENSE("GPL");
