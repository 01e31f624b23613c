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
 * gate_is_coarse - does the intake lack a count of what is treated?
 * @g: the gate
 *
 * Its batches cannot be made smaller then, either.
 *
 * Return: true if it does.
 */
bool gate_is_coarse(const struct gate *g)
{
	return !container_of(g, struct intake, gate)->ops->treated;
}

/**
 * gate_survey_due - how long until it is worth to survey again
 * @g: the gate
 *
 * Context: the intake's work.
 *
 * Return: milliseconds.
 */
unsigned int gate_survey_due(const struct gate *g)
{
	return gate_left(g->surveyed, GATE_SURVEY_MS);
}

/**
 * gate_survey_stale - did memory fall since the last survey?
 * @g: the gate, sampled
 *
 * Context: under the gate's lock; the intake's work, or the watch while that rests.
 *
 * Return: true if it did, where it takes a survey to know what is treated.
 */
bool gate_survey_stale(const struct gate *g)
{
	struct gate_node *n;
	u64 fell = 0;

	lockdep_assert_held(&g->lock);
	for_each_gate_node(n, g)
		fell = max(fell, n->fell);
	return gate_is_coarse(g) && g->surveyed < fell;
}

/**
 * gate_survey - find out what is treated
 * @g: the gate
 *
 * Context: the intake's work, which does all that changes the amount, but for
 * allocations. May sleep.
 */
void gate_survey(struct gate *g)
{
	const struct intake *in = container_of(g, struct intake, gate);
	u64 found;
	int nid;

	if (!gate_is_coarse(g))
		return;
	for_each_online_node(nid) {
		found = in->ops->survey(in, nid);
		spin_lock(&g->lock);
		g->nodes[nid].known = found;
		spin_unlock(&g->lock);
	}
	g->surveyed = gate_ms();
	g->fresh = true;
}
