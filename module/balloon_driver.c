// SPDX-License-Identifier: GPL-2.0
/* The virtio driver: probe, remove, and the other callbacks of the bus. */
#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/compat.h"

/* Largest length of a descriptor, which has 32 bits, in pages. */
#define BALLOON_RUN_MAX		(UINT_MAX >> PAGE_SHIFT)

/* The device that a takeover is binding at present, or NULL. */
static const struct device *balloon_taken;

/* The host changed the configuration, or the device needs a reset. */
static void balloon_config(struct work_struct *work)
{
	struct aerator *a = container_of(work, struct aerator, config_work);
	u8 status = a->vdev->config->get_status(a->vdev);

	if (status & VIRTIO_CONFIG_S_NEEDS_RESET) {
		balloon_fail(a, "the device needs a reset");
		return;
	}
	balloon_target_changed(a);
	balloon_hint_changed(a);
}

/*
 * If the user enabled the device as a wakeup source (power/wakeup), a guest that is about
 * to suspend stays awake until the work has run, and then for as long as the work has
 * something to do (target_work()). The same as in virtio_balloon (since v6.11).
 */
static void balloon_config_changed(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	pm_wakeup_event(&vdev->dev, BALLOON_AWAKE_MS);
	queue_work(system_freezable_wq, &a->config_work);
}

static void balloon_free(struct aerator *a)
{
	unsigned int i;

	for (i = 0; i < INTAKE_KINDS; i++)
		intake_destroy(a->intakes[i]);
	balloon_target_destroy(a);
	balloon_statistics_destroy(a);
	balloon_hint_destroy(a);
	kfree(a);
}

/* Create all kinds, so that the choice can change while the old one is still in use. */
static int balloon_create_intakes(struct aerator *a)
{
	struct intake *in;
	unsigned int i;

	for (i = 0; i < INTAKE_KINDS; i++) {
		in = intake_create(i);
		if (!in)
			return -ENOMEM;
		in->reactors = a->reporting.reactors;
		in->send = balloon_reporting_send;
		in->settle = balloon_reporting_settle;
		in->owner = a;
		in->stats = &a->stats;
		a->intakes[i] = in;
	}
	a->intake = a->intakes[intake_chosen()];
	return 0;
}

static struct aerator *balloon_alloc(struct virtio_device *vdev)
{
	struct aerator *a = kzalloc(sizeof(*a), GFP_KERNEL);
	unsigned int i;

	if (!a)
		return NULL;
	a->vdev = vdev;
	a->taken_over = READ_ONCE(balloon_taken) == &vdev->dev;
	mutex_init(&a->reset.lock);
	init_waitqueue_head(&a->reporting.acked);
	init_waitqueue_head(&a->requests.acked);
	INIT_DELAYED_WORK(&a->reset.recover, balloon_lifecycle_recover);
	INIT_WORK(&a->config_work, balloon_config);
	for (i = 0; i < ARRAY_SIZE(a->reporting.reactors); i++)
		reactor_init(&a->reporting.reactors[i], i, BALLOON_RUN_MAX,
			     balloon_reporting_left);
	if (balloon_hint_create(a) || balloon_statistics_create(a) || balloon_target_create(a) ||
	    balloon_create_intakes(a)) {
		balloon_free(a);
		return NULL;
	}
	return a;
}

/*
 * A kdump kernel has little memory, and the host's target was meant for the kernel that
 * crashed: no queue is set up, so that no page is inflated or reported. The device is
 * bound nevertheless. Otherwise virtio_balloon would bind it, and inflate until the kdump
 * kernel panics.
 */
static int balloon_begin(struct aerator *a)
{
	if (!is_kdump_kernel())
		return balloon_lifecycle_begin(a);
	a->removing = true;
	dev_info(&a->vdev->dev, "bound without queues: this is a crash kernel (kdump)\n");
	return 0;
}

static int balloon_probe(struct virtio_device *vdev)
{
	const char *refusal = balloon_features_refusal(vdev);
	struct aerator *a;
	int err;

	if (refusal) {
		dev_info(&vdev->dev, "not bound: %s\n", refusal);
		return -ENODEV;
	}
	a = balloon_alloc(vdev);
	if (!a)
		return -ENOMEM;
	vdev->priv = a;
	device_set_wakeup_capable(&vdev->dev, true);
	err = balloon_begin(a);
	if (err)
		goto free;
	return 0;

free:
	if (err == -EBUSY)
		dev_info(&vdev->dev, "not bound: another device already reports free pages, and the kernel supports only one\n");
	balloon_free(a);
	return err;
}

static void balloon_remove(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	balloon_lifecycle_end(a);
	balloon_free(a);
}

#ifdef CONFIG_PM_SLEEP
static int balloon_freeze(struct virtio_device *vdev)
{
	return balloon_lifecycle_freeze(vdev->priv);
}

static int balloon_restore(struct virtio_device *vdev)
{
	if (!is_kdump_kernel())
		balloon_lifecycle_restore(vdev->priv);
	return 0;
}
#endif

static const struct virtio_device_id balloon_ids[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, balloon_ids);

static unsigned int balloon_features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_REPORTING,
};

struct virtio_driver balloon_driver = {
	.feature_table = balloon_features,
	.feature_table_size = ARRAY_SIZE(balloon_features),
	.driver = {
		.name = KBUILD_MODNAME,
		.owner = THIS_MODULE,
		/* takeover_take() checks the result right after driver_attach(). */
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
		.dev_groups = sysfs_groups,
	},
	.id_table = balloon_ids,
	.validate = balloon_features_validate,
	.probe = balloon_probe,
	.remove = balloon_remove,
	.config_changed = balloon_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = balloon_freeze,
	.restore = balloon_restore,
#endif
};

/**
 * balloon_driver_take - set the device that is being taken from virtio_balloon
 * @dev: the device, or NULL after the takeover
 *
 * The probe of the device names the takeover in its log message.
 *
 * Context: one caller at a time.
 */
void balloon_driver_take(const struct device *dev)
{
	WRITE_ONCE(balloon_taken, dev);
}

/*
 * The driver core calls this notifier before it removes the driver's sysfs files. The
 * removal of a file waits for its readers and writers: balloon_lifecycle_prepare_end()
 * ends a write to "flush".
 */
static int balloon_unbind(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	if (event == BUS_NOTIFY_UNBIND_DRIVER && dev->driver == &balloon_driver.driver)
		balloon_lifecycle_prepare_end(dev_to_virtio(dev)->priv);
	return NOTIFY_DONE;
}

static struct notifier_block balloon_nb = {
	.notifier_call = balloon_unbind,
};

/**
 * balloon_driver_watch - register the notifier of unbinds
 *
 * Context: at load, with the driver registered.
 *
 * Return: 0 or a negative errno.
 */
int balloon_driver_watch(void)
{
	return bus_register_notifier(balloon_driver.driver.bus, &balloon_nb);
}

/**
 * balloon_driver_unwatch - undo balloon_driver_watch()
 *
 * Context: at unload, with the driver unregistered.
 */
void balloon_driver_unwatch(void)
{
	bus_unregister_notifier(balloon_driver.driver.bus, &balloon_nb);
}
