// SPDX-License-Identifier: GPL-2.0
/* The guest and its host; see model.h. */
#include <linux/math64.h>
#include <linux/minmax.h>
#include "model.h"

/* A pass of page reporting covers one of this many parts of a list. */
#define MODEL_PASS_PART		16

/**
 * model_start - bind the driver in a guest whose free memory is all treated
 * @m: the model, with its settings; zeroed, or used before
 * @free: free memory, pages
 * @blocks: pages of @free that are in blocks that can be treated
 */
void model_start(struct model *m, u64 free, u64 blocks)
{
	free_list_clear(&m->list);
	*m = (struct model) {
		.driver = m->driver, .intake = m->intake, .limits = m->limits,
		.now = MODEL_EPOCH,
		.free = free, .blocks = blocks, .treated = blocks,
		.work_at = MODEL_NEVER, .watch_at = MODEL_NEVER,
	};
	if (model_has_list(m))
		free_list_add_tail(&m->list, blocks, true);
	if (m->driver == MODEL_AERATOR)
		aerator_start(m);
}

static void model_advance(struct model *m, u64 now)
{
	m->held += (double)model_raw(m) * (now - m->now);
	m->now = now;
}

static void model_run(struct model *m)
{
	m->looks++;
	if (m->driver == MODEL_BALLOON)
		balloon_work(m);
	else if (m->work_at <= m->now)
		aerator_work(m);
	else
		aerator_watch(m);
}

/**
 * model_until - let the driver run, while free memory stays constant
 * @m: the model, started
 * @ms: end time; no less than in any call before
 */
void model_until(struct model *m, u64 ms)
{
	u64 end = MODEL_EPOCH + ms;

	while (min(m->work_at, m->watch_at) <= end) {
		model_advance(m, min(m->work_at, m->watch_at));
		model_run(m);
	}
	model_advance(m, end);
}

static void model_rise(struct model *m, u64 pages)
{
	m->blocks += pages;
	if (model_has_list(m))
		free_list_add_head(&m->list, pages);
	if (m->driver == MODEL_BALLOON)
		balloon_freed(m);
	else
		aerator_freed(m);
}

static void model_fall(struct model *m, u64 pages)
{
	u64 raw = model_raw(m);
	u64 treated = pages > raw ? pages - raw : 0;

	if (model_has_list(m))
		treated = free_list_take(&m->list, pages);
	m->blocks -= pages;
	m->treated -= treated;
	m->refaulted += treated;
}

/**
 * model_change - change free memory at a time
 * @m: the model, started
 * @ms: that time; no less than in any call before
 * @free: free memory, pages
 * @blocks: pages of @free that are in blocks that can be treated
 */
void model_change(struct model *m, u64 ms, u64 free, u64 blocks)
{
	model_until(m, ms);
	m->free = free;
	if (blocks > m->blocks)
		model_rise(m, blocks - m->blocks);
	else
		model_fall(m, m->blocks - blocks);
}

/**
 * model_stop - free the model's memory; the counters stay valid
 * @m: the model
 */
void model_stop(struct model *m)
{
	free_list_clear(&m->list);
}

/**
 * model_treat - report blocks to the host
 * @m: the model
 * @pages: number of pages
 */
void model_treat(struct model *m, u64 pages)
{
	m->treated += pages;
	m->reported += pages;
}

/**
 * model_reporting_budget - the largest number of batches in a pass of page reporting
 * @m: the model
 *
 * Return: batches; see page_reporting_cycle().
 */
u64 model_reporting_budget(const struct model *m)
{
	u64 pass = MODEL_BATCH * MODEL_PASS_PART;

	return div64_u64(m->blocks + pass - 1, pass) + 1;
}
