// SPDX-License-Identifier: GPL-2.0
/*
 * Taking balloon devices from virtio_balloon, and giving them back.
 *
 * virtio_balloon is loaded by the device's alias before anyone gets to load this
 * module, so that as a rule the device has a driver already. What was taken is
 * remembered, and goes back to whoever wants it when this module is unloaded.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/virtio_ids.h>
#include "balloon.h"
#include "compat/compat.h"

/**
 * struct taken - a device that was taken
 * @node: in takeover_list
 * @dev: the device, referenced
 */
struct taken {
	struct list_head node;
	struct device *dev;
};

/* One takeover at a time, and none once the driver is being unregistered. */
static DEFINE_MUTEX(takeover_mutex);
static bool takeover_live;

/* A device that is unplugged leaves the list at any time. */
static DEFINE_SPINLOCK(takeover_lock);
static LIST_HEAD(takeover_list);

static struct taken *takeover_find(const struct device *dev)
{
	struct taken *taken;

	lockdep_assert_held(&takeover_lock);
	list_for_each_entry(taken, &takeover_list, node)
		if (taken->dev == dev)
			return taken;
	return NULL;
}

/**
 * takeover_has - was this device taken from virtio_balloon?
 * @dev: the device
 *
 * Context: any but interrupts.
 *
 * Return: true if it was.
 */
bool takeover_has(const struct device *dev)
{
	bool has;

	spin_lock(&takeover_lock);
	has = takeover_find(dev);
	spin_unlock(&takeover_lock);
	return has;
}

static int takeover_remember(struct device *dev)
{
	struct taken *taken = kzalloc(sizeof(*taken), GFP_KERNEL);

	if (!taken)
		return -ENOMEM;
	taken->dev = get_device(dev);
	spin_lock(&takeover_lock);
	list_add_tail(&taken->node, &takeover_list);
	spin_unlock(&takeover_lock);
	return 0;
}

static void takeover_forget(struct taken *taken)
{
	put_device(taken->dev);
	kfree(taken);
}

/* The device is unplugged: a reference of ours must not outlive its bus. */
static int takeover_unplugged(struct notifier_block *nb, unsigned long event,
			      void *dev)
{
	struct taken *taken;

	if (event != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;
	spin_lock(&takeover_lock);
	taken = takeover_find(dev);
	if (taken)
		list_del(&taken->node);
	spin_unlock(&takeover_lock);
	if (taken)
		takeover_forget(taken);
	return NOTIFY_OK;
}

static struct notifier_block takeover_nb = {
	.notifier_call = takeover_unplugged,
};

/* Has virtio_balloon got it, and would we bind it? */
static bool takeover_wanted(struct device *dev)
{
	const char *refusal = NULL;
	bool rival;

	device_lock(dev);
	rival = dev->driver && !strcmp(dev->driver->name, BALLOON_RIVAL);
	if (rival)
		refusal = balloon_refusal(dev_to_virtio(dev));
	device_unlock(dev);
	if (refusal)
		pr_info("%s left with " BALLOON_RIVAL ": %s\n", dev_name(dev), refusal);
	return rival && !refusal;
}

static int takeover_release(struct device *dev, void *unused)
{
	if (dev_to_virtio(dev)->id.device != VIRTIO_ID_BALLOON ||
	    !takeover_wanted(dev))
		return 0;
	if (takeover_has(dev) || !takeover_remember(dev))
		device_release_driver(dev);
	return 0;
}

/*
 * A driver whose probe failed leaves the device marked so. The next one is not
 * to find it like that: as the bus does before the first.
 */
static void takeover_clean(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);

	device_lock(dev);
	if (!dev->driver && device_is_registered(dev)) {
		virtio_reset_device(vdev);
		virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	}
	device_unlock(dev);
}

/* Whoever wants it first gets it: drivers are asked in the order they came. */
static void takeover_give_back(struct taken *taken)
{
	struct device *dev = taken->dev;

	takeover_clean(dev);
	if (device_attach(dev) > 0)
		pr_info("%s is back with %s\n", dev_name(dev), dev_driver_string(dev));
	takeover_forget(taken);
}

/* Take one off the list: any, or one that has no driver. */
static struct taken *takeover_pop(bool any)
{
	struct taken *taken, *found = NULL;

	spin_lock(&takeover_lock);
	list_for_each_entry(taken, &takeover_list, node) {
		if (!any && taken->dev->driver)
			continue;
		found = taken;
		list_del(&taken->node);
		break;
	}
	spin_unlock(&takeover_lock);
	return found;
}

static void takeover_give_back_all(bool any)
{
	struct taken *taken;

	while ((taken = takeover_pop(any)))
		takeover_give_back(taken);
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
	if (!takeover_live || !READ_ONCE(aerator_params.takeover))
		goto unlock;
	bus_for_each_dev(driver->bus, NULL, NULL, takeover_release);
	if (driver_attach(driver))
		pr_warn("could not bind what was taken over\n");
	/* What could not be bound after all is not left without a driver. */
	takeover_give_back_all(false);
unlock:
	mutex_unlock(&takeover_mutex);
}

/**
 * takeover_start - register the driver, and take what it is for
 *
 * Context: at load.
 *
 * Return: 0 or a negative errno.
 */
int takeover_start(void)
{
	int err = register_virtio_driver(&balloon_driver);

	if (err)
		return err;
	err = bus_register_notifier(balloon_driver.driver.bus, &takeover_nb);
	if (err)
		goto unregister;
	mutex_lock(&takeover_mutex);
	takeover_live = true;
	mutex_unlock(&takeover_mutex);
	balloon_takeover();
	return 0;

unregister:
	unregister_virtio_driver(&balloon_driver);
	return err;
}

/**
 * takeover_stop - unregister the driver and give everything back
 *
 * Context: at unload.
 */
void takeover_stop(void)
{
	mutex_lock(&takeover_mutex);
	takeover_live = false;
	unregister_virtio_driver(&balloon_driver);
	takeover_give_back_all(true);
	bus_unregister_notifier(balloon_driver.driver.bus, &takeover_nb);
	mutex_unlock(&takeover_mutex);
}
