// SPDX-License-Identifier: GPL-2.0
/*
 * A device's life: up, down, failed, and up again.
 *
 * balloon_mutex covers every change between running and not: bind, unbind,
 * suspend, recovery, settings. It may be held for as long as a batch takes to
 * settle. It is taken inside the device lock and inside the module's parameter
 * lock, and never by the works that use the queues, for which lifecycle_stop() waits.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/compat.h"

/**
 * struct lifecycle_room - what the entries of all batches need
 * @runs: the entries
 * @reactors: how many batches there may be
 * @size: most entries of one
 */
struct lifecycle_room {
	struct reactor_run *runs;
	unsigned int reactors;
	unsigned int size;
};

static DEFINE_MUTEX(balloon_mutex);

/* The bound device: page reporting takes one, so there is one. balloon_mutex */
static struct aerator *balloon_bound;

/*
 * Nothing uses the queues any more. Reset first: it ends the device's access to
 * memory, and its interrupts. It must not see the queues go: without a reset they stay.
 */
static void lifecycle_reset(struct aerator *a)
{
	bool reset;

	mutex_lock(&a->reset_lock);
	reset = balloon_reset_device(a->vdev);
	/* From here on no other task resets it, and what it had is free. */
	smp_store_release(&a->failed, true);
	mutex_unlock(&a->reset_lock);
	/*
	 * On a bus whose reset does not wait for an interrupt (MMIO) it may be queued
	 * once more, and find nothing running.
	 */
	cancel_work_sync(&a->config);
	if (reset) {
		balloon_queues_delete(a);
		return;
	}
	balloon_queues_abandon(a);
	dev_err(&a->vdev->dev, "the device cannot be reset, and keeps its queues\n");
}

/* A device that is down may have kept its queues, or have got half way up again. */
static bool lifecycle_reset_again(struct aerator *a)
{
	bool reset = balloon_reset_device(a->vdev);

	if (reset)
		balloon_queues_delete(a);
	return reset;
}

/* Room for the batches that the settings of now allow, which nobody uses yet. */
static int lifecycle_make_room(struct lifecycle_room *room)
{
	room->size = READ_ONCE(aerator_params.reactor_size);
	room->reactors = READ_ONCE(aerator_params.reactors);
	room->runs = kvcalloc(room->reactors * room->size, sizeof(*room->runs),
			      GFP_KERNEL);
	return room->runs ? 0 : -ENOMEM;
}

/* All reactors are idle: the intake is stopped. balloon_mutex held. */
static void lifecycle_equip(struct aerator *a, const struct lifecycle_room *room)
{
	unsigned int i;

	lockdep_assert_held(&balloon_mutex);
	for (i = 0; i < room->reactors; i++)
		reactor_equip(&a->reactors[i], room->runs + i * room->size, room->size);
	a->intake->nr_reactors = room->reactors;
	a->runs = room->runs;
}

/* The device is the driver's: tell it the rest. balloon_mutex held. */
static void lifecycle_make_ready(struct aerator *a)
{
	struct virtio_device *vdev = a->vdev;
	u32 poison = balloon_features_poison();

	lockdep_assert_held(&balloon_mutex);
	if (virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		virtio_cwrite_le(vdev, struct virtio_balloon_config, poison_val,
				 &poison);
	/* Before the first interrupt, which may ask for a reset. */
	WRITE_ONCE(a->failed, false);
	virtio_device_ready(vdev);
}

/*
 * From queues to free memory being returned, as the settings of now say. The room is
 * the intake's then, or gone. balloon_mutex held.
 */
static int lifecycle_start_intake(struct aerator *a, const struct lifecycle_room *room)
{
	int err;

	lockdep_assert_held(&balloon_mutex);
	WRITE_ONCE(a->intake, a->intakes[intake_chosen()]);
	a->intake->ring = min_t(unsigned int, virtqueue_get_vring_size(a->reporting_vq),
				ARRAY_SIZE(a->sg));
	/* Of another order, or of another host. */
	WRITE_ONCE(a->reports, TRIAL_UNKNOWN);
	lifecycle_equip(a, room);
	err = a->intake->ops->start(a->intake);
	if (err)
		kvfree(room->runs);
	return err;
}

/* Back from there: every block is in the allocator. balloon_mutex held. */
static void lifecycle_stop_intake(struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	a->intake->ops->stop(a->intake);
	kvfree(a->runs);
}

/*
 * The intake is stopped, or did not start. What is in the balloon stays there.
 * balloon_mutex held.
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

/* From features negotiated to a device that does all that it is for. balloon_mutex held. */
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
	lifecycle_make_ready(a);
	err = lifecycle_start_intake(a, &room);
	if (err) {
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
 * Back from there. The intake first, since its batches may take long: until the balloon
 * stops, it gives way to a guest that is out of memory. balloon_mutex held.
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
 * Reset and negotiate anew, as the bus does it before probe: the driver's
 * features are still in vdev->features (virtio 1.2, 3.1.1).
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

/* All over again, from the reset on. balloon_mutex held. */
static int lifecycle_again(struct aerator *a)
{
	int err;

	lockdep_assert_held(&balloon_mutex);
	lifecycle_stop(a);
	err = lifecycle_negotiate(a);
	if (!err)
		err = lifecycle_start(a);
	if (err)	/* not to be left half way, whatever comes next */
		lifecycle_reset_again(a);
	return err;
}

/**
 * balloon_lifecycle_recover - bring back a device that was reset
 * @work: that of the device
 *
 * Context: may sleep.
 */
void balloon_lifecycle_recover(struct work_struct *work)
{
	struct aerator *a = container_of(to_delayed_work(work), struct aerator,
					 recover);

	mutex_lock(&balloon_mutex);
	if (a->removing || (a->up && !balloon_has_failed(a)))
		goto unlock;
	if (lifecycle_again(a))
		balloon_reset_recover_soon(a);
	else
		dev_info(&a->vdev->dev, "the device is back after its reset\n");
unlock:
	mutex_unlock(&balloon_mutex);
}

/* The device is stopped, and @removing: nobody queues any of them anew. */
static void lifecycle_cancel(struct aerator *a)
{
	cancel_work_sync(&a->config);
	cancel_work_sync(&a->hint.work);
	/* Last: the others may find that the device failed. */
	cancel_delayed_work_sync(&a->recover);
}

/* Say that a device is ours, and how. balloon_mutex held. */
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
			 "free pages are poisoned: QEMU keeps what is reported by such a guest\n");
}

