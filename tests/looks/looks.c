// SPDX-License-Identifier: GPL-2.0
/*
 * Checks that aerator's reads of page structs are safe while memory is removed. First, each
 * read is in an RCU read section: a probe counts those that are not. Second, after the
 * MEM_OFFLINE notification mm continues only when read sections that began earlier have ended:
 * the first notifier of the chain starts a section of one second, and the last notifier sees
 * whether it has ended.
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/limits.h>
#include <linux/memory.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/string.h>

static unsigned long looks, bare;
module_param(looks, ulong, 0444);
MODULE_PARM_DESC(looks, "number of aerator's checks whether a page is online");
module_param(bare, ulong, 0444);
MODULE_PARM_DESC(bare, "number of these checks outside of an RCU read section");

static bool reading, read, waited;
module_param(read, bool, 0444);
MODULE_PARM_DESC(read, "a read section began when memory went offline");
module_param(waited, bool, 0444);
MODULE_PARM_DESC(waited, "the read section had ended before mm continued");

static DECLARE_COMPLETION(inside);

/* Checks by other code are not counted. */
static int look_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	char caller[KSYM_SYMBOL_LEN];

	sprint_symbol(caller, (unsigned long)get_kretprobe_retaddr(ri));
	if (!strstr(caller, "[aerator]"))
		return 0;
	looks++;
	if (!rcu_preempt_depth())
		bare++;
	return 0;
}

static struct kretprobe look_probe = {
	.kp.symbol_name = "pfn_to_online_page",
	.handler = look_return,
	.maxactive = 16,
};

static int reader(void *unused)
{
	unsigned long end = jiffies + HZ;

	rcu_read_lock();
	WRITE_ONCE(reading, true);
	complete(&inside);
	while (time_before(jiffies, end))
		cpu_relax();
	WRITE_ONCE(reading, false);
	rcu_read_unlock();
	return 0;
}

static int offline_first(struct notifier_block *nb, unsigned long event, void *arg)
{
	if (event != MEM_OFFLINE || read || IS_ERR(kthread_run(reader, NULL, "reader")))
		return NOTIFY_OK;
	wait_for_completion(&inside);
	read = true;
	return NOTIFY_OK;
}

static int offline_last(struct notifier_block *nb, unsigned long event, void *arg)
{
	if (event == MEM_OFFLINE)
		waited = !READ_ONCE(reading);
	return NOTIFY_OK;
}

static struct notifier_block first_nb = {
	.notifier_call = offline_first, .priority = INT_MAX,
};

static struct notifier_block last_nb = {
	.notifier_call = offline_last, .priority = INT_MIN,
};

static int __init looks_init(void)
{
	int err = register_kretprobe(&look_probe);

	if (err)
		return err;
	err = register_memory_notifier(&first_nb);
	if (err)
		goto unprobe;
	err = register_memory_notifier(&last_nb);
	if (err)
		goto unregister;
	return 0;

unregister:
	unregister_memory_notifier(&first_nb);
unprobe:
	unregister_kretprobe(&look_probe);
	return err;
}
module_init(looks_init);

MODULE_DESCRIPTION("Checks that aerator reads page structs safely");
MODULE_LICENSE("GPL");
