// SPDX-License-Identifier: GPL-2.0
/*
 * Device lifecycle: start, stop, suspend and resume, recovery after a reset.
 *
 * balloon_mutex protects every change between running and stopped: bind, unbind,
 * suspend, recovery, settings. It may be held for as long as a batch takes to settle. It
 * nests inside the device lock and inside the module's parameter lock. The works that use
 * the queues never take it, since lifecycle_stop() waits for them.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/compat.h"

/**
 * struct lifecycle_room - memory for the entries of all batches
 * @runs: the entries
 * @reactors: number of reactors
 * @size: most entries of one batch
 */
struct lifecycle_room {
	struct reactor_run *runs;
	unsigned int reactors;
	unsigned int size;
};

static DEFINE_MUTEX(balloon_mutex);

/* The bound device; at most one, since page reporting takes one. balloon_mutex */
static struct aerator *balloon_bound;

/* Returns true if the device has no access to memory any more. */
static bool lifecycle_reset_device(struct aerator *a)
{
	bool reset;

	mutex_lock(&a->reset.lock);
	/* After it no other task resets the device. */
	reset = balloon_reset_device(a);
	mutex_unlock(&a->reset.lock);
	return reset;
}

/*
 * Reset the device; the driver does not use its queues any more. The reset comes first:
 * it ends the device's access to memory, and its interrupts. The queues are deleted only
 * after a successful reset, since the device may use them until then.
 */
static void lifecycle_reset(struct aerator *a)
{
	bool reset = lifecycle_reset_device(a);

	/*
	 * On a bus whose reset does not wait for a running interrupt handler (MMIO), the
	 * work may be queued once more; it then finds nothing running.
	 */
	cancel_work_sync(&a->config_work);
	if (reset) {
		balloon_queues_delete(a);
		return;
	}
	balloon_queues_abandon(a);
	dev_err(&a->vdev->dev, "the device cannot be reset, and still owns its queues\n");
}

/* A stopped device may still have its queues, or a start may have failed half way. */
static bool lifecycle_reset_again(struct aerator *a)
{
	bool reset = lifecycle_reset_device(a);

	if (reset)
		balloon_queues_delete(a);
	return reset;
}

/* Allocate the entries of the batches, by the present settings. */
static int lifecycle_make_room(struct lifecycle_room *room)
{
	room->size = READ_ONCE(aerator_params.reactor_size);
	room->reactors = READ_ONCE(aerator_params.reactors);
	room->runs = kvcalloc(room->reactors * room->size, sizeof(*room->runs),
			      GFP_KERNEL);
	return room->runs ? 0 : -ENOMEM;
}

/* The intake is stopped, and so all reactors are idle. balloon_mutex held. */
static void lifecycle_equip(struct aerator *a, const struct lifecycle_room *room)
{
	unsigned int i;

	lockdep_assert_held(&balloon_mutex);
	for (i = 0; i < room->reactors; i++)
		reactor_set_runs(&a->reporting.reactors[i], room->runs + i * room->size,
				 room->size);
	a->intake->nr_reactors = room->reactors;
	a->reporting.runs = room->runs;
}

/* Write the poison value, and set DRIVER_OK. balloon_mutex held. */
static void lifecycle_make_ready(struct aerator *a)
{
	struct virtio_device *vdev = a->vdev;
	u32 poison = balloon_features_poison();

	lockdep_assert_held(&balloon_mutex);
	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		virtio_cwrite_le(vdev, struct virtio_balloon_config, poison_val,
				 &poison);
	/* Before the first interrupt: its handler may fail the device. */
	WRITE_ONCE(a->reset.failed, false);
	virtio_device_ready(vdev);
}

/*
 * Start the intake that the settings choose. @room belongs to the intake then, or was
 * freed after an error. balloon_mutex held.
 */