/**
 * balloon_lifecycle_begin - start a device that was just bound
 * @a: the device
 *
 * Context: may sleep.
 *
 * Return: 0, -EBUSY if there is one already, or another negative errno.
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

/* Stop for good, after balloon_quiesce_leave(). balloon_mutex held. */
static void lifecycle_finish(struct aerator *a)
{
	lockdep_assert_held(&balloon_mutex);
	if (balloon_bound == a)
		balloon_bound = NULL;
	lifecycle_stop(a);
}

/**
 * balloon_leave - a device is about to be unbound
 * @a: the device
 *
 * Context: may sleep, for as long as a batch takes to settle if that is waited for.
 */
void balloon_leave(struct aerator *a)
{
	mutex_lock(&balloon_mutex);
	balloon_quiesce_leave(a);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_lifecycle_end - stop a device that is about to be unbound
 * @a: the device
 *
 * All that is in its balloon goes back to the guest. The device ends up reset.
 *
 * Context: may sleep for as long as a batch takes to settle, and deflating; see
 * balloon_quiesce_wait().
 */
void balloon_lifecycle_end(struct aerator *a)
{
	balloon_leave(a);
	balloon_quiesce_wait(a);
	mutex_lock(&balloon_mutex);
	balloon_inflate_empty(a);
	lifecycle_finish(a);
	if (!lifecycle_reset_again(a))
		balloon_statistics_abandon(a);
	mutex_unlock(&balloon_mutex);
	lifecycle_cancel(a);
}

/**
 * balloon_lifecycle_freeze - the guest is put to sleep
 * @a: the device
 *
 * Nothing stays in the balloon: the kernel that wakes up may be another one, and
 * have used that memory.
 *
 * Context: may sleep, as balloon_lifecycle_end().
 */
void balloon_lifecycle_freeze(struct aerator *a)
{
	mutex_lock(&balloon_mutex);
	balloon_inflate_empty(a);
	lifecycle_stop(a);
	mutex_unlock(&balloon_mutex);
}

/**
 * balloon_lifecycle_restore - the guest woke up
 * @a: the device, negotiated with anew by the bus
 *
 * Should it fail, then the bus is told that all is well, and recovery starts from
 * a reset.
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
 * The device stays reset from here on, whatever recovery had in mind, and what is
 * in the balloon stays there: the next kernel asks for it anew. A device that is silent
 * and cannot be reset holds up no shutdown.
 *
 * Context: may sleep for as long as a batch takes to settle.
 */
void balloon_shutdown(void)
{
	struct aerator *a;

	mutex_lock(&balloon_mutex);
	a = balloon_bound;
	if (a)
		balloon_quiesce_leave(a);
	if (a && balloon_quiesce_try(a))
		lifecycle_finish(a);
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
	if (balloon_bound && balloon_bound->up && !balloon_bound->removing)
		balloon_bound->intake->ops->wake(balloon_bound->intake);
	mutex_unlock(&balloon_mutex);
}

/*
 * Batches of another kind or size, on the same queues. What can fail comes first: not
 * every device can be reset, and one that cannot must not lose its queues for a lack
 * of memory, nor be waited for without bound. balloon_mutex held.
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
 * balloon_restart - settings changed that are looked at on start only
 *
 * Reporting starts anew. The device knows nothing of it: not every one can be reset.
 *
 * Context: may sleep for as long as a batch takes to settle.
 *
 * Return: 0, also without a device. With nothing changed -ENOMEM, or -EBUSY if the
 * device is silent and cannot be reset. Or another negative errno, or -EBUSY from the
 * kernel: the device is down then, and recovery tries again with the settings it finds.
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
 * Context: sleeps until the host has it, a minute at most; interruptible.
 *
 * Return: 0, -EAGAIN if it is paused, suspended, recovered or unbound, or if the kernel
 * decides when memory goes, -EIO if the host did not take it, -ETIMEDOUT, or
 * -ERESTARTSYS.
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
