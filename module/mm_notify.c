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
 * not heard of it (notice_check()).
 */
#include <linux/atomic.h>
#include <linux/preempt.h>
#include "mm_notify.h"

#ifdef CONFIG_KPROBES

/*
 * Frees in a row that the probe did not hear of before we say so. A single one may be
 * missed while another kprobe's handler runs.
 */
#define NOTICE_MISSES		2

static void notice_late(struct irq_work *late)
{
	struct notice *notice = container_of(late, struct notice, late);

	notice->overdue(notice);
}

/*
 * Runs in the context of the free: under zone->lock, with interrupts off. The
 * probed function itself queues a delayed work there, so that much is allowed;
 * but not from a breakpoint. That counts as NMI: no lock may be taken. A probe is
 * one at first where functions cannot be traced (KPROBES_ON_FTRACE), and for ever
 * where it is not turned into a jump either.
 */
static int notice_hit(struct kprobe *probe, struct pt_regs *regs)
{
	struct notice *notice = container_of(probe, struct notice, probe);

	if (!notice->wanted(notice))
		return 0;
	WRITE_ONCE(notice->heard, 1);
	if (in_nmi())
		irq_work_queue(&notice->late);
	else
		notice->noticed(notice);
	return 0;
}

/**
 * notice_start - begin to call @notice->noticed at large frees
 * @notice: with its functions set
 *
 * Context: may sleep.
 */
void notice_start(struct notice *notice)
{
	int err;

	init_irq_work(&notice->late, notice_late);
	notice->heard = 0;
	notice->missed = 0;
	/* A probe that was unregistered carries state; it wants a clean one. */
	notice->probe = (struct kprobe) {
		.symbol_name = "__page_reporting_notify",
		.pre_handler = notice_hit,
	};
	err = register_kprobe(&notice->probe);
	notice->active = !err;
	if (err)
		pr_info("no early notice of frees (kprobe: error %d), the kernel's two seconds come first\n",
			err);
}

/**
 * notice_stop - end that
 * @notice: started or not
 *
 * Context: may sleep. On return no call is under way, and none will come.
 */
void notice_stop(struct notice *notice)
{
	if (notice->active) {
		unregister_kprobe(&notice->probe);
		irq_work_sync(&notice->late);
	}
	notice->active = false;
}

/**
 * notice_check - does the probe hear of frees?
 * @notice: started or not
 * @freed: since the last call there was a free that was @notice->wanted: page
 *	reporting went from idle to requested, which happens nowhere but behind the
 *	probe
 *
 * Says so, once, when the probe is found deaf, and when it hears again.
 *
 * Context: one caller at a time, that has read of @freed before.
 */
void notice_check(struct notice *notice, bool freed)
{
	/* Ordered behind what told of the free: the probe wrote before that. */
	bool heard = xchg(&notice->heard, 0);

	if (!notice->active || !freed)
		return;
	if (heard) {
		if (notice->missed >= NOTICE_MISSES)
			pr_info("frees are noticed early again\n");
		notice->missed = 0;
	} else if (notice->missed < NOTICE_MISSES && ++notice->missed == NOTICE_MISSES) {
		pr_info("no early notice of frees (the kprobe is in place, and is not hit), the kernel's two seconds come first\n");
	}
}

#else /* CONFIG_KPROBES */

void notice_start(struct notice *notice)
{
	pr_info("no early notice of frees (kernel without kprobes), the kernel's two seconds come first\n");
}

void notice_stop(struct notice *notice)
{
}

void notice_check(struct notice *notice, bool freed)
{
}

#endif /* CONFIG_KPROBES */
