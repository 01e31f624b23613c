// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio driver: features, queues, binding, and what ends a binding.
 *
 * balloon_mutex covers every change between running and not: bind, unbind,
 * suspend, recovery, settings. It may be held for as long as a batch takes to
 * settle. It is taken inside the device lock and inside the module's parameter
 * lock, and never by the intake's work, for which balloon_stop() waits.
 */
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

/* The first recovery comes this soon, each further one after twice as long. */
#define BALLOON_RETRY_MS_MIN	1000
#define BALLOON_RETRY_MS_MAX	64000

/*
 * The queues, in the order of the specification (virtio 1.2, 5.5.2). It gives
 * them fixed numbers, but those that the device does not have are left out when
 * everyone counts, so that reporting is number 2, 3 or 4. Each queue whose
 * feature was negotiated is set up, used or not, and none besides.
 */
static const struct balloon_queue {
	const char *name;
	int feature;
	vq_callback_t *callback;
} balloon_queues[] = {
	{ "inflate", -1, NULL },
	{ "deflate", -1, NULL },
	{ "stats", VIRTIO_BALLOON_F_STATS_VQ, statistics_asked },
	{ "free_page", VIRTIO_BALLOON_F_FREE_PAGE_HINT, NULL },
	{ "reporting", VIRTIO_BALLOON_F_REPORTING, hinting_acked },
};

static DEFINE_MUTEX(balloon_mutex);

/* The bound device: page reporting takes one, so there is one. balloon_mutex */
static struct aerator *balloon_bound;

/* Would the guest notice that the content of a free page changed? */
static bool balloon_content_matters(void)
{
	return want_init_on_free() || compat_page_poisoning();
}

/* All bytes of a free page, as it expects to find them again. */
static u32 balloon_poison(void)
{
	return want_init_on_free() ? 0 : PAGE_POISON * 0x01010101U;
}

/**
 * balloon_refusal - why this driver would not bind a device
 * @vdev: a balloon device, bound to anyone or no one
 *
 * Context: under the device's lock; may sleep.
 *
 * Return: the reason, in words for the log, or NULL.
 */
const char *balloon_refusal(struct virtio_device *vdev)
{
	u64 offered = compat_offered_features(vdev);
	u32 target, actual;

	if (!vdev->config->get)
		return "its configuration cannot be read";
	if (!(offered & BIT_ULL(VIRTIO_BALLOON_F_REPORTING)))
		return "the host does not offer free page reporting (free-page-reporting=on)";
	if (balloon_content_matters() &&
	    !(offered & BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON)))
		return "free pages are poisoned, the host does not keep that (page-poison=on)";
	virtio_cread_le(vdev, struct virtio_balloon_config, num_pages, &target);
	virtio_cread_le(vdev, struct virtio_balloon_config, actual, &actual);
	if (target || actual)
		return "its balloon is inflated or has a target, which is not supported yet";
	return NULL;
}

static int balloon_find_queues(struct aerator *a)
{
	struct virtqueue *vqs[ARRAY_SIZE(balloon_queues)];
	vq_callback_t *callbacks[ARRAY_SIZE(balloon_queues)];
	const char *names[ARRAY_SIZE(balloon_queues)];
	const struct balloon_queue *queue = balloon_queues;
	unsigned int i, nr = 0;
	int err;

	for (i = 0; i < ARRAY_SIZE(balloon_queues); i++, queue++) {
		if (queue->feature >= 0 &&
		    !virtio_has_feature(a->vdev, queue->feature))
			continue;
		names[nr] = queue->name;
		callbacks[nr++] = queue->callback;
	}
	err = compat_find_vqs(a->vdev, nr, vqs, callbacks, names);
	if (err)
		return err;

	/* Reporting was insisted on, and is the last one there can be. */
	a->hinting = vqs[nr - 1];
	a->statistics = virtio_has_feature(a->vdev, VIRTIO_BALLOON_F_STATS_VQ) ?
			vqs[2] : NULL;
	return 0;
}

/* Reset first: it ends the device's access to memory, and its interrupts. */
static void balloon_reset(struct aerator *a)
{
	statistics_stop(a);
	virtio_reset_device(a->vdev);
	while (virtqueue_detach_unused_buf(a->hinting))
		;	/* a batch that the host never answered */
	a->vdev->config->del_vqs(a->vdev);
}

/*
 * Room for the batches that the settings of now allow. All reactors are idle:
 * the intake is stopped. balloon_mutex held.
 */
static int balloon_equip(struct aerator *a)
{
	unsigned int size = READ_ONCE(aerator_params.reactor_size);
	unsigned int nr = READ_ONCE(aerator_params.reactors);
	unsigned int i;
	int err;

	a->runs = kvcalloc(nr * size, sizeof(*a->runs), GFP_KERNEL);
	if (!a->runs)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		err = reactor_equip(&a->reactors[i], a->runs + i * size, size);
		if (WARN_ON_ONCE(err))
			goto free;
	}
	a->intake->nr_reactors = nr;
	return 0;

