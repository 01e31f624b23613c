// SPDX-License-Identifier: GPL-2.0
/*
 * Early notice of frees on a kernel without our patch.
 *
 * When a large enough block becomes free, the allocator calls page reporting,
 * which starts a timer of two seconds, and tells nobody. A kprobe on that call
 * is how we hear of it in time. Polling instead would either wake an idle guest
 * for nothing or be late. Where a kprobe cannot be had, the kernel's own two
 * seconds come first, and everything else works as it does with it.
 *
 * A probe that was registered may still never be hit: kprobes or the function tracer
 * were switched off, or the compiler put a copy of the function into the allocator.
 * Nothing reports that. It shows when page reporting was asked for and the probe has
 * not heard of it (mm_notify_check()).
 */
#include <linux/atomic.h>
#include <linux/preempt.h>
#include "mm_notify.h"

#ifdef CONFIG_KPROBES

/*
 * Frees in a row that the probe did not hear of before we say so. A single one may be
 * missed while another kprobe's handler runs.
 */
#define MM_NOTIFY_MISSES	2

static void mm_notify_late(struct irq_work *late)
{
	struct mm_notify *notify = container_of(late, struct mm_notify, late);

	notify->overdue(notify);
}

/*
 * Runs in the context of the free: under zone->lock, with interrupts off. The
 * probed function itself queues a delayed work there, so that much is allowed;
 * but not from a breakpoint. That counts as NMI: no lock may be taken. A probe is
 * one at first where functions cannot be traced (KPROBES_ON_FTRACE), and for ever
 * where it is not turned into a jump either.
 */
static int mm_notify_hit(struct kprobe *probe, struct pt_regs *regs)
{
	struct mm_notify *notify = container_of(probe, struct mm_notify, probe);

	if (!notify->wanted(notify))
		return 0;
	WRITE_ONCE(notify->heard, 1);
	if (in_nmi())
		irq_work_queue(&notify->late);
	else
		notify->noticed(notify);
	return 0;
}

/**
 * mm_notify_start - begin to call @notify->noticed at large frees
 * @notify: with its functions set
 *
 * Context: may sleep.
 */
void mm_notify_start(struct mm_notify *notify)
{
	int err;

	init_irq_work(&notify->late, mm_notify_late);
	notify->heard = 0;
	notify->missed = 0;
	/* A probe that was unregistered carries state; it wants a clean one. */
	notify->probe = (struct kprobe) {
		.symbol_name = "__page_reporting_notify",
		.pre_handler = mm_notify_hit,
	};
	err = register_kprobe(&notify->probe);
	notify->active = !err;
	if (err)
		pr_info("no early notice of frees (kprobe: error %d), the kernel's two seconds come first\n",
			err);
}

/**
 * mm_notify_stop - end that
 * @notify: started or not
 *
 * Context: may sleep. On return no call is under way, and none will come.
 */
void mm_notify_stop(struct mm_notify *notify)
{
	if (notify->active) {
		unregister_kprobe(&notify->probe);
		irq_work_sync(&notify->late);
	}
	notify->active = false;
}

/**
 * mm_notify_check - does the probe hear of frees?
 * @notify: started or not
 * @freed: since the last call there was a free that was @notify->wanted: page
 *	reporting went from idle to requested, which happens nowhere but behind the
 *	probe
 *
 * Says so, once, when the probe is found deaf, and when it hears again.
 *
 * Context: one caller at a time, that has read of @freed before.
 */
void mm_notify_check(struct mm_notify *notify, bool freed)
{
	/* Ordered behind what told of the free: the probe wrote before that. */
	bool heard = xchg(&notify->heard, 0);

	if (!notify->active || !freed)
		return;
	if (heard) {
		if (notify->missed >= MM_NOTIFY_MISSES)
			pr_info("frees are noticed early again\n");
		notify->missed = 0;
	} else if (notify->missed < MM_NOTIFY_MISSES && ++notify->missed == MM_NOTIFY_MISSES) {
		pr_info("no early notice of frees (the kprobe is in place, and is not hit), the kernel's two seconds come first\n");
	}
}

#else /* CONFIG_KPROBES */

void mm_notify_start(struct mm_notify *notify)
{
	pr_info("no early notice of frees (kernel without kprobes), the kernel's two seconds come first\n");
}

void mm_notify_stop(struct mm_notify *notify)
{
}

void mm_notify_check(struct mm_notify *notify, bool freed)
{
}

#endif /* CONFIG_KPROBES */
