// SPDX-License-Identifier: GPL-2.0
/* The virtio driver: features, binding, and what the bus has to say. */
#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/poison.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_balloon.h>
#include <uapi/linux/virtio_ring.h>
#include "balloon.h"
#include "compat/compat.h"
#include "trace.h"

/* A descriptor's length has 32 bits. In pages. */
#define BALLOON_RUN_MAX		(UINT_MAX >> PAGE_SHIFT)

/* Would the guest notice that the content of a free page changed? */
static bool balloon_content_matters(void)
{
	return want_init_on_free() || compat_page_poisoning();
}

/**
 * balloon_features_poison - what free pages are filled with, if their content matters
 *
 * Context: any.
 *
 * Return: four bytes of it.
 */
u32 balloon_features_poison(void)
{
	return want_init_on_free() ? 0 : PAGE_POISON * 0x01010101U;
}

/**
 * balloon_features_refusal - why this driver would not bind a device
 * @vdev: a balloon device, bound to anyone or no one
 *
 * Context: under the device's lock; may sleep.
 *
 * Return: the reason, in words for the log, or NULL.
 */
const char *balloon_features_refusal(struct virtio_device *vdev)
{
	u64 offered = compat_offered_features(vdev);

	if (!vdev->config->get)
		return "its configuration cannot be read";
	if (!(offered & BIT_ULL(VIRTIO_BALLOON_F_REPORTING)))
		return "the host does not offer free page reporting (free-page-reporting=on)";
	if (balloon_content_matters() &&
	    !(offered & BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON)))
		return "free pages are poisoned, the host does not keep that (page-poison=on)";
	return NULL;
}

/* The host wrote to the configuration, or the device is in trouble. */
static void balloon_config(struct work_struct *work)
{
	struct aerator *a = container_of(work, struct aerator, config);
	u8 status = a->vdev->config->get_status(a->vdev);

	if (status & VIRTIO_CONFIG_S_NEEDS_RESET) {
		balloon_fail(a, "the device asks for a reset");
		return;
	}
	balloon_target_changed(a);
	balloon_hint_changed(a);
}

/*
 * A guest that is about to sleep stays awake until the work had its turn, and then for as
 * long as that has something to do (target_work()), if the user has the device wake it
 * (power/wakeup), as virtio_balloon does (since v6.11).
 */
static void balloon_config_changed(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	pm_wakeup_event(&vdev->dev, BALLOON_AWAKE_MS);
	queue_work(system_freezable_wq, &a->config);
}

static void balloon_free(struct aerator *a)
{
	unsigned int i;

	for (i = 0; i < INTAKE_KINDS; i++)
		intake_destroy(a->intakes[i]);
	balloon_inflate_destroy(a);
	balloon_statistics_destroy(a);
	balloon_hint_destroy(a);
	kfree(a);
}

/* All kinds, so that the choice can change while others look at the old one. */
static int balloon_create_intakes(struct aerator *a)
{
	struct intake *in;
	unsigned int i;

	for (i = 0; i < INTAKE_KINDS; i++) {
		in = intake_create(i);
		if (!in)
			return -ENOMEM;
		in->reactors = a->reactors;
		in->send = balloon_reporting_send;
		in->settle = balloon_reporting_settle;
		in->owner = a;
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
	mutex_init(&a->reset_lock);
	init_waitqueue_head(&a->answered);
	init_waitqueue_head(&a->told);
	INIT_DELAYED_WORK(&a->recover, balloon_lifecycle_recover);
	INIT_WORK(&a->config, balloon_config);
	for (i = 0; i < ARRAY_SIZE(a->reactors); i++)
		reactor_init(&a->reactors[i], i, BALLOON_RUN_MAX, trace_stage_left);
	if (balloon_hint_create(a) || balloon_statistics_create(a) || balloon_inflate_create(a) ||
	    balloon_create_intakes(a)) {
		balloon_free(a);
		return NULL;
	}
	return a;
}

/**
 * balloon_announce - say that a device is ours, and how
 * @a: the device, running, and kept so by the caller
 *
 * Context: any task.
 */
void balloon_announce(const struct aerator *a)
{
	dev_info(&a->vdev->dev, "%s, intake=%s queue=%u order=%u\n",
		 balloon_takeover_of(&a->vdev->dev) ? "taken over from " BALLOON_RIVAL : "bound",
		 a->intake->ops->name, virtqueue_get_vring_size(a->reporting_vq),
		 a->intake->ops->order(a->intake));
	if (virtio_has_feature(a->vdev, VIRTIO_BALLOON_F_PAGE_POISON) &&
	    balloon_features_poison())
		dev_warn(&a->vdev->dev,
			 "free pages are poisoned: QEMU keeps what is reported by such a guest\n");
}

/*
 * The kernel that saves the memory of one that crashed has little of its own, and the
 * host's target was meant for the other one: no queue is set up, so that nothing is
 * inflated or reported. Bound the device is all the same. Left free it would go to
 * virtio_balloon, which inflates until that kernel panics.
 */
static int balloon_begin(struct aerator *a)
{
	if (!is_kdump_kernel())
		return balloon_lifecycle_begin(a);
	a->removing = true;
	dev_info(&a->vdev->dev, "bound, and left alone: this kernel saves the memory of one that crashed\n");
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
		dev_info(&vdev->dev, "not bound: another device reports free pages already, and the kernel has room for one\n");
	balloon_free(a);
	return err;
}

static void balloon_remove(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	balloon_lifecycle_end(a);
	balloon_free(a);
}

/*
 * Free pages that were poisoned or zeroed must be found so again; if they are
 * neither then the host need not know. Indirect descriptors are allocated when
 * memory is returned, that is when it is short, and gain something for batches
 * of several chains only, which the kernel's page reporting does not make. And
 * the device gets guest physical addresses, whatever stands between it and memory:
 * to translate them for a device that is told of free pages makes no sense.
 */
static int balloon_validate(struct virtio_device *vdev)
{
	if (!balloon_content_matters())
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
	if (INTAKE_KINDS == 1)
		__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);
	return 0;
}

#ifdef CONFIG_PM_SLEEP
static int balloon_freeze(struct virtio_device *vdev)
{
	balloon_lifecycle_freeze(vdev->priv);
	return 0;
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
		/* Takeover looks at the outcome. */
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
		.dev_groups = sysfs_groups,
	},
	.id_table = balloon_ids,
	.validate = balloon_validate,
	.probe = balloon_probe,
	.remove = balloon_remove,
	.config_changed = balloon_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = balloon_freeze,
	.restore = balloon_restore,
#endif
};