static int lifecycle_start_intake(struct aerator *a, const struct lifecycle_room *room)
{
	int err;

	lockdep_assert_held(&balloon_mutex);
	WRITE_ONCE(a->intake, a->intakes[intake_chosen()]);
	a->intake->ring = min_t(unsigned int, virtqueue_get_vring_size(a->reporting_vq),
				ARRAY_SIZE(a->reporting.sg));
	/* The order may be another one, and so may the host. */
	WRITE_ONCE(a->trial, TRIAL_UNKNOWN);
	lifecycle_equip(a, room);
	err = a->intake->ops->start(a->intake);
	if (err)
		kvfree(room->runs);
	return err;
}

/* Stop the intake: every block is back in the allocator then. balloon_mutex held. */
static void lifecycle_stop_intake(struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	a->intake->ops->stop(a->intake);
	kvfree(a->reporting.runs);
}

/*
 * Stop all other queues and reset the device. The intake is stopped, or did not start.
 * The pages in the balloon stay there. balloon_mutex held.
 */
static void lifecycle_close(struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	a->up = false;
	balloon_hint_stop(a);
	balloon_target_stop(a);
	balloon_statistics_stop(a);
	lifecycle_reset(a);
}

/* Start the device, after the negotiation of features. balloon_mutex held. */
static int lifecycle_start(struct aerator *a)
{
	struct lifecycle_room room;
	int err = lifecycle_make_room(&room);

	lockdep_assert_held(&balloon_mutex);
	if (err)
		return err;
	err = balloon_queues_find(a);
	if (err)
		goto free;
	/* A device counts as failed until it is ready: the OOM notifier can deflate at any time. */
	balloon_inflate_start(a);
	lifecycle_make_ready(a);
	err = lifecycle_start_intake(a, &room);
	if (err) {
		balloon_target_stop(a);
		lifecycle_reset(a);
		return err;
	}
	balloon_statistics_start(a);
	balloon_target_start(a);
	balloon_hint_start(a);
	a->up = true;
	return 0;

free:
	kvfree(room.runs);
	return err;
}

/*
 * Undo lifecycle_start(). The intake is stopped first, since its batches may take long:
 * meanwhile the balloon still deflates when the guest is out of memory. balloon_mutex
 * held.
 */
static void lifecycle_stop(struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	if (!a->up)
		return;
	lifecycle_stop_intake(a);
	lifecycle_close(a);
}

/*
 * Reset the device and negotiate again, as the bus does before probe (virtio 1.2, 3.1.1).
 * The driver's features are still in vdev->features.
 */
