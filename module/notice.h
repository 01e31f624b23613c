/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_NOTICE_H
#define AERATOR_NOTICE_H

#include <linux/irq_work.h>
#include <linux/kprobes.h>

/**
 * struct notice - early notice of large frees
 * @probe: on the function that the allocator calls then
 * @late: calls @noticed where the probe itself must not
 * @noticed: called with interrupts off, after a large free
 * @active: the probe is in place
 */
struct notice {
#ifdef CONFIG_KPROBES
	struct kprobe probe;
	struct irq_work late;
#endif
	void (*noticed)(struct notice *notice);
	bool active;
};

void notice_start(struct notice *notice);
void notice_stop(struct notice *notice);

#endif /* AERATOR_NOTICE_H */
