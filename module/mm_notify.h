/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_NOTIFY_H
#define AERATOR_MM_NOTIFY_H

#include <linux/irq_work.h>
#include <linux/kprobes.h>

/**
 * struct mm_notify - early notification of large frees
 * @probe: kprobe on the function that the allocator calls at a large free
 * @late: irq_work that calls @overdue if the probe runs in NMI context
 * @wanted: is this the first free since page reporting went idle? Called in any
 *	context, NMI included
 * @noticed: called during such a free, under zone->lock
 * @overdue: called instead of @noticed if the probe runs in NMI context, shortly after
 *	the free: page reporting has queued its work by then. Not under zone->lock; in
 *	hard interrupt context, or in a thread on PREEMPT_RT
 * @active: the probe is registered
 * @hit: the probe was hit by a @wanted free since the last mm_notify_check()
 * @missed: number of successive @wanted frees without a hit
 */
struct mm_notify {
#ifdef CONFIG_KPROBES
	struct kprobe probe;
	struct irq_work late;
#endif
	bool (*wanted)(const struct mm_notify *notify);
	void (*noticed)(struct mm_notify *notify);
	void (*overdue)(struct mm_notify *notify);
	bool active;
	int hit;	/* int: not every architecture has xchg() of a byte */
	unsigned int missed;
};

void mm_notify_start(struct mm_notify *notify);
void mm_notify_stop(struct mm_notify *notify);
void mm_notify_check(struct mm_notify *notify, bool freed);

#endif /* AERATOR_MM_NOTIFY_H */