static int lifecycle_negotiate(struct aerator *a)
{
	struct virtio_device *vdev = a->vdev;
	int err;

	if (!lifecycle_reset_again(a))
		return -EBUSY;
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

/* Stop the device, and start it again with a reset. balloon_mutex held. */
static int lifecycle_again(struct aerator *a)
{
	int err;

	lockdep_assert_held(&balloon_mutex);
	lifecycle_stop(a);
	err = lifecycle_negotiate(a);
	if (!err)
		err = lifecycle_start(a);
	if (err)	/* leave no half-started device behind */
		lifecycle_reset_again(a);
	return err;
}

/**
 * balloon_lifecycle_recover - restart a device that was reset
 * @work: &struct balloon_reset.recover
 *
 * Context: may sleep.
 */
void balloon_lifecycle_recover(struct work_struct *work)
{
	struct aerator *a = container_of(to_delayed_work(work), struct aerator,
					 reset.recover);

	mutex_lock(&balloon_mutex);
	if (a->removing || (a->up && !balloon_has_failed(a)))
		goto unlock;
	if (lifecycle_again(a))
		balloon_reset_recover_soon(a);
	else
		dev_info(&a->vdev->dev, "the device works again after a reset\n");
unlock:
	mutex_unlock(&balloon_mutex);
}

/* With the device stopped and @removing set, none of these works is queued again. */
static void lifecycle_cancel(struct aerator *a)
{
	cancel_work_sync(&a->config_work);
	cancel_work_sync(&a->hint.work);
	/* Last: the other works may fail the device, which queues this one. */
	cancel_delayed_work_sync(&a->reset.recover);
}

/* Log that the device is bound, and its main settings. balloon_mutex held. */
static void lifecycle_announce(const struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	dev_info(&a->vdev->dev, "%s, intake=%s queue=%u order=%u\n",
		 a->taken_over ? "taken over from " BALLOON_RIVAL : "bound",
		 a->intake->ops->name, virtqueue_get_vring_size(a->reporting_vq),
		 a->intake->ops->order(a->intake));
	if (virtio_has_feature(a->vdev, VIRTIO_BALLOON_F_PAGE_POISON) &&
	    balloon_features_poison())
		dev_warn(&a->vdev->dev,
			 "free pages are poisoned: QEMU does not discard the reported pages of such a guest\n");
}

/**
 * balloon_lifecycle_begin - start a device that was just bound
 * @a: the device
 *
 * Context: may sleep.
 *
 * Return: 0, -EBUSY if another device is bound already, or another negative errno.
 */
int balloon_lifecycle_begin(struct aerator *a)
{
	int err = -EBUSY;

	mutex_lock(&balloon_mutex);
	if (!balloon_bound)
		err = lifecycle_start(a);
	a->removing = err != 0;
	if (!err) {
		balloon_bound = a;
		lifecycle_announce(a);
	}
	mutex_unlock(&balloon_mutex);
	if (err)
		lifecycle_cancel(a);
	return err;
}

/* Stop the device for good, after balloon_quiesce_begin(). balloon_mutex held. */
static void lifecycle_finish(struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	if (balloon_bound == a)
		balloon_bound = NULL;
	lifecycle_stop(a);
}

/**
 * balloon_lifecycle_prepare_end - a device is about to be unbound
 * @a: the device
 *
 * Context: may sleep, for as long as a batch takes to settle if balloon_mutex is held
 * meanwhile.
 */
void balloon_lifecycle_prepare_end(struct aerator *a)
{
	mutex_lock(&balloon_mutex);
	balloon_quiesce_begin(a);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_lifecycle_end - stop a device that is about to be unbound
 * @a: the device
 *
 * All pages in the balloon go back to the guest. The device is reset at the end.
 *
 * Context: may sleep for as long as a batch takes to settle and the balloon to deflate;
 * see balloon_quiesce_wait().
 */
void balloon_lifecycle_end(struct aerator *a)
{
	balloon_lifecycle_prepare_end(a);
	balloon_quiesce_wait(a);
	mutex_lock(&balloon_mutex);
	balloon_inflate_empty(a);
	lifecycle_finish(a);
	if (!lifecycle_reset_again(a))
		balloon_statistics_abandon(a);
	mutex_unlock(&balloon_mutex);
	lifecycle_cancel(a);
}

/* No batch is in flight, and the balloon is empty, or nothing has changed. */
static int lifecycle_quiesce(struct aerator *a)
{
	int err = balloon_quiesce_intake(a);

	lockdep_assert_held(&balloon_mutex);
	if (err)
		return err;
	err = balloon_inflate_try_empty(a);
	if (err)
		balloon_quiesce_cancel(a);
	return err;
}

/**
 * balloon_lifecycle_freeze - the guest is suspended
 * @a: the device
 *
 * Empties the balloon: after a hibernation another kernel boots before the image is
 * restored, and may use the pages that were in the balloon.
 *
 * Context: sleeps until the balloon is empty; for settle_timeout_ms and a reset at most
 * after the device's last answer.
 *
 * Return: 0, or -EBUSY if the device does not answer and cannot be reset: the guest is
 * not suspended.
 */
int balloon_lifecycle_freeze(struct aerator *a)
{
	int err;

	mutex_lock(&balloon_mutex);
	err = a->up ? lifecycle_quiesce(a) : balloon_inflate_try_empty(a);
	if (err)
		dev_err(&a->vdev->dev,
			"the device does not answer: the guest cannot be suspended\n");
	else
		lifecycle_stop(a);
	mutex_unlock(&balloon_mutex);
	return err;
}

/**
 * balloon_lifecycle_restore - the guest is resumed
 * @a: the device; the bus has negotiated the features again
 *
 * An error is not returned to the bus: the recovery work then resets the device and
 * tries again.
 *
 * Context: may sleep.
 */
void balloon_lifecycle_restore(struct aerator *a)
{
	mutex_lock(&balloon_mutex);
	if (lifecycle_start(a))
		balloon_reset_recover_soon(a);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_shutdown - the machine goes down, or boots another kernel
 *
 * The device stays reset from here on, and is not recovered. The pages in the balloon
 * stay there: the next kernel reads the target again. A device that does not answer and
 * cannot be reset does not block the shutdown.
 *
 * Context: may sleep for as long as a batch takes to settle.
 */
void balloon_shutdown(void)
{
	struct aerator *a;

	mutex_lock(&balloon_mutex);
	a = balloon_bound;
	if (a)
		balloon_quiesce_begin(a);
	if (a && balloon_quiesce_try(a))
		lifecycle_finish(a);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_wake - apply changed settings now
 *
 * Context: may sleep.
 */
void balloon_wake(void)
{
	mutex_lock(&balloon_mutex);
	if (balloon_bound && balloon_bound->up && !balloon_bound->removing)
		balloon_bound->intake->ops->wake(balloon_bound->intake);
	mutex_unlock(&balloon_mutex);
}

/*
 * Restart the intake with batches of another kind or size, on the same queues. The steps
 * that can fail come first: a device that cannot be reset must not lose its queues after
 * a failed allocation, and must not be waited for without limit. balloon_mutex held.
 */
static int lifecycle_restart_intake(struct aerator *a)
{
	struct lifecycle_room room;
	int err = lifecycle_make_room(&room);

	lockdep_assert_held(&balloon_mutex);
	if (err)
		return err;
	err = balloon_quiesce_intake(a);
	if (err) {
		dev_err(&a->vdev->dev,
			"the device does not answer: the setting is not changed\n");
		kvfree(room.runs);
		return err;
	}
	lifecycle_stop_intake(a);
	err = lifecycle_start_intake(a, &room);
	if (err) {
		lifecycle_close(a);
		balloon_reset_recover_soon(a);
	}
	return err;
}

/**
 * balloon_restart - apply changed settings that are read at the start only
 *
 * Restarts the intake. The device is not reset, since not every device can be.
 *
 * Context: may sleep for as long as a batch takes to settle.
 *
 * Return: 0, also without a device. -ENOMEM with nothing changed. -EBUSY with nothing
 * changed, if the device does not answer and cannot be reset. Another negative errno, or
 * -EBUSY of page_reporting_register(), with the device down: recovery then tries again
 * with the settings at that time.
 */
int balloon_restart(void)
{
	struct aerator *a;
	int err = 0;

	mutex_lock(&balloon_mutex);
	a = balloon_bound;
	if (a && a->up && !a->removing)
		err = lifecycle_restart_intake(a);
	mutex_unlock(&balloon_mutex);
	return err;
}

/**
 * balloon_flush - treat all surplus now
 * @a: the device, kept bound by the caller
 *
 * Context: sleeps until the host has acknowledged it, a minute at most; interruptible.
 *
 * Return: 0; -EAGAIN if the device is paused, suspended, recovering or being unbound, or
 * in plain mode (&struct intake.plain); -EIO if the host did not take every batch;
 * -ETIMEDOUT, or -ERESTARTSYS.
 */
int balloon_flush(struct aerator *a)
{
	unsigned int ticket = 0;
	struct intake *in;
	bool up;

	mutex_lock(&balloon_mutex);
	in = a->intake;
	up = a->up && !a->removing && !balloon_has_failed(a) && !in->plain;
	if (up) {
		ticket = intake_flush_begin(&in->pacing);
		in->ops->wake(in);
	}
	mutex_unlock(&balloon_mutex);
	return up ? intake_flush_end(&in->pacing, ticket) : -EAGAIN;
}
