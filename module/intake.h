/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_H
#define AERATOR_INTAKE_H

#include <linux/types.h>

struct intake;
struct reactor;

/**
 * struct intake_ops - a source of free blocks
 * @name: what users call it
 * @start: begin to take blocks; may sleep; 0 or a negative errno
 * @stop: end that; returns when no batch is under way and every block is back
 *	in the allocator; may sleep for as long as a batch takes to settle
 * @wake: settings changed, look at them now; between @start and @stop only
 * @flush_begin: treat all surplus now, without waiting for the window; returns
 *	a ticket for @flush_end
 * @flush_end: wait until the host has it; -EAGAIN if the intake was stopped or
 *	paused meanwhile, -EIO if the host did not take it, -ETIMEDOUT, or
 *	-ERESTARTSYS at a signal
 * @order: smallest order that it takes at present
 * @surplus: free memory that the guest does not seem to need, bytes
 * @destroy: free it; after @stop
 *
 * @start, @stop, @wake and @flush_begin are called under the lock of whoever owns
 * the intake, @flush_end is not: @stop must be able to run meanwhile.
 */
struct intake_ops {
	const char *name;
	int (*start)(struct intake *in);
	void (*stop)(struct intake *in);
	void (*wake)(struct intake *in);
	unsigned int (*flush_begin)(struct intake *in);
	int (*flush_end)(struct intake *in, unsigned int ticket);
	unsigned int (*order)(const struct intake *in);
	u64 (*surplus)(const struct intake *in);
	void (*destroy)(struct intake *in);
};

/**
 * typedef intake_treat_fn - hand the reactor's batch to the host
 * @owner: as given at creation
 *
 * Called with the reactor in fill and at least one block in it, returns with it
 * in decant. Sleeps until the host answered or was reset.
 *
 * Return: 0 if the blocks are treated, a negative errno if they are raw.
 */
typedef int (*intake_treat_fn)(void *owner);

/**
 * struct intake - what every source of free blocks has
 * @ops: its functions
 * @reactor: the batch, run by the intake and by @treat
 * @treat: the way to the host
 * @owner: argument of @treat
 * @ring: most blocks that one chain holds
 */
struct intake {
	const struct intake_ops *ops;
	struct reactor *reactor;
	intake_treat_fn treat;
	void *owner;
	unsigned int ring;
};

struct intake *intake_reporting_create(void);

/* Bounds of the order that the kernel's page reporting can be asked for. */
unsigned int intake_reporting_order_min(void);
unsigned int intake_reporting_order_max(void);

#endif /* AERATOR_INTAKE_H */