free:
	kvfree(a->runs);
	return err;
}

/* The device is the driver's: tell it the rest, and begin. balloon_mutex held. */
static void balloon_make_ready(struct aerator *a)
{
	struct virtio_device *vdev = a->vdev;
	u32 poison = balloon_poison();

	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		virtio_cwrite_le(vdev, struct virtio_balloon_config, poison_val,
				 &poison);
	virtio_device_ready(vdev);
	statistics_start(a);
	WRITE_ONCE(a->lost, false);
	a->intake->ring = min_t(unsigned int, virtqueue_get_vring_size(a->hinting),
				ARRAY_SIZE(a->sg));
}

/* From features negotiated to free memory being returned. balloon_mutex held. */
static int balloon_start(struct aerator *a)
{
	int err;

	WRITE_ONCE(a->intake, a->intakes[intake_chosen()]);
	err = balloon_equip(a);
	if (err)
		return err;
	err = balloon_find_queues(a);
	if (err)
		goto free;
	balloon_make_ready(a);
	err = a->intake->ops->start(a->intake);
	if (err)
		goto reset;
	a->up = true;
	return 0;

reset:
	balloon_reset(a);
free:
	kvfree(a->runs);
	return err;
}

/* Back from there: every block is in the allocator. balloon_mutex held. */
static void balloon_stop(struct aerator *a)
{
	if (!a->up)
		return;
	a->up = false;
	a->intake->ops->stop(a->intake);
	balloon_reset(a);
	kvfree(a->runs);
}

/*
 * Reset and negotiate anew, as the bus does it before probe: the driver's
 * features are still in vdev->features (virtio 1.2, 3.1.1).
 */
