// SPDX-License-Identifier: GPL-2.0
/*
 * Flush: the caller waits until all surplus is treated.
 *
 * Runs of the intake's work are numbered. The caller takes a ticket: the number of the
 * last run that may have begun before the flush. intake_pacing_end() records the last run
 * that left no deficit; a number greater than the ticket ends the wait.
 */
#include <linux/jiffies.h>
#include "intake_pacing.h"

/* A flush that takes longer than this fails. */
#define INTAKE_FLUSH_MS		60000

/**
 * intake_flush_drained - record that a run of the work left no deficit
 * @p: the pacing
 * @run: number of the run; all flushes that began before the run are done
 *
 * Context: the intake's work.
 */
void intake_flush_drained(struct intake_pacing *p, unsigned int run)
{
	if ((int)(run - p->flush.drained) <= 0)
		return;
	p->flush.drained_err = intake_pacing_is_off(p) ? -ESHUTDOWN : p->pass_err;
	/* Pairs with the acquire in intake_flush_is_over(). */
	smp_store_release(&p->flush.drained, run);
	wake_up_all(&p->flush.done);
}

/**
 * intake_flush_begin - let the next passes ignore the window and the rate
 * @p: the pacing
 *
 * The caller then queues the intake's work. Runs of the work that begin after this call
 * see all memory that is free now; the ticket is the number of the last run that may
 * not.
 *
 * Context: under the intake's owner's lock, while pacing is started.
 *
 * Return: the ticket for intake_flush_end(), which has to be called.
 */
unsigned int intake_flush_begin(struct intake_pacing *p)
{
	atomic_inc(&p->flush.waiters);
	/* Pairs with smp_mb() in intake_pacing_begin(): a later run sees p->flush.waiters. */
	smp_mb__after_atomic();
	return READ_ONCE(p->runs);
}

static bool intake_flush_is_over(const struct intake_pacing *p, unsigned int ticket)
{
	/* Pairs with the release in intake_flush_drained(). */
	return (int)(smp_load_acquire(&p->flush.drained) - ticket) > 0;
}

/**
 * intake_flush_end - wait until all surplus is treated
 * @p: the pacing
 * @ticket: return value of intake_flush_begin()
 *
 * Context: sleeps for a minute at most, interruptible. Not under the lock of the
 * intake's owner, under which pacing may be halted meanwhile.
 *
 * Return: 0, -EAGAIN if pacing was halted or paused, -EIO if the host did not take
 * every batch, -ETIMEDOUT, or -ERESTARTSYS.
 */
int intake_flush_end(struct intake_pacing *p, unsigned int ticket)
{
	long left;

	left = wait_event_interruptible_timeout(p->flush.done,
						intake_flush_is_over(p, ticket) ||
						intake_pacing_is_off(p),
						msecs_to_jiffies(INTAKE_FLUSH_MS));
	atomic_dec(&p->flush.waiters);
	if (left <= 0)
		return left ?: -ETIMEDOUT;
	if (intake_pacing_is_off(p) || READ_ONCE(p->flush.drained_err) == -ESHUTDOWN)
		return -EAGAIN;
	return READ_ONCE(p->flush.drained_err) ? -EIO : 0;
}
