// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters. Each value is checked: a bad value is refused with EINVAL and a log
 * message with the allowed values, and the old value stays.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include "balloon.h"
#include "compat/compat.h"
#include "intake.h"
#include "params.h"
#include "policy.h"

/* 2 MiB: blocks below the host's huge pages hardly return memory. */
#define PARAMS_ORDER_2MIB	(21 - PAGE_SHIFT)

/* The order was not set at load; params_start() replaces it by the default. */
#define PARAMS_ORDER_UNSET	UINT_MAX

struct aerator_params aerator_params = {
	.enabled = 1,
	.takeover = 1,
	.intake = PARAMS_INTAKE_AUTO,
	.reactor_size = PARAMS_REACTOR_SIZE,
	.reactors = PARAMS_REACTORS,
	.order = PARAMS_ORDER_UNSET,
	.window_ms = POLICY_WINDOW_AUTO,
	.refault_ms = PARAMS_REFAULT_MS,
	.share_pct = 100,
	.settle_timeout_ms = 10000,
};

/*
 * A whole number, its limits, and the callback of a write. @why explains limits that look
 * too narrow. A parameter that is read only when a device starts has @restarts set: a new
 * value restarts the device.
 */
struct param_range {
	unsigned int *value;
	unsigned int min;
	unsigned int max;
	const char *why;
	void (*changed)(void);
	bool restarts;
};

/* Length of the part of a bad value that the log shows, without its newline. */
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

/* Restart with a new value. If the restart fails, the old value stays. */
static int param_restart(unsigned int *value, unsigned int number)
{
	unsigned int old = *value;
	int err;

	if (number == old)
		return 0;
	WRITE_ONCE(*value, number);
	err = balloon_restart();
	if (err)	/* recovery then uses the old value */
		WRITE_ONCE(*value, old);
	return err;
}