static int balloon_negotiate(struct virtio_device *vdev)
{
	int err;

	virtio_reset_device(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	err = vdev->config->finalize_features(vdev);
	if (err || !virtio_has_feature(vdev, VIRTIO_F_VERSION_1))
		return err;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;
	return 0;
}

/* All over again, from the reset on. balloon_mutex held. */
static int balloon_again(struct aerator *a)
{
	int err;

	balloon_stop(a);
	err = balloon_negotiate(a->vdev);
	if (!err)
		err = balloon_start(a);
	if (err)	/* not to be left half way, whoever comes next */
		virtio_reset_device(a->vdev);
	return err;
}

static int balloon_bring_back(struct aerator *a)
{
	int err = balloon_again(a);

	if (!err)
		dev_info(&a->vdev->dev, "the device is back after its reset\n");
	return err;
}

static void balloon_recover(struct work_struct *work)
{
	struct aerator *a = container_of(to_delayed_work(work), struct aerator,
					 recover);

	mutex_lock(&balloon_mutex);
	if (!a->gone && (!a->up || READ_ONCE(a->lost)) && balloon_bring_back(a))
		balloon_recover_soon(a);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_recover_soon - bring a device back that was reset
 * @a: the device
 *
 * Each call waits twice as long as the one before, until a batch was answered.
 *
 * Context: the intake's work, or the recovery itself.
 */
void balloon_recover_soon(struct aerator *a)
{
	a->retry_ms = clamp_t(unsigned int, a->retry_ms * 2,
			      BALLOON_RETRY_MS_MIN, BALLOON_RETRY_MS_MAX);
	queue_delayed_work(system_freezable_wq, &a->recover,
			   msecs_to_jiffies(a->retry_ms));
}

/* The host set a balloon target. Say what becomes of it. */
static void balloon_config(struct work_struct *work)
{
	struct aerator *a = container_of(work, struct aerator, config);
	u32 target;

	virtio_cread_le(a->vdev, struct virtio_balloon_config, num_pages, &target);
	if (target)
		dev_warn_ratelimited(&a->vdev->dev,
				     "balloon of %u MiB ignored: inflation is not supported yet, unload aerator to use it\n",
				     target >> (20 - VIRTIO_BALLOON_PFN_SHIFT));
}

static void balloon_config_changed(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	queue_work(system_freezable_wq, &a->config);
}

static void balloon_free(struct aerator *a)
{
	unsigned int i;

	for (i = 0; i < INTAKE_KINDS; i++)
		intake_destroy(a->intakes[i]);
	statistics_destroy(a);
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
		in->send = hinting_send;
		in->settle = hinting_settle;
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
	init_waitqueue_head(&a->answered);
	INIT_DELAYED_WORK(&a->recover, balloon_recover);
	INIT_WORK(&a->config, balloon_config);
	for (i = 0; i < ARRAY_SIZE(a->reactors); i++)
		reactor_init(&a->reactors[i], i, BALLOON_RUN_MAX, trace_stage_left);
	if (statistics_create(a) || balloon_create_intakes(a)) {
		balloon_free(a);
		return NULL;
	}
	return a;
}

static void balloon_announce(const struct aerator *a)
{
	dev_info(&a->vdev->dev, "%s, intake=%s queue=%u order=%u\n",
		 takeover_of(&a->vdev->dev) ? "taken over from " BALLOON_RIVAL : "bound",
		 a->intake->ops->name, virtqueue_get_vring_size(a->hinting),
		 a->intake->ops->order(a->intake));
	if (virtio_has_feature(a->vdev, VIRTIO_BALLOON_F_PAGE_POISON) &&
	    balloon_poison())
		dev_warn(&a->vdev->dev,
			 "free pages are poisoned: QEMU keeps what is reported by such a guest\n");
}

static int balloon_bind(struct aerator *a)
{
	int err = -EBUSY;

	mutex_lock(&balloon_mutex);
	if (!balloon_bound)
		err = balloon_start(a);
	if (err)
		goto unlock;
	balloon_bound = a;
	balloon_announce(a);
unlock:
	mutex_unlock(&balloon_mutex);
	return err;
}

static int balloon_probe(struct virtio_device *vdev)
{
	const char *refusal = balloon_refusal(vdev);
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
	err = balloon_bind(a);
	if (err)
		goto free;
	return 0;

free:
	if (err == -EBUSY)
		dev_info(&vdev->dev, "not bound: another device reports free pages already, and the kernel has room for one\n");
	cancel_work_sync(&a->config);
	balloon_free(a);
	return err;
}

/* Stop for good. balloon_mutex held. */
static void balloon_end(struct aerator *a)
{
	a->gone = true;
	if (balloon_bound == a)
		balloon_bound = NULL;
	balloon_stop(a);
}

static void balloon_remove(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	mutex_lock(&balloon_mutex);
	balloon_end(a);
	/* One that was down may have got half way up, or been marked ready. */
	virtio_reset_device(vdev);
	mutex_unlock(&balloon_mutex);
	/* The intake has stopped, and recovery sees @gone: none is queued anew. */
	cancel_delayed_work_sync(&a->recover);
	cancel_work_sync(&a->config);
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
	mutex_lock(&balloon_mutex);
	balloon_stop(vdev->priv);
	mutex_unlock(&balloon_mutex);
	return 0;
}

/*
 * The bus has negotiated again before it calls this. Should it fail, then the
 * bus is told that all is well, and recovery starts from a reset.
 */
static int balloon_restore(struct virtio_device *vdev)
{
	struct aerator *a = vdev->priv;

	mutex_lock(&balloon_mutex);
	if (balloon_start(a))
		balloon_recover_soon(a);
	mutex_unlock(&balloon_mutex);
	return 0;
}
#endif

/**
 * balloon_shutdown - the machine goes down, or boots another kernel
 *
 * The device stays reset from here on, whatever recovery had in mind.
 *
 * Context: may sleep for as long as a batch takes to settle.
 */
void balloon_shutdown(void)
{
	mutex_lock(&balloon_mutex);
	if (balloon_bound)
		balloon_end(balloon_bound);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_wake - settings changed, look at them now
 *
 * Context: may sleep.
 */
void balloon_wake(void)
{
	mutex_lock(&balloon_mutex);
	if (balloon_bound && balloon_bound->up)
		balloon_bound->intake->ops->wake(balloon_bound->intake);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_restart - settings changed that are looked at on start only
 *
 * Context: may sleep for as long as a batch takes to settle.
 *
 * Return: 0, also without a device, or a negative errno; the device is down
 * then, and recovery tries again with the settings it finds.
 */
int balloon_restart(void)
{
	struct aerator *a;
	int err = 0;

	mutex_lock(&balloon_mutex);
	a = balloon_bound;
	if (a && a->up) {
		err = balloon_again(a);
		if (err)
			balloon_recover_soon(a);
	}
	mutex_unlock(&balloon_mutex);
	return err;
}

/**
 * balloon_flush - treat all surplus now
 * @a: the device, kept bound by the caller
 *
 * Context: sleeps until the host has it, a minute at most; interruptible.
 *
 * Return: 0, -EAGAIN if it is paused, suspended or being recovered, -EIO if the
 * host did not take it, -ETIMEDOUT, or -ERESTARTSYS.
 */
int balloon_flush(struct aerator *a)
{
	unsigned int ticket = 0;
	struct intake *in;
	bool up;

	mutex_lock(&balloon_mutex);
	in = a->intake;
	up = a->up && !READ_ONCE(a->lost);
	if (up) {
		ticket = gate_flush_begin(&in->gate);
		in->ops->wake(in);
	}
	mutex_unlock(&balloon_mutex);
	return up ? gate_flush_end(&in->gate, ticket) : -EAGAIN;
}

static const struct virtio_device_id balloon_ids[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, balloon_ids);

/*
 * No balloon is inflated yet, so that nothing that goes with it is taken: not
 * must-tell-host, not deflate-on-OOM. Free page hint is taken for its queue's
 * sake, see balloon_queues; a driver may hint as little as it likes.
 */
static unsigned int balloon_features[] = {
	VIRTIO_BALLOON_F_STATS_VQ,
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
