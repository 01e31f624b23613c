// SPDX-License-Identifier: GPL-2.0
/* The sources of free blocks of this build, and the choice between them. */
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
 * @kind: the kind
 *
 * Return: its functions.
 */
const struct intake_ops *intake_kind_ops(enum intake_kind kind)
{
	return intake_kinds[kind];
}

/**
 * intake_chosen - the kind to use
 *
 * The kind that the user chose; with "auto" the last one, which has more features.
 *
 * Context: any; a new choice takes effect at the next start of the device.
 *
 * Return: the kind.
 */
enum intake_kind intake_chosen(void)
{
	unsigned int wanted = READ_ONCE(aerator_params.intake);

	return (wanted == PARAMS_INTAKE_AUTO ? INTAKE_KINDS : wanted) - 1;
}

/**
 * intake_create - allocate an intake
 * @kind: the kind
 *
 * The caller sets the owner's fields of &struct intake before the start.
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
 * Return: log2 of pages; without a device, the order that a start would use.
 */
unsigned int intake_order(void)
{
	return intake_kinds[intake_chosen()]->order_in_force();
}

/**
 * intake_order_is_set - did the user set the order, and page_reporting_order not later?
 *
 * Context: any.
 *
 * Return: true if it is the parameter that counts.
 */
bool intake_order_is_set(void)
{
	enum params_order_source source = READ_ONCE(aerator_params.order_source);

	return source == PARAMS_ORDER_NEW || source == PARAMS_ORDER_USED;
}

/**
 * intake_order_wanted - the order to start with
 *
 * Context: any.
 *
 * Return: log2 of pages: the parameter if the user set it; else the kernel's
 * page_reporting_order if that is set, and not just what another device left; else the
 * default.
 */
unsigned int intake_order_wanted(void)
{
	unsigned int own = compat_reporting_order_own();

	if (own > MAX_PAGE_ORDER || intake_order_is_set())
		return READ_ONCE(aerator_params.order);
	if (own == COMPAT_REPORTING_ORDER_LEFT &&
	    READ_ONCE(aerator_params.order_source) == PARAMS_ORDER_DEFAULT)
		return READ_ONCE(aerator_params.order);
	return own;
}

/**
 * intake_order_prepare - set the order, before the device is registered
 * @in: the intake that registers the device
 * @prdev: the device
 * @order: smallest order of the blocks to report
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
 * intake_order_set - set the order, once the device is registered
 * @in: the intake
 * @order: as for intake_order_prepare()
 *
 * The kernel has one order for all devices, and the administrator may have set it
 * (page_reporting_order). A message is logged if aerator's order replaces another one.
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
	pr_info("order=%u replaces page_reporting_order=%u until aerator is unloaded\n",
		order, own);
}

/**
 * intake_order_restore - restore the order, before the device is unregistered
 * @in: the intake
 * @order: as for intake_order_prepare()
 *
 * The kernel's own order is in force again. If page_reporting_order was written while
 * aerator's order was in force, the written value stays, and the next start uses it,
 * unless aerator's parameter was written after it.
 *
 * Context: as the stop of an intake.
 */
void intake_order_restore(struct intake *in, unsigned int order)
{
	if (!compat_reporting_order_restore(order, in->own_order) &&
	    READ_ONCE(aerator_params.order_source) != PARAMS_ORDER_NEW)
		WRITE_ONCE(aerator_params.order_source, PARAMS_ORDER_OLDER);
}
