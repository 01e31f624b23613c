// SPDX-License-Identifier: GPL-2.0
/*
 * The longest time for which workers hold zone->lock, in get_cycles(): instructions with
 * QEMU's icount. Interrupts are off during a hold. Distributions' kernels do not have the
 * kernel's own tracers for this, so the lock and unlock functions have kprobes. The cost of
 * the probes is measured with a private lock, and subtracted.
 *
 * For guests with one processor: the time between a lock and the next unlock is one hold.
 */
#include <linux/kprobes.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timex.h>

/* The minimum of this many measurements is the overhead. */
#define CALIBRATIONS	64

static unsigned long longest, overhead;
module_param(longest, ulong, 0644);
MODULE_PARM_DESC(longest, "longest hold, in cycles; write 0 to start again");
module_param(overhead, ulong, 0444);
MODULE_PARM_DESC(overhead, "calibrated cost of the probes, subtracted from longest");

static DEFINE_SPINLOCK(own);
static bool calibrating = true;
/* The zone->lock that is held, and the time at which it was taken. */
static unsigned long held;
static cycles_t since;

static bool of_zone(unsigned long lock)
{
	int node, i;

	for_each_online_node(node)
		for (i = 0; i < MAX_NR_ZONES; i++)
			if (lock == (unsigned long)&NODE_DATA(node)->node_zones[i].lock)
				return true;
	return false;
}

/* Other locks that are taken during a hold are ignored. */
static int lock_entry(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long lock = regs_get_kernel_argument(regs, 0);

	if (calibrating ? lock == (unsigned long)&own
			: (current->flags & PF_WQ_WORKER) && of_zone(lock)) {
		held = lock;
		since = get_cycles();
	}
	return 0;
}

static int unlock_entry(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long took = get_cycles() - since;

	if (held != regs_get_kernel_argument(regs, 0))
		return 0;
	held = 0;
	if (calibrating)
		overhead = min(overhead, took);
	else
		longest = max(longest, took - min(took, overhead));
	return 0;
}

static struct kprobe probes[] = {
	{ .symbol_name = "_raw_spin_lock_irq", .pre_handler = lock_entry },
	{ .symbol_name = "_raw_spin_lock_irqsave", .pre_handler = lock_entry },
	{ .symbol_name = "_raw_spin_unlock_irq", .pre_handler = unlock_entry },
	{ .symbol_name = "_raw_spin_unlock_irqrestore", .pre_handler = unlock_entry },
};

static struct kprobe *all_probes[] = { &probes[0], &probes[1], &probes[2], &probes[3] };

static int __init holds_init(void)
{
	int result = register_kprobes(all_probes, ARRAY_SIZE(all_probes));
	unsigned int i;

	if (result)
		return result;
	overhead = ULONG_MAX;
	for (i = 0; i < CALIBRATIONS; i++) {
		spin_lock_irq(&own);
		spin_unlock_irq(&own);
	}
	calibrating = false;
	return 0;
}

static void __exit holds_exit(void)
{
	unregister_kprobes(all_probes, ARRAY_SIZE(all_probes));
}

module_init(holds_init);
module_exit(holds_exit);
MODULE_DESCRIPTION("How long zone->lock is held");
MODULE_LICENSE("GPL");
