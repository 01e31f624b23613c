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
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/virtio_ids.h>
#include "balloon.h"

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

/* Changed under both locks, so that either is enough to read it. */
static DEFINE_SPINLOCK(takeover_lock);
static LIST_HEAD(takeover_list);

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
	struct taken *taken;
	bool has = false;

	spin_lock(&takeover_lock);
	list_for_each_entry(taken, &takeover_list, node)
		has |= taken->dev == dev;
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
	spin_lock(&takeover_lock);
	list_del(&taken->node);
	spin_unlock(&takeover_lock);
	put_device(taken->dev);
	kfree(taken);
}

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
	    takeover_has(dev) || !takeover_wanted(dev))
		return 0;
	if (!takeover_remember(dev))
		device_release_driver(dev);
	return 0;
}

/* Whoever wants it first gets it: drivers are asked in the order they came. */
static void takeover_give_back(struct taken *taken)
{
	struct device *dev = taken->dev;

	if (device_attach(dev) > 0)
		pr_info("%s is back with %s\n", dev_name(dev), dev_driver_string(dev));
	takeover_forget(taken);
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
	struct taken *taken, *next;

	mutex_lock(&takeover_mutex);
	if (!takeover_live || !READ_ONCE(aerator_params.takeover))
		goto unlock;
	bus_for_each_dev(driver->bus, NULL, NULL, takeover_release);
	if (driver_attach(driver))
		pr_warn("could not bind what was taken over\n");
	/* What could not be bound after all is not left without a driver. */
	list_for_each_entry_safe(taken, next, &takeover_list, node)
		if (!taken->dev->driver)
			takeover_give_back(taken);
unlock:
	mutex_unlock(&takeover_mutex);
}

/**
 * takeover_start - from now on there is a driver to take devices for
 *
 * Context: at load, after the driver was registered.
 */
void takeover_start(void)
{
	mutex_lock(&takeover_mutex);
	takeover_live = true;
	mutex_unlock(&takeover_mutex);
	balloon_takeover();
}

/**
 * takeover_stop - unregister the driver and give everything back
 *
 * Context: at unload.
 */
void takeover_stop(void)
{
	struct taken *taken, *next;

	mutex_lock(&takeover_mutex);
	takeover_live = false;
	unregister_virtio_driver(&balloon_driver);
	list_for_each_entry_safe(taken, next, &takeover_list, node)
		takeover_give_back(taken);
	mutex_unlock(&takeover_mutex);
}
