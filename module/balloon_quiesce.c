// SPDX-License-Identifier: GPL-2.0
/*
 * Quiescing a device: no batch is at it, and none will be.
 *
 * What stops the intake waits for its batches, and that may take for ever: a device
 * that is silent and cannot be reset keeps what it has. So nothing begins to stop before
 * this has waited, without a lock that anything else needs and for a bounded time where
 * there is a way back:
 *
 *   settings	are refused, and stay as they are
 *   shutdown	goes on, the device keeps its pages and its queues
 *   rmmod	is refused, from when the device was found so: the module is in use
 *   unbind	waits until the device answers, or can be reset, or is gone. There is no
 *		way back from an unbind, and none to keep the pages: the kernel's page
 *		reporting gives them to the allocator when its call of us returns.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include "balloon.h"

/* A silent device is found so after settle_timeout_ms, and a reset that fails. */
#define QUIESCE_RESET_MS	2000

static unsigned long quiesce_bound(void)
{
	return msecs_to_jiffies(READ_ONCE(aerator_params.settle_timeout_ms) +
				QUIESCE_RESET_MS);
}

/* No batch is at the device. Reactors that are not in use are idle. */
static bool quiesce_settled(const struct aerator *a)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(a->reactors); i++) {
		enum reactor_stage stage = READ_ONCE(a->reactors[i].stage);

		if (stage == REACTOR_REACT || stage == REACTOR_SETTLE)
			return false;
	}
	return true;
}

/* Pacing is halted. Is it known that the wait would have no end? */
static bool quiesce_hopeless(const struct aerator *a)
{
	return READ_ONCE(a->stuck) || !quiesce_settled(a);
}

static void quiesce_close(struct aerator *a)
{
	intake_pacing_halt(&a->intake->pacing);
	/* Pairs with balloon_reporting_send(): it sees pacing halted, or we see its batch. */
	smp_mb();
}

/**
 * balloon_quiesce_intake - let no batch be at the device, if that can be had
 * @a: the device, up
 *
 * Context: balloon_mutex held. Sleeps for settle_timeout_ms and a reset at most.
 *
 * Return: 0 with the intake's pacing halted, or -EBUSY with everything as it was.
 */
int balloon_quiesce_intake(struct aerator *a)
{
	quiesce_close(a);
	wait_event_idle_timeout(a->told, quiesce_settled(a) || READ_ONCE(a->stuck),
				quiesce_bound());
	if (quiesce_settled(a))
		return 0;
	intake_pacing_resume(&a->intake->pacing);
	a->intake->ops->wake(a->intake);
	dev_err(&a->vdev->dev,
		"the device does not answer: settings that need new batches stay as they are\n");
	return -EBUSY;
}

/**
 * balloon_quiesce_leave - the device is about to be unbound
 * @a: the device
 *
 * Recovery ends, and so does the wait of a flush.
 *
 * Context: balloon_mutex held; may sleep.
 */
void balloon_quiesce_leave(struct aerator *a)
{
	a->removing = true;
	if (a->up)
		quiesce_close(a);
}

/* No batches; and no requests, or one was answered since there were so many. */
static bool quiesce_done(const struct aerator *a, int ended)
{
	int now = atomic_read(&a->ended);

	return quiesce_settled(a) && (now != ended || now == atomic_read(&a->asked));
}

/**
 * balloon_quiesce_try - wait until nothing stays at the device, or that has no end
 * @a: the device, after balloon_quiesce_leave()
 *
 * Inflating goes on meanwhile; what stops it waits for no more than an answer.
 *
 * Context: may sleep, for settle_timeout_ms and a reset at most.
 *
 * Return: true if the device can be stopped.
 */
bool balloon_quiesce_try(struct aerator *a)
{
	int ended = atomic_read(&a->ended);

	wait_event_idle_timeout(a->told, quiesce_done(a, ended) || READ_ONCE(a->stuck),
				quiesce_bound());
	if (!quiesce_hopeless(a))
		return true;
	dev_err(&a->vdev->dev,
		"the device does not answer, and keeps %llu KiB of free memory\n",
		intake_nodes_all_out(&a->intake->pacing) << (PAGE_SHIFT - 10));
	return false;
}

/**
 * balloon_quiesce_wait - wait until the device can be stopped
 * @a: the device, after balloon_quiesce_leave()
 *
 * Context: may sleep, without bound while the device is silent and cannot be reset. Under
 * no lock that anything else needs but that of the device.
 */
void balloon_quiesce_wait(struct aerator *a)
{
	/* Idle: no load, and no hung task. */
	if (!balloon_quiesce_try(a))
		wait_event_idle(a->told, !quiesce_hopeless(a));
}

/**
 * balloon_quiesce_stick - the device is silent and was not reset
 * @a: the device
 *
 * The module is in use from then on, if it is not being unloaded already.
 *
 * Context: @a->reset_lock held.
 */
void balloon_quiesce_stick(struct aerator *a)
{
	lockdep_assert_held(&a->reset_lock);
	a->pinned = a->pinned || try_module_get(THIS_MODULE);
	WRITE_ONCE(a->stuck, true);
	wake_up_all(&a->told);
}

/**
 * balloon_quiesce_unstick - the device answers, or was reset after all
 * @a: the device
 *
 * Another queue may still be silent: the wait for that says so again, after
 * settle_timeout_ms.
 *
 * Context: @a->reset_lock held. Unloading waits for the caller.
 */
void balloon_quiesce_unstick(struct aerator *a)
{
	lockdep_assert_held(&a->reset_lock);
	WRITE_ONCE(a->stuck, false);
	wake_up_all(&a->told);
	if (a->pinned)
		module_put(THIS_MODULE);
	a->pinned = false;
}
