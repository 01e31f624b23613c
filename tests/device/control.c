// SPDX-License-Identifier: GPL-2.0
/*
 * The host's controls and counters: files in /sys/kernel/debug/aerator_device/.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "device.h"

#define NAME_MAX_LEN	32

static struct dentry *control_root;

static int target_get(void *data, u64 *val)
{
	*val = le32_to_cpu(*(__le32 *)data);
	return 0;
}

/* Each write notifies the driver, even if the value is the same. */
static int target_set(void *data, u64 val)
{
	mutex_lock(&host.lock);
	host.swing = 0;
	*(__le32 *)data = cpu_to_le32(val);
	transport_config_changed();
	mutex_unlock(&host.lock);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(target_fops, target_get, target_set, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(config_fops, target_get, NULL, "%llu\n");

static int present_get(void *data, u64 *val)
{
	*val = !!READ_ONCE(host.vdev);
	return 0;
}

static int present_set(void *data, u64 val)
{
	if (val)
		return device_appear();
	device_disappear();
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(present_fops, present_get, present_set, "%llu\n");

static int asleep_get(void *data, u64 *val)
{
	*val = READ_ONCE(host.asleep);
	return 0;
}

static int asleep_set(void *data, u64 val)
{
	return val ? device_sleep() : device_wake();
}

DEFINE_DEBUGFS_ATTRIBUTE(asleep_fops, asleep_get, asleep_set, "%llu\n");

static int ask_set(void *data, u64 val)
{
	struct device_queue *q = &host.queues[KIND_STATS];

	mutex_lock(&host.lock);
	q->asked = true;
	ring_look(q);
	mutex_unlock(&host.lock);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(ask_fops, NULL, ask_set, "%llu\n");

static int statistics_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	mutex_lock(&host.lock);
	for (i = 0; host.vdev && i < host.nr_stats; i++)
		seq_printf(m, "%u %llu\n", virtio16_to_cpu(host.vdev, host.stats[i].tag),
			   virtio64_to_cpu(host.vdev, host.stats[i].val));
	mutex_unlock(&host.lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(statistics);

static int held_get(void *data, u64 *val)
{
	struct device_queue *q = data;

	mutex_lock(&host.lock);
	*val = list_count_nodes(&q->held);
	mutex_unlock(&host.lock);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(held_fops, held_get, NULL, "%llu\n");

static ssize_t behaviour_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	const struct device_queue *q = file->private_data;
	char name[NAME_MAX_LEN];
	int nr = scnprintf(name, sizeof(name), "%s\n", READ_ONCE(q->behaviour)->name);

	return simple_read_from_buffer(to, len, pos, name, nr);
}

static ssize_t behaviour_write(struct file *file, const char __user *from, size_t len,
			       loff_t *pos)
{
	struct device_queue *q = file->private_data;
	const struct device_behaviour *behaviour;
	char name[NAME_MAX_LEN] = "";

	if (len >= sizeof(name) || copy_from_user(name, from, len))
		return -EINVAL;
	behaviour = behaviour_of(name);
	if (!behaviour)
		return -EINVAL;
	mutex_lock(&host.lock);
	q->behaviour = behaviour;
	ring_look(q);
	mutex_unlock(&host.lock);
	return len;
}

static const struct file_operations behaviour_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = behaviour_read,
	.write = behaviour_write,
};

static void control_create_queue(struct device_queue *q)
{
	struct dentry *dir = debugfs_create_dir(q->ops->name, control_root);

	debugfs_create_file("behaviour", 0644, dir, q, &behaviour_fops);
	debugfs_create_u64("taken", 0444, dir, &q->taken);
	debugfs_create_u64("answered", 0444, dir, &q->answered);
	debugfs_create_u64("bytes", 0444, dir, &q->bytes);
	debugfs_create_file("held", 0444, dir, q, &held_fops);
	debugfs_create_u32("deaf", 0644, dir, &q->deaf);
}

static void control_create_config(void)
{
	struct virtio_balloon_config *config = &host.config;
	struct dentry *root = control_root;

	debugfs_create_file("num_pages", 0644, root, &config->num_pages, &target_fops);
	debugfs_create_file("actual", 0444, root, &config->actual, &config_fops);
	debugfs_create_file("poison_val", 0444, root, &config->poison_val, &config_fops);
	debugfs_create_file("free_page_hint_cmd_id", 0644, root,
			    &config->free_page_hint_cmd_id, &target_fops);
}

/**
 * control_create - make the files
 */
void control_create(void)
{
	unsigned int i;

	control_root = debugfs_create_dir(KBUILD_MODNAME, NULL);
	control_create_config();
	debugfs_create_u8("status", 0444, control_root, &host.status);
	debugfs_create_u64("resets", 0444, control_root, &host.resets);
	debugfs_create_u32("stubborn", 0644, control_root, &host.stubborn);
	debugfs_create_u32("refuse", 0644, control_root, &host.refuse);
	debugfs_create_bool("keeps", 0644, control_root, &host.keeps);
	debugfs_create_u32("numbers_max", 0644, control_root, &host.numbers_max);
	debugfs_create_u64("violations", 0644, control_root, &host.violations);
	debugfs_create_u64("in_balloon", 0444, control_root, &host.in_balloon);
	debugfs_create_u32("hinted", 0444, control_root, &host.hinted);
	debugfs_create_file("present", 0644, control_root, NULL, &present_fops);
	debugfs_create_file("asleep", 0644, control_root, NULL, &asleep_fops);
	debugfs_create_file("ask", 0200, control_root, NULL, &ask_fops);
	debugfs_create_file("statistics", 0444, control_root, NULL, &statistics_fops);
	for (i = 0; i < KINDS; i++)
		control_create_queue(&host.queues[i]);
}

/**
 * control_destroy - remove the files, and wait until none is in use
 */
void control_destroy(void)
{
	debugfs_remove(control_root);
}
