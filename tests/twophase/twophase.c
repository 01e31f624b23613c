// SPDX-License-Identifier: GPL-2.0
/*
 * Simulates a kernel whose page reporting works differently: the function of its work walks
 * the free lists only every second time that it runs, and queues the work again for that. A
 * driver that leaves the work alone sees only a small delay; a driver that calls the function,
 * as if it were a whole pass, gets no blocks.
 *
 * The module cannot be unloaded: use a guest for this test only.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/page_reporting.h>
#include <linux/workqueue.h>

/* Time between the first and the second phase, jiffies. */
#define TWOPHASE_DELAY		2

static work_func_t twophase_pass;
static bool twophase_second;

/* A work item does not run on two processors at a time. */
static void twophase_work(struct work_struct *work)
{
	twophase_second = !twophase_second;
	if (twophase_second)
		queue_delayed_work(system_freezable_wq, to_delayed_work(work), TWOPHASE_DELAY);
	else
		twophase_pass(work);
}

static int twophase_register(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct page_reporting_dev_info **prdev = (void *)instance->data;

	*prdev = (void *)regs_get_kernel_argument(regs, 0);
	return 0;
}

/* The device is registered, and its first pass begins two seconds later. */
static int twophase_registered(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct page_reporting_dev_info **prdev = (void *)instance->data;

	if (regs_return_value(regs))
		return 0;
	twophase_pass = (*prdev)->work.work.func;
	twophase_second = false;
	(*prdev)->work.work.func = twophase_work;
	return 0;
}

static struct kretprobe twophase_probe = {
	.kp.symbol_name = "page_reporting_register",
	.entry_handler = twophase_register,
	.handler = twophase_registered,
	.data_size = sizeof(struct page_reporting_dev_info *),
};

static int __init twophase_init(void)
{
	return register_kretprobe(&twophase_probe);
}
module_init(twophase_init);

MODULE_DESCRIPTION("Page reporting with a pass in two phases, for tests");
MODULE_LICENSE("GPL");
