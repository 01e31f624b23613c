// SPDX-License-Identifier: GPL-2.0
/*
 * Fault injection: the nth allocation or registration of aerator fails, as it may in a guest
 * that is short of memory. Kernels of distributions lack the kernel's own fault injection.
 * Here, kprobes of these functions return an error if the caller is aerator.
 *
 * For guests with one processor: calls are counted without a lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/string.h>

static unsigned int nth, calls;
module_param(nth, uint, 0644);
MODULE_PARM_DESC(nth, "the call that fails, 0 for none");
module_param(calls, uint, 0644);
MODULE_PARM_DESC(calls, "number of calls since 0 was written");

static struct module *faults_target;

/* Body of a function that fails: the probe has set the register of its return value. */
static noinline notrace void faults_return(void)
{
	barrier();
}

/**
 * struct fault - a function that may fail
 * @probe: at the entry of the function
 * @value: return value of the failure
 */
struct fault {
	struct kprobe probe;
	long value;
};

/* The return address is on top of the stack. The target is unmapped after a grace period. */
static bool faults_called(struct pt_regs *regs)
{
	struct module *target = READ_ONCE(faults_target);

	return target && within_module(*(unsigned long *)kernel_stack_pointer(regs), target);
}

static int faults_entry(struct kprobe *probe, struct pt_regs *regs)
{
	struct fault *fault = container_of(probe, struct fault, probe);

	if (!faults_called(regs) || ++calls != nth)
		return 0;
	pr_info("%s fails\n", probe->symbol_name);
	regs_set_return_value(regs, fault->value);
	instruction_pointer_set(regs, (unsigned long)faults_return);
	return 1;
}

#ifndef CONFIG_KPROBES_ON_FTRACE
/* Without a post handler the probe may become a jump, which cannot change the return. */
static void faults_post(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}
#else
#define faults_post	NULL
#endif

#define FAULT(name, error) { \
	.probe = { \
		.symbol_name = (name), \
		.pre_handler = faults_entry, \
		.post_handler = faults_post, \
	}, \
	.value = (error), \
}

static struct fault faults[] = {
	FAULT("__kmalloc_cache_noprof", 0),
	FAULT("__kmalloc_noprof", 0),
	FAULT("__kmalloc_large_noprof", 0),
	FAULT("__kvmalloc_node_noprof", 0),
	FAULT("alloc_pages_noprof", 0),
	FAULT("alloc_workqueue", 0),
	FAULT("balloon_page_alloc", 0),
	FAULT("shrinker_alloc", 0),
	FAULT("bus_register_notifier", -ENOMEM),
	FAULT("page_reporting_register", -ENOMEM),
	FAULT("register_kprobe", -ENOMEM),
	FAULT("register_memory_notifier", -ENOMEM),
	FAULT("register_oom_notifier", -ENOMEM),
	FAULT("register_reboot_notifier", -ENOMEM),
	FAULT("virtqueue_add_inbuf", -ENOMEM),
	FAULT("virtqueue_add_outbuf", -ENOMEM),
	FAULT("__register_virtio_driver", -ENOMEM),
};

static int faults_module(struct notifier_block *nb, unsigned long event, void *data)
{
	struct module *mod = data;

	if (strcmp(mod->name, "aerator"))
		return NOTIFY_DONE;
	if (event == MODULE_STATE_COMING)
		WRITE_ONCE(faults_target, mod);
	else if (event == MODULE_STATE_GOING)
		WRITE_ONCE(faults_target, NULL);
	return NOTIFY_DONE;
}

static struct notifier_block faults_nb = {
	.notifier_call = faults_module,
};

static void faults_unprobe(unsigned int nr)
{
	while (nr--)
		unregister_kprobe(&faults[nr].probe);
}

static int __init faults_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		err = register_kprobe(&faults[i].probe);
		if (err) {
			pr_err("no kprobe at %s: error %d\n", faults[i].probe.symbol_name, err);
			goto unprobe;
		}
	}
	err = register_module_notifier(&faults_nb);
	if (err)
		goto unprobe;
	return 0;

unprobe:
	faults_unprobe(i);
	return err;
}

static void __exit faults_exit(void)
{
	unregister_module_notifier(&faults_nb);
	faults_unprobe(ARRAY_SIZE(faults));
}

module_init(faults_init);
module_exit(faults_exit);
MODULE_DESCRIPTION("Lets the nth allocation or registration of aerator fail");
MODULE_LICENSE("GPL");