static int param_range_set(const char *val, const struct kernel_param *kp)
{
	const struct param_range *range = kp->arg;
	unsigned int number;

	if (!val || kstrtouint(val, 0, &number) ||
	    number < range->min || number > range->max)
		return param_refuse(kp, val, range);
	if (range->restarts)
		return param_restart(range->value, number);
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
		.min = _min, .max = _max, .why = _why, _changed,		\
	};								\
	module_param_cb(_name, &param_range_ops, &param_##_name, 0644);	\
	__MODULE_PARM_TYPE(_name, "uint");				\
	MODULE_PARM_DESC(_name, _desc)

#define PARAM_UP_TO(_max, _default)					\
	" (1 to " __stringify(_max) ", default " __stringify(_default) ")"

#ifdef COMPAT_HAS_AERATION
#define PARAM_SIZE_WHY		NULL
#define PARAM_REACTORS_WHY	NULL
#else
#define PARAM_SIZE_WHY		" (batches of the kernel's page reporting are no larger)"
#define PARAM_REACTORS_WHY	" (more need a kernel with the aeration patch)"
#endif

PARAM_RANGE(enabled, 0, 1, NULL, .changed = balloon_wake,
	    "1: report free memory, 0: pause (default 1)");
PARAM_RANGE(takeover, 0, 1, NULL, .changed = balloon_takeover,
	    "1: take balloon devices from virtio_balloon, 0: bind only free devices (default 1)");
PARAM_RANGE(reactor_size, 1, PARAMS_REACTOR_SIZE_MAX, PARAM_SIZE_WHY, .restarts = true,
	    "largest number of blocks in a batch"
	    PARAM_UP_TO(PARAMS_REACTOR_SIZE_MAX, PARAMS_REACTOR_SIZE));
PARAM_RANGE(reactors, 1, PARAMS_REACTORS_MAX, PARAM_REACTORS_WHY, .restarts = true,
	    "number of batches in flight at a time"
	    PARAM_UP_TO(PARAMS_REACTORS_MAX, PARAMS_REACTORS));
PARAM_RANGE(refault_ms, 0, 60000, NULL, .changed = balloon_wake,
	    "cost of a refault, as ms that the host keeps a free page (0 to 60000, default "
	    __stringify(PARAMS_REFAULT_MS) ")");
PARAM_RANGE(reserve_mb, 0, 1 << 24, NULL, .changed = balloon_wake,
	    "free memory that is never reported, MiB (default 0)");
PARAM_RANGE(share_pct, 0, 100, NULL, .changed = balloon_wake,
	    "upper limit of treated memory, percent of the guest's memory (default 100)");
PARAM_RANGE(rate_mb, 0, 1 << 20, NULL, .changed = balloon_wake,
	    "upper limit of memory reported per second, MiB; 0 for no limit (default 0)");
PARAM_RANGE(settle_timeout_ms, 100, 15000,
	    " (suspend waits for a batch for at most 20 s)", .changed = NULL,
	    "a device without an answer for so many ms is reset (100 to 15000, default 10000)");

/* A number fixes the window, auto lets the policy choose it. */
static int param_window_set(const char *val, const struct kernel_param *kp)
{
	const struct param_range *range = kp->arg;

	if (!val || !sysfs_streq(val, "auto"))
		return param_range_set(val, kp);
	WRITE_ONCE(*range->value, POLICY_WINDOW_AUTO);
	range->changed();
	return 0;
}

static int param_window_get(char *buffer, const struct kernel_param *kp)
{
	const struct param_range *range = kp->arg;

	if (READ_ONCE(*range->value) == POLICY_WINDOW_AUTO)
		return scnprintf(buffer, PAGE_SIZE, "auto\n");
	return param_range_get(buffer, kp);
}

static const struct kernel_param_ops param_window_ops = {
	.set = param_window_set,
	.get = param_window_get,
};

static struct param_range param_window_ms = {
	.value = &aerator_params.window_ms,
	.max = 60000,
	.why = ", or auto",
	.changed = balloon_wake,
};
module_param_cb(window_ms, &param_window_ops, &param_window_ms, 0644);
__MODULE_PARM_TYPE(window_ms, "charp");
MODULE_PARM_DESC(window_ms, "time that memory has to be free before it is reported, ms (0 to 60000, or auto, the default)");

/* The limits of the order are those of the chosen intake, not constant on every kernel. */
static int param_order_set(const char *val, const struct kernel_param *kp)
{
	const struct intake_ops *ops = intake_kind_ops(intake_chosen());
	struct param_range range = *(struct param_range *)kp->arg;
	struct kernel_param checked = { .name = kp->name, .arg = &range };
	enum params_order_source source = aerator_params.order_source;
	unsigned int in_force = intake_order();
	int err;

	range.min = ops->order_min();
	range.max = ops->order_max();
	/* Of this parameter and page_reporting_order, the value written last counts. */
	WRITE_ONCE(aerator_params.order, in_force);
	WRITE_ONCE(aerator_params.order_source, PARAMS_ORDER_NEW);
	err = param_range_set(val, &checked);
	if (err)
		WRITE_ONCE(aerator_params.order_source, source);
	else if (READ_ONCE(aerator_params.order) == in_force)
		WRITE_ONCE(aerator_params.order_source, PARAMS_ORDER_USED);
	return err;
}

/* The order in force, which may differ from the value that the user wrote. */
static int param_order_get(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%u\n", intake_order());
}

static const struct kernel_param_ops param_order_ops = {
	.set = param_order_set,
	.get = param_order_get,
};

static struct param_range param_order = {
	.value = &aerator_params.order,
	.why = " (the orders that this kernel supports)",
	.restarts = true,
};
module_param_cb(order, &param_order_ops, &param_order, 0644);
__MODULE_PARM_TYPE(order, "uint");
MODULE_PARM_DESC(order, "smallest block that is reported, log2 of pages (default 9, 2 MiB; less with larger pages)");

/*
 * The source of blocks. Without the aeration patch there is only one, "reporting", which
 * "auto" selects too.
 */
#ifdef COMPAT_HAS_AERATION
#define PARAM_INTAKES		"auto, reporting and treated"
#else
#define PARAM_INTAKES		"auto and reporting (treated needs a kernel with the aeration patch)"
#endif

static const char *param_intake_name(unsigned int intake)
{
	return intake == PARAMS_INTAKE_AUTO ? "auto" : intake_kind_ops(intake - 1)->name;
}

static int param_intake_set(const char *val, const struct kernel_param *kp)
{
	unsigned int i;

	for (i = 0; val && i <= INTAKE_KINDS; i++)
		if (sysfs_streq(val, param_intake_name(i)))
			return param_restart(&aerator_params.intake, i);
	pr_err("%s=%.*s refused: allowed are " PARAM_INTAKES "\n",
	       kp->name, param_shown(val), val ?: "");
	return -EINVAL;
}

static int param_intake_get(char *buffer, const struct kernel_param *kp)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n",
			 param_intake_name(READ_ONCE(aerator_params.intake)));
}

static const struct kernel_param_ops param_intake_ops = {
	.set = param_intake_set,
	.get = param_intake_get,
};
module_param_cb(intake, &param_intake_ops, NULL, 0644);
__MODULE_PARM_TYPE(intake, "charp");
MODULE_PARM_DESC(intake, "source of free blocks: " PARAM_INTAKES " (default auto)");

/**
 * params_start - set parameters that were not set at load and have no constant default
 *
 * Context: at load, before a parameter is read.
 */
void params_start(void)
{
	if (aerator_params.order == PARAMS_ORDER_UNSET)
		aerator_params.order = min_t(unsigned int, MAX_PAGE_ORDER,
					     PARAMS_ORDER_2MIB);
}
