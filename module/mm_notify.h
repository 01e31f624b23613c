/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_MM_NOTIFY_H
#define AERATOR_MM_NOTIFY_H

#include <linux/irq_work.h>
#include <linux/kprobes.h>

/**
 * struct mm_notify - early notice of large frees
 * @probe: on the function that the allocator calls then
 * @late: calls @overdue where the probe itself may take no lock
 * @wanted: is this the first free since page reporting went idle? Called in any
 *	context, NMI included
 * @noticed: called in a large free that is, under zone->lock
 * @overdue: called instead of it, soon after: page reporting has heard of the free by
 *	then. Not under zone->lock; in hard interrupt context, or a task of PREEMPT_RT's
 * @active: the probe is in place
 * @heard: there was a free that is @wanted since mm_notify_check()
 * @missed: how many in a row came without the probe
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
	int heard;	/* not all can exchange a byte */
	unsigned int missed;
};

void mm_notify_start(struct mm_notify *notify);
void mm_notify_stop(struct mm_notify *notify);
void mm_notify_check(struct mm_notify *notify, bool freed);

#endif /* AERATOR_MM_NOTIFY_H */
