// SPDX-License-Identifier: GPL-2.0
/*
 * Flush: a caller that waits until all surplus is treated.
 *
 * A caller takes a ticket, the number of the last run of the intake's work that may not
 * know of it. The gate says which run left nothing to do; a later one than the ticket
 * ends the wait.
 */
#include <linux/jiffies.h>
#include "intake_pacing.h"

/* A flush that takes longer than this fails. */
#define GATE_FLUSH_MS		60000

/**
 * gate_drained - all was done that runs of the work up to that one had to do
 * @g: the gate
 * @begun: the number of that run
 *
 * Context: the intake's work.
 */
void gate_drained(struct gate *g, unsigned int begun)
{
	if ((int)(begun - g->drained) <= 0)
		return;
	g->drained_err = gate_dry(g) ? -ESHUTDOWN : g->err;
	/* Pairs with the acquire in gate_flushed(). */
	smp_store_release(&g->drained, begun);
	wake_up_all(&g->passed);
}

/**
 * gate_flush_begin - the next passes are not to wait
 * @g: the gate
 *
 * The caller queues the intake's work then. Passes that begin after this call
 * will see all that is free now; the ticket is the number of the last one that
 * may not.
 *
 * Context: under the intake's owner's lock, while the gate is open.
 *
 * Return: the ticket for gate_flush_end(), which has to be called.
 */
unsigned int gate_flush_begin(struct gate *g)
{
	atomic_inc(&g->flushes);
	/* Pairs with the barrier in gate_begin(): a later one knows of us. */
	smp_mb__after_atomic();
	return READ_ONCE(g->begun);
}

static bool gate_flushed(const struct gate *g, unsigned int ticket)
{
	/* Pairs with the release in gate_drained(). */
	return (int)(smp_load_acquire(&g->drained) - ticket) > 0;
}

/**
 * gate_flush_end - wait until nothing is left to do
 * @g: the gate
 * @ticket: what gate_flush_begin() returned
 *
 * Context: sleeps for a minute at most, interruptible. Not under the intake's
 * owner's lock: the gate must be able to close meanwhile.
 *
 * Return: 0, -EAGAIN if it was closed or paused, -EIO if the host did not take
 * all, -ETIMEDOUT, or -ERESTARTSYS.
 */
int gate_flush_end(struct gate *g, unsigned int ticket)
{
	long left;

	left = wait_event_interruptible_timeout(g->passed,
						gate_flushed(g, ticket) || gate_dry(g),
						msecs_to_jiffies(GATE_FLUSH_MS));
	atomic_dec(&g->flushes);
	if (left <= 0)
		return left ?: -ETIMEDOUT;
	if (gate_dry(g) || READ_ONCE(g->drained_err) == -ESHUTDOWN)
		return -EAGAIN;
	return READ_ONCE(g->drained_err) ? -EIO : 0;
}
