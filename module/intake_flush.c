// SPDX-License-Identifier: GPL-2.0
/*
 * Flush: a caller that waits until all surplus is treated.
 *
 * A caller takes a ticket, the number of the last run of the intake's work that may not
 * know of it. intake_pacing_end() says which run left nothing to do; a later one than the ticket
 * ends the wait.
 */
#include <linux/jiffies.h>
#include "intake_pacing.h"

/* A flush that takes longer than this fails. */
#define INTAKE_FLUSH_MS		60000

/**
 * intake_flush_drained - all was done that runs of the work up to that one had to do
 * @p: the pacing
 * @begun: the number of that run
 *
 * Context: the intake's work.
 */
void intake_flush_drained(struct intake_pacing *p, unsigned int begun)
{
	if ((int)(begun - p->drained) <= 0)
		return;
	p->drained_err = intake_pacing_is_off(p) ? -ESHUTDOWN : p->err;
	/* Pairs with the acquire in intake_flush_is_over(). */
	smp_store_release(&p->drained, begun);
	wake_up_all(&p->passed);
}

/**
 * intake_flush_begin - the next passes are not to wait
 * @p: the pacing
 *
 * The caller queues the intake's work then. Passes that begin after this call
 * will see all that is free now; the ticket is the number of the last one that
 * may not.
 *
 * Context: under the intake's owner's lock, while pacing is started.
 *
 * Return: the ticket for intake_flush_end(), which has to be called.
 */
unsigned int intake_flush_begin(struct intake_pacing *p)
{
	atomic_inc(&p->flushes);
	/* Pairs with the barrier in intake_pacing_begin(): a later one knows of us. */
	smp_mb__after_atomic();
	return READ_ONCE(p->begun);
}

static bool intake_flush_is_over(const struct intake_pacing *p, unsigned int ticket)
{
	/* Pairs with the release in intake_flush_drained(). */
	return (int)(smp_load_acquire(&p->drained) - ticket) > 0;
}

/**
 * intake_flush_end - wait until nothing is left to do
 * @p: the pacing
 * @ticket: what intake_flush_begin() returned
 *
 * Context: sleeps for a minute at most, interruptible. Not under the intake's
 * owner's lock: it must be possible to halt pacing meanwhile.
 *
 * Return: 0, -EAGAIN if it was halted or paused, -EIO if the host did not take
 * all, -ETIMEDOUT, or -ERESTARTSYS.
 */
int intake_flush_end(struct intake_pacing *p, unsigned int ticket)
{
	long left;

	left = wait_event_interruptible_timeout(p->passed,
						intake_flush_is_over(p, ticket) ||
						intake_pacing_is_off(p),
						msecs_to_jiffies(INTAKE_FLUSH_MS));
	atomic_dec(&p->flushes);
	if (left <= 0)
		return left ?: -ETIMEDOUT;
	if (intake_pacing_is_off(p) || READ_ONCE(p->drained_err) == -ESHUTDOWN)
		return -EAGAIN;
	return READ_ONCE(p->drained_err) ? -EIO : 0;
}
