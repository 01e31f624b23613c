// SPDX-License-Identifier: GPL-2.0
/* Which sources of free blocks there are, and which of them is to be used. */
#include <linux/compiler.h>
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
	if (gate_init(&in->gate)) {
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
	gate_destroy(&in->gate);
	in->ops->destroy(in);
}
