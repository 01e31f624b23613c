/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_H
#define AERATOR_INTAKE_H

#include <linux/types.h>
#include "intake_pacing.h"

struct intake;
struct page_reporting_dev_info;
struct reactor;

/**
 * enum intake_kind - where blocks come from
 * @INTAKE_REPORTING: the kernel's page reporting
 * @INTAKE_TREATED: the aeration patch, on a kernel that has it
 * @INTAKE_KINDS: how many there are in this build
 */
enum intake_kind {
	INTAKE_REPORTING,
#ifdef COMPAT_HAS_AERATION
	INTAKE_TREATED,
#endif
	INTAKE_KINDS
};

/**
 * struct intake_ops - a source of free blocks
 * @name: what users call it
 * @order_min: smallest order that it can be asked for; needs no instance
 * @order_max: the largest
 * @create: make one, zeroed but for what is its own; NULL without memory
 * @destroy: free it; after @stop
 * @start: begin to take blocks, and start pacing; may sleep; 0 or a negative
 *	errno
 * @stop: end that, and stop pacing; returns when no batch is under way and
 *	every block is back in the allocator; may sleep for as long as the batches
 *	take to settle
 * @wake: settings changed, or a flush began: queue the work now; between @start
 *	and @stop only
 * @order: smallest order that it takes at present; from anyone, at any time
 * @order_in_force: the same of the device that is started, or what one would be started
 *	with; needs no instance
 * @treated: pages of a node in blocks of at least @order that the host knows of, but
 *	for those that are out of the allocator; as @order. NULL if the allocator does
 *	not count them
 * @survey: only then: the same by looking at them; may sleep
 * @batch: only then: pages in the smallest full batch, which is taken or refused as a
 *	whole, and which a zone has to have beyond its low watermark; as @order
 * @counts: free memory that the host still has to keep, and that it knows it
 *	need not, pages of any order. At any time, from anyone who may sleep, also
 *	while it is stopped
 *
 * @start, @stop and @wake are called under the lock of whoever owns the intake.
 */
struct intake_ops {
	const char *name;
	unsigned int (*order_min)(void);
	unsigned int (*order_max)(void);
	struct intake *(*create)(void);
	void (*destroy)(struct intake *in);
	int (*start)(struct intake *in);
	void (*stop)(struct intake *in);
	void (*wake)(struct intake *in);
	unsigned int (*order)(const struct intake *in);
	unsigned int (*order_in_force)(void);
	u64 (*treated)(const struct intake *in, int nid);
	u64 (*survey)(const struct intake *in, int nid);
	u64 (*batch)(const struct intake *in);
	void (*counts)(u64 *raw, u64 *treated);
};

/**
 * typedef intake_send_fn - hand a batch to the host
 * @owner: as given at creation
 * @r: the reactor, in fill and with at least one block in it
 *
 * Does not sleep for the host. What the queue has no room for is sent while the
 * owner settles whichever reactor.
 *
 * Return: 0 with @r in settle; a negative errno with @r in decant, its blocks raw.
 */
typedef int (*intake_send_fn)(void *owner, struct reactor *r);

/**
 * typedef intake_settle_fn - wait until the host has a batch
 * @owner: as given at creation
 * @r: the reactor, in settle
 *
 * Returns with @r in decant. Sleeps until the host answered or was reset. What
 * it answered of other reactors is taken too: they stay in settle, and their turn
 * does not sleep. Whichever order they are settled in, the order of sending is
 * the one that sleeps least.
 *
 * Return: 0 if the blocks are treated, a negative errno if they are raw.
 */
typedef int (*intake_settle_fn)(void *owner, struct reactor *r);

/**
 * struct intake - what every source of free blocks has
 * @ops: its functions
 * @pacing: when its passes run
 * @reactors: the batches, all idle while it is stopped; run by the intake's one
 *	work item, and by @send and @settle in it
 * @nr_reactors: how many there are, at least 1; does not change between start and
 *	stop, nor does the room in each
 * @send: the way to the host
 * @settle: and back
 * @owner: argument of both
 * @ring: most entries that one chain holds; longer batches take several
 * @own_order: the kernel's order before ours, see intake_order_prepare()
 * @replaced: the last of these that the log has
 * @plain: it cannot choose when its passes run, and what is free goes to the host sooner
 *	or later; of the settings enabled, order and reactor_size hold. Does not change
 *	between start and stop
 */
struct intake {
	const struct intake_ops *ops;
	struct intake_pacing pacing;
	struct reactor *reactors;
	unsigned int nr_reactors;
	intake_send_fn send;
	intake_settle_fn settle;
	void *owner;
	unsigned int ring;
	unsigned int own_order;
	unsigned int replaced;
	bool plain;
};

extern const struct intake_ops intake_reporting_ops;
#ifdef COMPAT_HAS_AERATION
extern const struct intake_ops intake_treated_ops;
#endif

const struct intake_ops *intake_kind_ops(enum intake_kind kind);
enum intake_kind intake_chosen(void);
struct intake *intake_create(enum intake_kind kind);
void intake_destroy(struct intake *in);
unsigned int intake_order(void);
unsigned int intake_order_wanted(void);
void intake_order_prepare(struct intake *in, struct page_reporting_dev_info *prdev,
			  unsigned int order);
void intake_order_set(struct intake *in, unsigned int order);
void intake_order_restore(struct intake *in, unsigned int order);

#endif /* AERATOR_INTAKE_H */
