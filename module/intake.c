// SPDX-License-Identifier: GPL-2.0
/* Which sources of free blocks there are, and which of them is to be used. */
#include <linux/compiler.h>
#include <linux/printk.h>
#include "compat/compat.h"
#include "intake.h"
#include "params.h"

static const struct intake_ops * const intake_kinds[INTAKE_KINDS] = {
	[INTAKE_REPORTING] = &intake_reporting_ops,
#ifdef COMPAT_HAS_AERATION
	[INTAKE_TREATED] = &intake_treated_ops,
#endif
};

/**
 * intake_kind_ops - the functions of a kind
 * @kind: which
 *
 * Return: its functions.
 */
const struct intake_ops *intake_kind_ops(enum intake_kind kind)
{
	return intake_kinds[kind];
}

/**
 * intake_chosen - the kind that the user wants
 *
 * Left to us it is the last of them: the one that can do more.
 *
 * Context: any; a choice holds from the next start of the device on.
 *
 * Return: the kind.
 */
enum intake_kind intake_chosen(void)
{
	unsigned int wanted = READ_ONCE(aerator_params.intake);

	return (wanted == PARAMS_INTAKE_AUTO ? INTAKE_KINDS : wanted) - 1;
}

/**
 * intake_create - make an intake
 * @kind: which
 *
 * The caller sets what its owner has to set before it starts it.
 *
 * Return: the intake, stopped, or NULL without memory.
 */
struct intake *intake_create(enum intake_kind kind)
{
	struct intake *in = intake_kinds[kind]->create();

	if (!in)
		return NULL;
	in->ops = intake_kinds[kind];
	in->replaced = COMPAT_REPORTING_ORDER_UNSET;
	if (intake_pacing_init(&in->pacing)) {
		intake_destroy(in);
		return NULL;
	}
	return in;
}

/**
 * intake_destroy - undo intake_create()
 * @in: the intake, stopped, or NULL
 */
void intake_destroy(struct intake *in)
{
	if (!in)
		return;
	intake_pacing_destroy(&in->pacing);
	in->ops->destroy(in);
}

/**
 * intake_order - the order in force
 *
 * Context: any.
 *
 * Return: log2 of pages; without a device, what one would be started with.
 */
unsigned int intake_order(void)
{
	return intake_kinds[intake_chosen()]->order_in_force();
}

/**
 * intake_order_wanted - the order to start with
 *
 * Context: any.
 *
 * Return: the user's; else the kernel's own, if that is set; else the default.
 */
unsigned int intake_order_wanted(void)
{
	unsigned int own = compat_reporting_order_own();

	if (READ_ONCE(aerator_params.order_source) == PARAMS_ORDER_DEFAULT &&
	    own <= MAX_PAGE_ORDER)
		return own;
	return READ_ONCE(aerator_params.order);
}

/**
 * intake_order_prepare - before the device is registered
 * @in: the intake that registers it
 * @prdev: the device
 * @order: smallest order of the blocks that it is to get
 *
 * Context: as the start of an intake.
 */
void intake_order_prepare(struct intake *in, struct page_reporting_dev_info *prdev,
			  unsigned int order)
{
	in->own_order = compat_reporting_order_own();
	compat_reporting_order_prepare(prdev, order);
}

/**
 * intake_order_set - once the device is registered
 * @in: the intake
 * @order: as before
 *
 * There is one order for all devices that may come, and it may have been set. Says so
 * if ours takes its place.
 *
 * Context: as the start of an intake.
 */
void intake_order_set(struct intake *in, unsigned int order)
{
	unsigned int own = in->own_order;

	compat_reporting_order_set(order);
	if (READ_ONCE(aerator_params.order_source) == PARAMS_ORDER_NEW)
		WRITE_ONCE(aerator_params.order_source, PARAMS_ORDER_USED);
	if (own == order || own > MAX_PAGE_ORDER || own == in->replaced)
		return;
	in->replaced = own;
	pr_info("order=%u holds instead of page_reporting_order=%u, which comes back when aerator goes\n",
		order, own);
}

/**
 * intake_order_restore - before the device is unregistered
 * @in: the intake
 * @order: as before
 *
 * The kernel's own order is back then. One that was written while ours was in force
 * stays, and is what the next start begins with, unless ours was written after that.
 *
 * Context: as the stop of an intake.
 */
void intake_order_restore(struct intake *in, unsigned int order)
{
	if (!compat_reporting_order_restore(order, in->own_order) &&
	    READ_ONCE(aerator_params.order_source) == PARAMS_ORDER_USED)
		WRITE_ONCE(aerator_params.order_source, PARAMS_ORDER_DEFAULT);
}
