// SPDX-License-Identifier: GPL-2.0
/*
 * Takeover: takes balloon devices from virtio_balloon, and gives them back.
 *
 * As a rule virtio_balloon is loaded by the device's alias before this module is loaded,
 * and the device has a driver already. A device that is plugged in later goes to the
 * driver that was registered first, which is virtio_balloon too. No state is kept for
 * giving a device back: a balloon device that has no driver when this module is unloaded,
 * or after a failed takeover, is offered to all drivers.
 */
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>
#include <linux/virtio_ids.h>
#include "balloon.h"
#include "compat/compat.h"
#include "compat/unbind.h"

#define TAKEOVER_CRASHES	"unbinding virtio_balloon would crash this kernel: "

/* One takeover at a time, and none once the driver is being unregistered. */
static DEFINE_MUTEX(takeover_mutex);
static bool takeover_live;

/* takeover_give_back() is offering a device to all drivers. takeover_mutex to write. */
static bool takeover_giving;

static bool takeover_is_balloon(struct device *dev)
{
	return dev_to_virtio(dev)->id.device == VIRTIO_ID_BALLOON;
}

static bool takeover_has_rival(const struct device *dev)
{
	return dev->driver && !strcmp(dev->driver->name, BALLOON_RIVAL);
}

/*
 * Reason to leave the device with virtio_balloon, or NULL. Where unbinding virtio_balloon
 * would crash the kernel, aerator has to bind the device first: as a rule it does at the
 * next boot, but not if virtio_balloon is built in.
 */
static const char *takeover_refusal(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	const char *refusal = balloon_features_refusal(vdev);

	if (refusal || !compat_unbind_crashes(vdev))
		return refusal;
	if (!dev->driver->owner)
		return TAKEOVER_CRASHES "boot with initcall_blacklist=virtio_balloon_driver_init";
	return TAKEOVER_CRASHES "reboot, so that aerator is loaded first";
}

/* Is the device bound to virtio_balloon, and would aerator bind it? */
static bool takeover_wanted(struct device *dev)
{
	const char *refusal = NULL;
	bool rival;

	device_lock(dev);
	rival = takeover_has_rival(dev);
	if (rival)
		refusal = takeover_refusal(dev);
	device_unlock(dev);
	if (refusal)
		pr_info("%s stays bound to " BALLOON_RIVAL ": %s\n", dev_name(dev), refusal);
	return rival && !refusal;
}

/*
 * The transport device, with a reference for the caller; NULL if the device is being
 * unplugged.
 */
static struct device *takeover_transport(struct device *dev)
{
	struct device *transport = NULL;

	device_lock(dev);
	if (device_is_registered(dev))
		transport = get_device(dev->parent);
	device_unlock(dev);
	return transport;
}

/*
 * After a failed probe the status of the device is FAILED. Reset it, so that the next
 * driver finds the status as the bus sets it for the first one. A PCI device that is gone
 * has a status of all ones, and its reset would never end.
 */
static bool takeover_reset(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	bool orphan;

	device_lock(dev);
	orphan = !dev->driver && device_is_registered(dev) &&
		 vdev->config->get_status(vdev) != U8_MAX;
	if (orphan) {
		virtio_reset_device(vdev);
		virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	}
	device_unlock(dev);
	return orphan;
}

/* Under the lock of the transport, which an unplug holds while it removes the device. */
static bool takeover_clean(struct device *dev)
{
	struct device *transport = takeover_transport(dev);
	bool orphan;

	if (!transport)
		return false;
	device_lock(transport);
	orphan = takeover_reset(dev);
	device_unlock(transport);
	put_device(transport);
	return orphan;
}

/*
 * Offer the device to all drivers, in the order in which they were loaded. virtio_balloon
 * is not loaded for this: modprobe would load aerator before it, as the package
 * configures, and the user may have disabled it.
 */
static int takeover_give_back(struct device *dev, void *unused)
{
	if (!takeover_is_balloon(dev) || !takeover_clean(dev))
		return 0;
	WRITE_ONCE(takeover_giving, true);
	if (device_attach(dev) > 0)
		pr_info("%s is bound again to %s\n", dev_name(dev), dev_driver_string(dev));
	else
		pr_info("%s has no driver now: " BALLOON_RIVAL " is not loaded, or did not bind\n",
			dev_name(dev));
	WRITE_ONCE(takeover_giving, false);
	return 0;
}

static int takeover_take(struct device *dev, void *driver)
{
	if (!takeover_is_balloon(dev) || !takeover_wanted(dev))
		return 0;
	device_release_driver(dev);
	balloon_driver_take(dev);
	/* Binds every free device; its result does not tell whether @dev was bound. */
	if (driver_attach(driver))
		pr_warn("%s could not be bound\n", dev_name(dev));
	balloon_driver_take(NULL);
	return takeover_give_back(dev, NULL);
}

/**
 * balloon_takeover - take all devices from virtio_balloon, if the user wants it
 *
 * Called at load, and when the parameter is written. Does nothing while the
 * driver is not registered.
 *
 * Context: may sleep.
 */
void balloon_takeover(void)
{
	struct device_driver *driver = &balloon_driver.driver;

	mutex_lock(&takeover_mutex);
	if (takeover_live && READ_ONCE(aerator_params.takeover))
		bus_for_each_dev(driver->bus, NULL, driver, takeover_take);
	mutex_unlock(&takeover_mutex);
}

static void takeover_again(struct work_struct *work)
{
	balloon_takeover();
}

static DECLARE_WORK(takeover_work, takeover_again);

/* A device was bound. Its lock is held here, so that only a work can unbind it. */
static int takeover_bound(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	if (event == BUS_NOTIFY_BOUND_DRIVER && !READ_ONCE(takeover_giving) &&
	    takeover_is_balloon(dev) && takeover_has_rival(dev))
		queue_work(system_freezable_wq, &takeover_work);
	return NOTIFY_DONE;
}

static struct notifier_block takeover_nb = {
	.notifier_call = takeover_bound,
};

/* End all takeovers, unregister the driver, and give the devices back. */
static void takeover_end(void)
{
	mutex_lock(&takeover_mutex);
	takeover_live = false;
	unregister_virtio_driver(&balloon_driver);
	bus_for_each_dev(balloon_driver.driver.bus, NULL, NULL, takeover_give_back);
	mutex_unlock(&takeover_mutex);
}

/**
 * balloon_takeover_start - register the driver, and take the balloon devices
 *
 * Context: at load.
 *
 * Return: 0 or a negative errno.
 */
int balloon_takeover_start(void)
{
	int err = register_virtio_driver(&balloon_driver);

	if (err)
		return err;
	err = bus_register_notifier(balloon_driver.driver.bus, &takeover_nb);
	if (err) {
		takeover_end();
		return err;
	}
	mutex_lock(&takeover_mutex);
	takeover_live = true;
	mutex_unlock(&takeover_mutex);
	balloon_takeover();
	return 0;
}

/**
 * balloon_takeover_stop - unregister the driver, and give the devices back
 *
 * Context: at unload.
 */
void balloon_takeover_stop(void)
{
	bus_unregister_notifier(balloon_driver.driver.bus, &takeover_nb);
	cancel_work_sync(&takeover_work);
	takeover_end();
}
