// SPDX-License-Identifier: GPL-2.0
/*
 * Surveys: estimates of treated memory on stock kernels, which keep no count of it.
 *
 * Between two surveys, treated memory is taken to be the result of the last survey and
 * the batches since. Allocations reduce treated memory, and the reduction cannot be
 * derived from the amount of free memory: the allocator prefers raw memory only most of
 * the time. After a fall of free memory, only the next survey corrects the amount.
 */
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/nodemask.h>
#include "intake.h"
#include "intake_node.h"
#include "intake_pacing.h"

/**
 * intake_is_coarse - does the intake run on a stock kernel?
 * @p: the pacing
 *
 * A stock kernel keeps no count of treated memory, and its batches are of fixed size.
 *
 * Return: true if it does.
 */
bool intake_is_coarse(const struct intake_pacing *p)
{
	return !container_of(p, struct intake, pacing)->ops->treated;
}

/**
 * intake_survey_due - time until the next survey is due
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
 * Context: under @p->lock; the intake's work, or the watch while the work rests.
 *
 * Return: true if it did, on a kernel that needs surveys.
 */
bool intake_survey_stale(const struct intake_pacing *p)
{
	struct intake_node *n;
	u64 fell = 0;

	lockdep_assert_held(&p->lock);
	for_each_intake_node(n, p)
		fell = max(fell, n->last_fall);
	return intake_is_coarse(p) && p->surveyed < fell;
}

/**
 * intake_survey - estimate the treated memory of all nodes
 * @p: the pacing
 *
 * Context: the intake's work: no batch changes the amount during the survey, only
 * allocations do. May sleep.
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
	p->run_surveyed = true;
}
