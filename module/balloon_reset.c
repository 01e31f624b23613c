// SPDX-License-Identifier: GPL-2.0
/*
 * A device that does not behave is reset, and brought back later.
 *
 * Any task that uses a queue may find that, and the others find the device failed when
 * they are about to use theirs. What brings it back (balloon_lifecycle_recover()) is a
 * work of its own.
 */
#include <linux/delay.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>
#include "balloon.h"
#include "compat/compat.h"

/* The first recovery comes this soon, each further one after twice as long. */
#define RESET_RETRY_MS_MIN	1000
#define RESET_RETRY_MS_MAX	64000

/**
 * balloon_reset_device - end the device's access to memory
 * @vdev: the device
 *
 * A reset is over when the status reads 0 (virtio 1.2, 2.4.2), and until then the
 * device may write to whatever it has. Not every transport looks, and not every
 * device can be reset: Firecracker's, up to 1.15, goes on. What reads as ones is not
 * there any more, and writes nothing; PCI's reset would wait for it for ever. Where
 * devices are channels (s390) a reset allocates: from the reserves, as who holds the
 * balloon's lock would wait for himself if that led to its OOM notifier.
 *
 * Context: may sleep.
 *
 * Return: true if the device has nothing any more.
 */
bool balloon_reset_device(struct virtio_device *vdev)
{
	unsigned int flags = memalloc_noreclaim_save();
	u8 status = vdev->config->get_status(vdev);

	if (status != U8_MAX) {
		virtio_reset_device(vdev);
		status = vdev->config->get_status(vdev);
	}
	memalloc_noreclaim_restore(flags);
	return !status || status == U8_MAX;
}

/**
 * balloon_reset_recover_soon - have the device brought back
 * @a: the device, reset
 *
 * Each call waits twice as long as the one before, until something is answered.
 *
 * Context: under @a->reset_lock, or as the reactors; see @a->retry_ms.
 */
void balloon_reset_recover_soon(struct aerator *a)
{
	unsigned int ms = clamp_t(unsigned int, READ_ONCE(a->retry_ms) * 2,
				  RESET_RETRY_MS_MIN, RESET_RETRY_MS_MAX);

	WRITE_ONCE(a->retry_ms, ms);
	queue_delayed_work(system_freezable_wq, &a->recover, msecs_to_jiffies(ms));
}

/**
 * balloon_fail - reset a device that does not behave, and bring it back later
 * @a: the device, running
 * @why: for the log
 *
 * Whoever waits for an answer of the device learns that none will come. Unless the
 * device cannot be reset: then it is not failed (balloon_has_failed()), what it has
 * stays its own, and its answer is all that there is to wait for.
 *
 * Context: any task that uses a queue; the others find that the device failed when they are
 * about to. Sleeps for as long as a reset takes, and a second if there was none.
 */
void balloon_fail(struct aerator *a, const char *why)
{
	mutex_lock(&a->reset_lock);
	if (balloon_has_failed(a))
		goto unlock;
	dev_warn_ratelimited(&a->vdev->dev, "%s, resetting the device; will try again\n",
			     why);
	if (!balloon_reset_device(a->vdev)) {
		dev_err_ratelimited(&a->vdev->dev,
				    "the device cannot be reset, and keeps what it has\n");
		balloon_quiesce_stick(a);
		goto wait;
	}
	/* Pairs with balloon_has_failed(): after that, memory is given back. */
	smp_store_release(&a->failed, true);
	balloon_quiesce_unstick(a);
	wake_up_all(&a->told);
	wake_up_all(&a->answered);
	balloon_reset_recover_soon(a);
unlock:
	mutex_unlock(&a->reset_lock);
	return;

wait:
	mutex_unlock(&a->reset_lock);
	/* Callers come again at once where they find the queue broken. */
	msleep(RESET_RETRY_MS_MIN);
}

/**
 * balloon_answered - the device did what it was asked to
 * @a: the device
 *
 * Context: any task that uses a queue.
 */
void balloon_answered(struct aerator *a)
{
	WRITE_ONCE(a->retry_ms, 0);
	if (!READ_ONCE(a->stuck))
		return;
	mutex_lock(&a->reset_lock);
	balloon_quiesce_unstick(a);
	mutex_unlock(&a->reset_lock);
}
