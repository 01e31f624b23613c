// SPDX-License-Identifier: GPL-2.0
/*
 * Quiescing a device: no batch is in flight, and none will be.
 *
 * Stopping the intake waits for its batches. The wait may never end: a device that does
 * not answer and cannot be reset keeps the batches that it has. Before the intake is
 * stopped, the functions of this file therefore wait, without a lock that other tasks
 * need, and for a limited time where the operation can still be cancelled. If the device
 * stays stuck:
 *
 *   settings	that need new batches are refused
 *   suspend	is refused, and the device stays in use
 *   shutdown	continues, the device keeps its pages and its queues
 *   rmmod	is refused once the device is known to be stuck: the module is in use
 *   unbind	waits until the device answers, or can be reset, or is gone. An unbind
 *		cannot be cancelled, nor can the pages be withheld from the guest: the
 *		kernel's page reporting frees them when report() returns.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include "balloon.h"

/* A device is known to be stuck after settle_timeout_ms, and a reset that fails. */
#define QUIESCE_RESET_MS	2000

static unsigned long quiesce_bound(void)
{
	return msecs_to_jiffies(READ_ONCE(aerator_params.settle_timeout_ms) +
				QUIESCE_RESET_MS);
}

/* No batch is in flight. Reactors that are not in use are idle. */
static bool quiesce_settled(const struct aerator *a)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(a->reporting.reactors); i++) {
		enum reactor_stage stage = READ_ONCE(a->reporting.reactors[i].stage);

		if (stage == REACTOR_REACT || stage == REACTOR_SETTLE)
			return false;
	}
	return true;
}

/* With pacing halted: is the device known to be stuck? */
static bool quiesce_is_stuck(const struct aerator *a)
{
	return READ_ONCE(a->reset.stuck) || !quiesce_settled(a);
}

static void quiesce_halt(struct aerator *a)
{
	intake_pacing_halt(&a->intake->pacing);
	/* Pairs with balloon_reporting_send(): write the halt before reading stages. */
	smp_mb();
}

/**
 * balloon_quiesce_cancel - resume pacing, as the device stays in use
 * @a: the device, up
 *
 * Context: balloon_mutex held; may sleep.
 */
void balloon_quiesce_cancel(struct aerator *a)
{
	intake_pacing_resume(&a->intake->pacing);
	a->intake->ops->wake(a->intake);
}

/**
 * balloon_quiesce_intake - halt pacing, and wait until no batch is in flight
 * @a: the device, up
 *
 * Context: balloon_mutex held. Sleeps for settle_timeout_ms and a reset at most.
 *
 * Return: 0 with pacing halted, or -EBUSY with pacing resumed.
 */
int balloon_quiesce_intake(struct aerator *a)
{
	quiesce_halt(a);
	wait_event_idle_timeout(a->requests.acked,
				quiesce_settled(a) || READ_ONCE(a->reset.stuck),
				quiesce_bound());
	if (quiesce_settled(a))
		return 0;
	balloon_quiesce_cancel(a);
	return -EBUSY;
}

/**
 * balloon_quiesce_begin - the device is about to be unbound
 * @a: the device
 *
 * Halts pacing. Ends recovery, and wakes the callers that wait for a flush.
 *
 * Context: balloon_mutex held; may sleep.
 */
void balloon_quiesce_begin(struct aerator *a)
{
	a->removing = true;
	if (a->up)
		quiesce_halt(a);
}

/* No batch in flight; and no request either, or one has ended since @ended was read. */
static bool quiesce_done(const struct aerator *a, int ended)
{
	int now = atomic_read(&a->requests.ended);

	return quiesce_settled(a) && (now != ended || now == atomic_read(&a->requests.begun));
}

/**
 * balloon_quiesce_try - wait until no batch is in flight, or the device is stuck
 * @a: the device, after balloon_quiesce_begin()
 *
 * Inflating continues meanwhile; stopping it waits for one request at most.
 *
 * Context: may sleep, for settle_timeout_ms and a reset at most.
 *
 * Return: true if the device can be stopped.
 */
bool balloon_quiesce_try(struct aerator *a)
{
	int ended = atomic_read(&a->requests.ended);

	wait_event_idle_timeout(a->requests.acked,
				quiesce_done(a, ended) || READ_ONCE(a->reset.stuck),
				quiesce_bound());
	if (!quiesce_is_stuck(a))
		return true;
	dev_err(&a->vdev->dev,
		"the device does not answer, and still owns %llu KiB of free memory\n",
		intake_nodes_all_isolated(&a->intake->pacing) << (PAGE_SHIFT - 10));
	return false;
}

/**
 * balloon_quiesce_wait - wait until the device can be stopped
 * @a: the device, after balloon_quiesce_begin()
 *
 * Context: may sleep, without limit while the device does not answer and cannot be reset.
 * Under no lock that other tasks need, except for the device lock.
 */
void balloon_quiesce_wait(struct aerator *a)
{
	/* Idle: this wait adds no load, and is not reported as a hung task. */
	if (!balloon_quiesce_try(a))
		wait_event_idle(a->requests.acked, !quiesce_is_stuck(a));
}

/**
 * balloon_quiesce_set_stuck - the device does not answer, and could not be reset
 * @a: the device
 *
 * Takes a reference to the module, unless the module is being unloaded already.
 *
 * Context: @a->reset.lock held.
 */
void balloon_quiesce_set_stuck(struct aerator *a)
{
	lockdep_assert_held(&a->reset.lock);
	a->reset.pinned = a->reset.pinned || try_module_get(THIS_MODULE);
	WRITE_ONCE(a->reset.stuck, true);
	wake_up_all(&a->requests.acked);
}

/**
 * balloon_quiesce_clear_stuck - the device answers again, or was reset after all
 * @a: the device
 *
 * Another queue may still not be answered: the wait on that queue calls
 * balloon_quiesce_set_stuck() again, after settle_timeout_ms.
 *
 * Context: @a->reset.lock held. The caller is a work or task that unloading waits for, so
 * that the reference to the module may be dropped here.
 */
void balloon_quiesce_clear_stuck(struct aerator *a)
{
	lockdep_assert_held(&a->reset.lock);
	WRITE_ONCE(a->reset.stuck, false);
	wake_up_all(&a->requests.acked);
	if (a->reset.pinned)
		module_put(THIS_MODULE);
	a->reset.pinned = false;
}
