// SPDX-License-Identifier: GPL-2.0
/*
 * Where the allocator does not count what is treated, a survey of the free lists does.
 *
 * Between two surveys what is treated is what the last one found and what was treated
 * since. Allocations make that less: they take raw memory first by and large only, so
 * that what is free says little of it. After a fall it is known again from the next
 * survey on.
 */
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/nodemask.h>
#include "intake.h"
#include "intake_node.h"
#include "intake_pacing.h"

/**
 * intake_is_coarse - does the intake lack a count of what is treated?
 * @p: the pacing
 *
 * Its batches cannot be made smaller then, either.
 *
 * Return: true if it does.
 */
bool intake_is_coarse(const struct intake_pacing *p)
{
	return !container_of(p, struct intake, pacing)->ops->treated;
}

/**
 * intake_survey_due - how long until it is worth to survey again
 * @p: the pacing
 *
 * Context: the intake's work.
 *
 * Return: milliseconds.
 */
unsigned int intake_survey_due(const struct intake_pacing *p)
{
	return intake_pacing_left(p->surveyed, INTAKE_SURVEY_MS);
}

/**
 * intake_survey_stale - did memory fall since the last survey?
 * @p: the pacing, sampled
 *
 * Context: under @p->lock; the intake's work, or the watch while that rests.
 *
 * Return: true if it did, where it takes a survey to know what is treated.
 */
bool intake_survey_stale(const struct intake_pacing *p)
{
	struct intake_node *n;
	u64 fell = 0;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		fell = max(fell, n->fell);
	return intake_is_coarse(p) && p->surveyed < fell;
}

/**
 * intake_survey - find out what is treated
 * @p: the pacing
 *
 * Context: the intake's work, which does all that changes the amount, but for
 * allocations. May sleep.
 */
void intake_survey(struct intake_pacing *p)
{
	const struct intake *in = container_of(p, struct intake, pacing);
	u64 found;
	int nid;

	if (!intake_is_coarse(p))
		return;
	for_each_online_node(nid) {
		found = in->ops->survey(in, nid);
		spin_lock(&p->lock);
		p->nodes[nid].known = found;
		spin_unlock(&p->lock);
	}
	p->surveyed = intake_pacing_ms();
	p->fresh = true;
}
