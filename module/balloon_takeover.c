// SPDX-License-Identifier: GPL-2.0
/*
 * Taking balloon devices from virtio_balloon, and giving them back.
 *
 * virtio_balloon is loaded by the device's alias before anyone gets to load this
 * module, so that as a rule the device has a driver already; and one that is plugged
 * in later goes to whoever registered first, which is the same. Nothing has to be
 * remembered of it: a balloon device that is without a driver when this module
 * goes, or when a takeover failed, goes to whoever wants it.
 */
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>
#include <linux/virtio_ids.h>
#include "balloon.h"
#include "compat/compat.h"
#include "compat/unbind.h"

#define TAKEOVER_CRASHES	"this kernel would crash in taking it away: "

/* One takeover at a time, and none once the driver is being unregistered. */
static DEFINE_MUTEX(takeover_mutex);
static bool takeover_live;

/* Whoever binds a device now is given it by us. takeover_mutex to write. */
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
 * Why it stays with virtio_balloon, or NULL. Where that must not be unbound, aerator
 * has to be first: as a rule it is in the next boot, but not before a driver that is
 * built in.
 */
static const char *takeover_refusal(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	const char *refusal = balloon_features_refusal(vdev);

	if (refusal || !compat_unbind_crashes(vdev))
		return refusal;
	if (!dev->driver->owner)
		return TAKEOVER_CRASHES "boot with initcall_blacklist=virtio_balloon_driver_init";
	return TAKEOVER_CRASHES "reboot, so that aerator comes first";
}

/* Has virtio_balloon got it, and would we bind it? */
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
		pr_info("%s left with " BALLOON_RIVAL ": %s\n", dev_name(dev), refusal);
	return rival && !refusal;
}

/* What the device sits on, unless it is being unplugged; put_device() it. */
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
 * A driver whose probe failed leaves the device marked so. The next one is not
 * to find it like that, but as the bus hands it to the first. A PCI device that is
 * gone reads as ones, and a reset of it would never be over.
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

/* Who unplugs it holds the lock of the transport, and takes that down at the end. */
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
 * Drivers are asked in the order in which they were loaded. One that is not loaded
 * stays so: modprobe would load aerator before it, as the package has it do, and a
 * user may have kept it out.
 */
static int takeover_give_back(struct device *dev, void *unused)
{
	if (!takeover_is_balloon(dev) || !takeover_clean(dev))
		return 0;
	WRITE_ONCE(takeover_giving, true);
	if (device_attach(dev) > 0)
		pr_info("%s is back with %s\n", dev_name(dev), dev_driver_string(dev));
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
	/* Binds every device that is free; says nothing of the outcome. */
	if (driver_attach(driver))
		pr_warn("%s could not be bound\n", dev_name(dev));
	balloon_driver_take(NULL);
	return takeover_give_back(dev, NULL);
}

/**
 * balloon_takeover - take what can be taken, if the user wants it
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

/* A device was bound. That is no time to unbind it: its lock is held. */
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

/* Nothing is taken any more, and no balloon stays without a driver for our sake. */
static void takeover_end(void)
{
	mutex_lock(&takeover_mutex);
	takeover_live = false;
	unregister_virtio_driver(&balloon_driver);
	bus_for_each_dev(balloon_driver.driver.bus, NULL, NULL, takeover_give_back);
	mutex_unlock(&takeover_mutex);
}

/**
 * balloon_takeover_start - register the driver, and take what it is for
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
 * balloon_takeover_stop - unregister the driver and leave no balloon without one
 *
 * Context: at unload.
 */
void balloon_takeover_stop(void)
{
	bus_unregister_notifier(balloon_driver.driver.bus, &takeover_nb);
	cancel_work_sync(&takeover_work);
	takeover_end();
}
