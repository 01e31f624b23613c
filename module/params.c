// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters, all of them checked: a bad value is refused with EINVAL
 * and a line in the log that says what is allowed, and the old value stays.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include "balloon.h"
#include "compat/compat.h"
#include "intake.h"
#include "params.h"

/* 2 MiB: blocks below the host's huge pages hardly return memory. */
#define PARAMS_ORDER_DEFAULT	(21 - PAGE_SHIFT)

struct aerator_params aerator_params = {
	.enabled = 1,
	.takeover = 1,
	.reactor_size = PARAMS_REACTOR_SIZE_MAX,
	.reactors = 1,
	.order = PARAMS_ORDER_DEFAULT,
	.window_ms = 1000,
	.settle_timeout_ms = 10000,
};

/*
 * One whole number, its bounds, and whom to tell of a change. @why says where
 * bounds come from that look narrower than they should.
 */
struct param_range {
	unsigned int *value;
	unsigned int min;
	unsigned int max;
	const char *why;
	void (*changed)(void);
};

/* How much of a bad value is shown in the log: enough, without its newline. */
static int param_shown(const char *val)
{
	return val ? min_t(size_t, strcspn(val, "\n"), 32) : 0;
}

static int param_refuse(const struct kernel_param *kp, const char *val,
			const struct param_range *range)
{
	pr_err("%s=%.*s refused: allowed are %u to %u%s\n", kp->name,
	       param_shown(val), val ?: "", range->min, range->max,
	       range->why ?: "");
	return -EINVAL;
}

static int param_range_set(const char *val, const struct kernel_param *kp)
{
	const struct param_range *range = kp->arg;
	unsigned int number;

	if (!val || kstrtouint(val, 0, &number) ||
	    number < range->min || number > range->max)
		return param_refuse(kp, val, range);
	WRITE_ONCE(*range->value, number);
	if (range->changed)
		range->changed();
	return 0;
}

static int param_range_get(char *buffer, const struct kernel_param *kp)
{
	const struct param_range *range = kp->arg;

	return scnprintf(buffer, PAGE_SIZE, "%u\n", READ_ONCE(*range->value));
}

static const struct kernel_param_ops param_range_ops = {
	.set = param_range_set,
	.get = param_range_get,
};

#define PARAM_RANGE(_name, _min, _max, _why, _changed, _desc)		\
	static struct param_range param_##_name = {			\
		.value = &aerator_params._name,				\
		.min = _min, .max = _max, .why = _why,			\
		.changed = _changed,					\
	};								\
	module_param_cb(_name, &param_range_ops, &param_##_name, 0644);	\
	__MODULE_PARM_TYPE(_name, "uint");				\
	MODULE_PARM_DESC(_name, _desc)

PARAM_RANGE(enabled, 0, 1, NULL, balloon_wake,
	    "1 treats free memory, 0 pauses (default 1)");
PARAM_RANGE(takeover, 0, 1, NULL, balloon_takeover,
	    "1 takes balloon devices from virtio_balloon, 0 binds free ones only (default 1)");
PARAM_RANGE(reactor_size, 1, PARAMS_REACTOR_SIZE_MAX,
	    " (the kernel's page reporting hands over no more)", NULL,
	    "most blocks in a batch (1 to 32, default 32)");
PARAM_RANGE(reactors, 1, 1, " (more need a kernel with the aeration patch)", NULL,
	    "batches in flight (default 1, the only value on an unpatched kernel)");
PARAM_RANGE(window_ms, 0, 60000, NULL, balloon_wake,
	    "ms that memory has to stay free before it is treated (0 to 60000, default 1000)");
PARAM_RANGE(reserve_mb, 0, 1 << 24, NULL, balloon_wake,
	    "MiB of free memory up to which nothing is treated (default 0)");
PARAM_RANGE(rate_mb, 0, 1 << 20, NULL, balloon_wake,
	    "most MiB treated a second, 0 for no limit (default 0)");
PARAM_RANGE(settle_timeout_ms, 100, 15000,
	    " (suspend waits 20 s for a batch, no longer)", NULL,
	    "ms that the host may take to answer a batch (100 to 15000, default 10000)");

/*
 * The order's bounds are not constants on every kernel, and a kernel that
 * keeps its own order cannot always be given another: so it has a setter that
 * asks first, and puts the old value back if the new one was not to be had.
 */
static int param_order_set(const char *val, const struct kernel_param *kp)
{
	struct param_range range = *(struct param_range *)kp->arg;
	unsigned int old = *range.value;
	struct kernel_param checked = { .name = kp->name, .arg = &range };
	int err;

	range.min = intake_reporting_order_min();
	range.max = intake_reporting_order_max();
	err = param_range_set(val, &checked);
	if (err || *range.value == old)
		return err;
	err = balloon_restart();
	if (err)	/* the device comes back with the old value */
		WRITE_ONCE(*range.value, old);
	return err;
}

static const struct kernel_param_ops param_order_ops = {
	.set = param_order_set,
	.get = param_range_get,
};

static struct param_range param_order = {
	.value = &aerator_params.order,
	.why = " (what this kernel's page reporting can be asked for)",
};
module_param_cb(order, &param_order_ops, &param_order, 0644);
__MODULE_PARM_TYPE(order, "uint");
MODULE_PARM_DESC(order, "smallest block treated, log2 of pages (default 9, 2 MiB)");

/*
 * The source of blocks. The choice is made when a device is bound; without the
 * patch there is one, by whichever of its names it is asked for.
 */
static const char * const intake_names[] = { "auto", "reporting" };
static unsigned int intake_wanted;

static int param_intake_set(const char *val, const struct kernel_param *kp)
{
	unsigned int i;

	for (i = 0; val && i < ARRAY_SIZE(intake_names); i++) {
		if (!sysfs_streq(val, intake_names[i]))
			continue;
		WRITE_ONCE(intake_wanted, i);
		return 0;
	}
	pr_err("%s=%.*s refused: allowed are auto and reporting (treated needs a kernel with the aeration patch)\n",
	       kp->name, param_shown(val), val ?: "");
	return -EINVAL;
}

static int param_intake_get(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n",
			 intake_names[READ_ONCE(intake_wanted)]);
}

static const struct kernel_param_ops param_intake_ops = {
	.set = param_intake_set,
	.get = param_intake_get,
};
module_param_cb(intake, &param_intake_ops, NULL, 0644);
__MODULE_PARM_TYPE(intake, "charp");
MODULE_PARM_DESC(intake, "where blocks come from: auto, reporting (default auto)");
