// SPDX-License-Identifier: GPL-2.0
/*
 * Reset of a device after an error, and its recovery.
 *
 * Any task that uses a queue may detect an error and call balloon_fail(). The other tasks
 * check balloon_has_failed() before they use their queues. The recovery
 * (balloon_lifecycle_recover()) is a separate work.
 */
#include <linux/delay.h>
#include <linux/lockdep.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>
#include "balloon.h"
#include "compat/compat.h"

/* Exponential backoff: the delay of the first recovery, and the longest one. */
#define RESET_RETRY_MS_MIN	1000
#define RESET_RETRY_MS_MAX	64000

/*
 * A reset is complete when the status reads 0 (virtio 1.2, 2.4.2). Until then the device
 * may write to every buffer that it has. Not every transport checks the status, and not
 * every device can be reset: Firecracker's, up to 1.15, ignores it. A status of all ones
 * means that the device is gone, and does not write; PCI's reset would wait for it
 * without end. On channel I/O (s390) a reset allocates memory. It may use the reserves:
 * otherwise the allocation could call the balloon's OOM notifier, which waits for the
 * lock of the balloon, and the caller may hold this lock.
 */
static bool reset_now(struct virtio_device *vdev)
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
 * balloon_reset_device - end the device's access to memory
 * @a: the device
 *
 * After a reset the device counts as failed, and not as stuck.
 *
 * Context: @a->reset.lock held; may sleep.
 *
 * Return: true if the device has no access to memory any more.
 */
bool balloon_reset_device(struct aerator *a)
{
	lockdep_assert_held(&a->reset.lock);
	if (!reset_now(a->vdev))
		return false;
	/* Pairs with balloon_has_failed(): the reset is over before pages are freed. */
	smp_store_release(&a->reset.failed, true);
	balloon_quiesce_clear_stuck(a);
	return true;
}

/**
 * balloon_reset_recover_soon - queue the recovery of a device
 * @a: the device, reset
 *
 * Exponential backoff: each call doubles the delay, until the device answers a request.
 *
 * Context: any.
 */
void balloon_reset_recover_soon(struct aerator *a)
{
	unsigned int ms = clamp_t(unsigned int, READ_ONCE(a->reset.retry_ms) * 2,
				  RESET_RETRY_MS_MIN, RESET_RETRY_MS_MAX);

	WRITE_ONCE(a->reset.retry_ms, ms);
	queue_delayed_work(system_freezable_wq, &a->reset.recover, msecs_to_jiffies(ms));
}

/**
 * balloon_fail - reset a device after an error, and queue its recovery
 * @a: the device, running
 * @why: reason, for the log
 *
 * Wakes all tasks that wait for an answer of the device. A device that cannot be reset is
 * not marked as failed (balloon_has_failed()): it still owns the buffers that it has, and
 * only its answer ends the waits.
 *
 * Context: any task that uses a queue. Sleeps for as long as a reset takes, and for a
 * second if the reset failed.
 */
void balloon_fail(struct aerator *a, const char *why)
{
	mutex_lock(&a->reset.lock);
	if (balloon_has_failed(a))
		goto unlock;
	dev_warn_ratelimited(&a->vdev->dev, "%s, resetting the device; will try again\n",
			     why);
	if (!balloon_reset_device(a)) {
		dev_err_ratelimited(&a->vdev->dev,
				    "the device cannot be reset, and still owns its buffers\n");
		balloon_quiesce_set_stuck(a);
		goto wait;
	}
	wake_up_all(&a->requests.acked);
	wake_up_all(&a->reporting.acked);
	balloon_reset_recover_soon(a);
unlock:
	mutex_unlock(&a->reset.lock);
	return;

wait:
	mutex_unlock(&a->reset.lock);
	/* Callers retry at once if the queue is broken: limit their rate. */
	msleep(RESET_RETRY_MS_MIN);
}

/**
 * balloon_answered - the device answered a request or a batch
 * @a: the device
 *
 * Context: any task that uses a queue.
 */
void balloon_answered(struct aerator *a)
{
	WRITE_ONCE(a->reset.retry_ms, 0);
	if (!READ_ONCE(a->reset.stuck))
		return;
	mutex_lock(&a->reset.lock);
	balloon_quiesce_clear_stuck(a);
	mutex_unlock(&a->reset.lock);
}
