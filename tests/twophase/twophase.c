// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel in which the work of page reporting is not what it is today: its function
 * walks the free lists only each second time that it runs, and queues itself for that.
 * A driver that leaves the work alone sees no difference but a moment; one that runs its
 * function as if it were a pass gets nothing of it.
 *
 * For a guest that does nothing else: once loaded, it stays.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/page_reporting.h>
#include <linux/workqueue.h>

/* How long after the first phase the second one runs, jiffies. */
#define TWOPHASE_DELAY		2

static work_func_t twophase_pass;
static bool twophase_second;

/* One work item: it never runs twice at a time. */
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

/* The device is registered, and its first pass is two seconds away. */
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
