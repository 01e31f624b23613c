// SPDX-License-Identifier: GPL-2.0
/*
 * Early notification of frees on a kernel without the aeration patch.
 *
 * When a block of at least the reporting order becomes free, the allocator calls page
 * reporting, which starts a delayed work of two seconds and notifies no driver. A kprobe
 * on this call notifies aerator at once. Polling instead would either wake an idle guest
 * for nothing or be late. On a kernel where the kprobe fails, the work begins after the
 * kernel's two seconds, and everything else is the same.
 *
 * A registered kprobe may never be hit: kprobes or the function tracer are switched off,
 * or the compiler inlined the function into the allocator. The kernel does not report
 * this. mm_notify_check() detects it: page reporting was requested without a hit.
 */
#include <linux/atomic.h>
#include <linux/preempt.h>
#include "mm_notify.h"

#ifdef CONFIG_KPROBES

/*
 * Number of successive frees without a hit before a message is logged. A single hit may
 * be missed while the handler of another kprobe runs.
 */
#define MM_NOTIFY_MISSES	2

static void mm_notify_late(struct irq_work *late)
{
	struct mm_notify *notify = container_of(late, struct mm_notify, late);

	notify->overdue(notify);
}

/*
 * Runs in the context of the free: under zone->lock, with interrupts off. The probed
 * function itself queues a delayed work in this context, so the handler may do the same,
 * but not from a breakpoint that counts as NMI (x86), where no lock may be taken. Without
 * KPROBES_ON_FTRACE a kprobe is a breakpoint until it is optimised into a jump, and always
 * if it cannot be optimised. On arm64 it is always a breakpoint, which does not count as
 * NMI: it comes at this call alone, whose caller holds zone->lock and no lock of timers or
 * workqueues.
 */
static int mm_notify_hit(struct kprobe *probe, struct pt_regs *regs)
{
	struct mm_notify *notify = container_of(probe, struct mm_notify, probe);

	if (!notify->wanted(notify))
		return 0;
	WRITE_ONCE(notify->hit, 1);
	if (in_nmi())
		irq_work_queue(&notify->late);
	else
		notify->noticed(notify);
	return 0;
}

/**
 * mm_notify_start - begin to call @notify->noticed at large frees
 * @notify: the notifier, with its callbacks set
 *
 * Context: may sleep.
 */
void mm_notify_start(struct mm_notify *notify)
{
	int err;

	init_irq_work(&notify->late, mm_notify_late);
	notify->hit = 0;
	notify->missed = 0;
	/* Unregistering leaves state in the kprobe: register a clean one. */
	notify->probe = (struct kprobe) {
		.symbol_name = "__page_reporting_notify",
		.pre_handler = mm_notify_hit,
	};
	err = register_kprobe(&notify->probe);
	notify->active = !err;
	if (err)
		pr_info("no early notification of frees (kprobe: error %d): reports begin after the kernel's delay of 2 s\n",
			err);
}

/**
 * mm_notify_stop - undo mm_notify_start()
 * @notify: the notifier, started or not
 *
 * Context: may sleep. After the return no callback runs, and none will.
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
 * mm_notify_check - is the kprobe hit by frees?
 * @notify: the notifier, started or not
 * @freed: since the last call there was a free for which @notify->wanted is true: page
 *	reporting went from idle to requested, which happens only after the probe
 *
 * Logs each change: the probe is not hit any more, or is hit again.
 *
 * Context: one caller at a time. The caller reads the state behind @freed before the
 * call.
 */
void mm_notify_check(struct mm_notify *notify, bool freed)
{
	/* Full barrier, after the read of @freed: a hit precedes the change of state. */
	bool hit = xchg(&notify->hit, 0);

	if (!notify->active || !freed)
		return;
	if (hit) {
		if (notify->missed >= MM_NOTIFY_MISSES)
			pr_info("early notification of frees works again\n");
		notify->missed = 0;
	} else if (notify->missed < MM_NOTIFY_MISSES && ++notify->missed == MM_NOTIFY_MISSES) {
		pr_info("no early notification of frees (the kprobe is registered, but not hit): reports begin after the kernel's delay of 2 s\n");
	}
}

#else /* CONFIG_KPROBES */

void mm_notify_start(struct mm_notify *notify)
{
	pr_info("no early notification of frees (kernel without kprobes): reports begin after the kernel's delay of 2 s\n");
}

void mm_notify_stop(struct mm_notify *notify)
{
}

void mm_notify_check(struct mm_notify *notify, bool freed)
{
}

#endif /* CONFIG_KPROBES */
