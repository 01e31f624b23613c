// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a guest run out of memory while blocks are being taken out of its allocator.
 *
 * When memory_aeration_fill() returns with much memory, its task is kept busy until the OOM
 * notifiers are called, and for a moment after that: the notifiers then see the state that the
 * caller had published before the fill. For guests with two processors: the other one allocates.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kprobes.h>
#include <linux/limits.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/sizes.h>
#include <linux/vmstat.h>

/* A fill of this size is most of a batch. */
#define SLOWFILL_PAGES		(3 * SZ_8M >> PAGE_SHIFT)
#define SLOWFILL_MAX_MS		5000
#define SLOWFILL_AFTER_MS	50

static bool armed, met;
module_param(armed, bool, 0644);
MODULE_PARM_DESC(armed, "delay the next large fill");
module_param(met, bool, 0444);
MODULE_PARM_DESC(met, "memory ran out during the delayed fill");

static bool short_of_memory;

static int slowfill_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	WRITE_ONCE(short_of_memory, true);
	return NOTIFY_OK;
}

/* Called before all other notifiers. */
static struct notifier_block slowfill_nb = {
	.notifier_call = slowfill_oom, .priority = INT_MAX,
};

/**
 * struct slowfill - a running call of memory_aeration_fill()
 * @zone: the zone from which it takes blocks
 * @free: free pages of the zone before the call
 */
struct slowfill {
	struct zone *zone;
	unsigned long free;
};

static int slowfill_enter(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct slowfill *call = (void *)ri->data;

	call->zone = (void *)regs_get_kernel_argument(regs, 0);
	call->free = zone_page_state(call->zone, NR_FREE_PAGES);
	return 0;
}

static int slowfill_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	unsigned long end = jiffies + msecs_to_jiffies(SLOWFILL_MAX_MS);
	struct slowfill *call = (void *)ri->data;

	if (zone_page_state(call->zone, NR_FREE_PAGES) + SLOWFILL_PAGES > call->free)
		return 0;
	if (!xchg(&armed, false))
		return 0;
	WRITE_ONCE(short_of_memory, false);
	while (!READ_ONCE(short_of_memory) && time_before(jiffies, end))
		cpu_relax();
	WRITE_ONCE(met, READ_ONCE(short_of_memory));
	mdelay(SLOWFILL_AFTER_MS);
	return 0;
}

static struct kretprobe slowfill_probe = {
	.kp.symbol_name = "memory_aeration_fill",
	.entry_handler = slowfill_enter,
	.handler = slowfill_return,
	.data_size = sizeof(struct slowfill),
};

static int __init slowfill_init(void)
{
	int err = register_oom_notifier(&slowfill_nb);

	if (err)
		return err;
	err = register_kretprobe(&slowfill_probe);
	if (err)
		unregister_oom_notifier(&slowfill_nb);
	return err;
}
module_init(slowfill_init);

static void __exit slowfill_exit(void)
{
	unregister_kretprobe(&slowfill_probe);
	unregister_oom_notifier(&slowfill_nb);
}
module_exit(slowfill_exit);

MODULE_DESCRIPTION("Out of memory during a fill, for tests");
MODULE_LICENSE("GPL");
