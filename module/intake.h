/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_INTAKE_H
#define AERATOR_INTAKE_H

#include <linux/types.h>
#include "intake_pacing.h"
#include "stats.h"

struct intake;
struct page_reporting_dev_info;
struct reactor;

/**
 * enum intake_kind - the sources of free blocks
 * @INTAKE_REPORTING: the kernel's page reporting
 * @INTAKE_TREATED: the aeration patch, on a kernel that has it
 * @INTAKE_KINDS: number of sources in this build
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
 * @name: name of the intake in parameters and sysfs
 * @order_min: smallest order that the user may set; needs no instance
 * @order_max: largest order that the user may set; needs no instance
 * @create: allocate an instance, zeroed except for its own fields; NULL without memory
 * @destroy: free an instance; after @stop
 * @start: begin to take blocks, and start pacing; may sleep; 0 or a negative
 *	errno
 * @stop: undo @start; returns when no batch is in flight and every block is back in the
 *	allocator; may sleep for as long as the batches take to settle
 * @wake: settings changed, or a flush began: queue the work now; between @start
 *	and @stop only
 * @order: smallest order that the instance takes at present; in any context, at any time
 * @order_in_force: the order of the registered device, or without a device the order that
 *	a start would use; needs no instance
 * @treated: treated pages of a node in blocks of at least @order, without those that are
 *	out of the allocator; in any context. NULL if the allocator does not count them
 * @survey: only if @treated is NULL: estimates the same by scanning; may sleep
 * @batch: only if @treated is NULL: size of the smallest full batch, pages. The batch is
 *	taken or refused as a whole, and a zone without so many pages above its low
 *	watermark is skipped; in any context
 * @counts: raw and treated free memory, pages in blocks of any order. At any time, also
 *	while the intake is stopped; may sleep
 *
 * @start, @stop and @wake are called under the lock of the intake's owner.
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
 * typedef intake_send_fn - send a batch to the host
 * @owner: &struct intake.owner
 * @r: the reactor, in fill and with at least one block in it
 *
 * Does not wait for the answer. Entries that the queue has no room for are sent during
 * the next calls of &struct intake.settle, for any reactor.
 *
 * Return: 0 with @r in settle; a negative errno with @r in decant, its blocks raw.
 */
typedef int (*intake_send_fn)(void *owner, struct reactor *r);

/**
 * typedef intake_settle_fn - wait for the answer to a batch
 * @owner: &struct intake.owner
 * @r: the reactor, in settle
 *
 * Returns with @r in decant. Sleeps until the host has answered or the device was reset.
 * Answers to other reactors are collected too: these reactors stay in settle, and a
 * later call for them does not sleep. Reactors may be settled in any order; the order
 * in which they were sent sleeps least.
 *
 * Return: 0 if the blocks are treated, a negative errno if they are raw.
 */
typedef int (*intake_settle_fn)(void *owner, struct reactor *r);

/**
 * struct intake - common part of all sources of free blocks
 * @ops: functions of the source
 * @pacing: decides when passes run
 * @reactors: the batches, all idle while the intake is stopped; owned by the intake's
 *	work item, which calls @send and @settle
 * @nr_reactors: number of reactors, at least 1; neither this number nor the size of a
 *	reactor changes between start and stop
 * @send: sends a batch to the host
 * @settle: waits for the answer to a batch
 * @owner: first argument of @send and @settle
 * @stats: counters of the device
 * @ring: most entries in one chain; longer batches take several chains
 * @own_order: the kernel's page_reporting_order before the intake set its order, see
 *	intake_order_prepare()
 * @replaced: the last @own_order that a log message named
 * @plain: the intake cannot choose when its passes run: all free memory is reported
 *	sooner or later, and only the settings enabled, order and reactor_size have an
 *	effect. Does not change between start and stop
 */
struct intake {
	const struct intake_ops *ops;
	struct intake_pacing pacing;
	struct reactor *reactors;
	unsigned int nr_reactors;
	intake_send_fn send;
	intake_settle_fn settle;
	void *owner;
	struct aerator_stats *stats;
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
bool intake_order_is_set(void);
unsigned int intake_order_wanted(void);
void intake_order_prepare(struct intake *in, struct page_reporting_dev_info *prdev,
			  unsigned int order);
void intake_order_set(struct intake *in, unsigned int order);
void intake_order_restore(struct intake *in, unsigned int order);

#endif /* AERATOR_INTAKE_H */
