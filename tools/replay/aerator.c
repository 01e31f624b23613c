// SPDX-License-Identifier: GPL-2.0
/*
 * aerator: the module's own policy, with a model of intake_pacing.c, intake_node.c and
 * intake_batch.c. Functions have the same names and the same order as there.
 */
#include <linux/math64.h>
#include <linux/minmax.h>
#include "model.h"

/* As in intake_pacing.c and intake_pacing.h. */
#define INTAKE_SURVEY_MS	1000U
#define PACING_AWAKE_MS		113U
#define INTAKE_SOON_MS	10U

/* As in intake_node.c, in a guest of 2 GiB and more: 16 MiB. */
#define INTAKE_NODE_SLACK_PAGES	4096U

/* As in intake_batch.c. */
#define INTAKE_BATCH_GAP_MAX	60000U
#define INTAKE_BATCH_NEVER	(~0ULL)

/* The smallest full batch: 32 blocks of 2 MiB. */
#define INTAKE_BATCH_LEAST	(32 * 512ULL)

static bool intake_is_coarse(const struct model *m)
{
	return m->intake == MODEL_REPORTING;
}

static void intake_node_level(struct model *m, struct policy_level *level)
{
	if (!intake_is_coarse(m))
		m->known = m->treated;
	m->known = min(m->known, m->blocks);
	*level = (struct policy_level) {
		.free = m->free, .blocks = m->blocks, .treated = m->known,
	};
	if (m->free < m->seen)
		m->last_fall = m->now;
	m->seen = m->free;
}

static void intake_batch_sample(struct model *m)
{
	struct model_batch *b = &m->batch;
	u64 ms = min_t(u64, m->now - b->at, INTAKE_BATCH_GAP_MAX);

	b->paid = m->view.deficit ? b->paid + b->deficit * ms : 0;
	b->deficit = m->view.deficit;
	b->at = m->now;
}

static void pacing_sample(struct model *m)
{
	struct policy_level level;

	intake_node_level(m, &level);
	policy_sample(&m->policy, m->now, &level, &m->limits, &m->view);
	intake_batch_sample(m);
}

/* The expected size of the next batch; 0 if nothing seems to be raw. */
static u64 intake_batch_next(const struct model *m)
{
	u64 pages = m->blocks - min(m->known, m->blocks);

	if (!pages)
		return 0;
	return max(min(pages, max(m->batch.size, INTAKE_BATCH_LEAST)), m->batch.refused);
}

static bool intake_batch_exceeds(const struct model *m, u64 pages)
{
	return m->policy.treated + pages > m->policy.available;
}

static u64 intake_batch_price(const struct model *m, u64 pages)
{
	u64 deficit = m->view.deficit;

	return pages > 2 * deficit ? (pages - 2 * deficit) * m->limits.refault_ms : 0;
}

/* The cost of the refused batch with which a pass ends, unless nothing is left. */
static u64 intake_batch_refusal(const struct model *m)
{
	u64 size = max(m->batch.size, INTAKE_BATCH_LEAST);
	u64 raw = m->blocks - min(m->known, m->blocks);
	u64 left = raw - min(raw, m->view.deficit);

	return left > size / 2 ? min(left, size) * m->limits.refault_ms : 0;
}

/* With no rate, this alone says when a pass may begin. */
static u64 intake_batch_wait(const struct model *m)
{
	const struct model_batch *b = &m->batch;
	u64 pages = intake_batch_next(m);
	u64 price = intake_batch_price(m, pages) + intake_batch_refusal(m);

	if (!intake_is_coarse(m) || !pages)
		return 0;
	if (intake_batch_exceeds(m, pages))
		return INTAKE_BATCH_NEVER;
	if (price <= b->paid || !b->deficit)
		return 0;
	return div64_u64(price - b->paid + b->deficit - 1, b->deficit);
}

static bool intake_batch_allows(struct model *m, u64 pages)
{
	struct model_batch *b = &m->batch;
	u64 price = intake_batch_price(m, pages);

	if (pages >= m->blocks - m->known)
		price = 0;
	b->size = max(b->size, pages);
	b->refused = intake_batch_exceeds(m, pages) || price > b->paid ? pages : 0;
	if (b->refused)
		return false;
	b->paid -= price;
	return true;
}

static bool intake_pacing_allows(struct model *m, u64 pages)
{
	pacing_sample(m);
	return m->view.deficit && intake_batch_allows(m, pages);
}

/* The rest of a period that began at @since, ms. */
static unsigned int intake_pacing_left(const struct model *m, u64 since, unsigned int ms)
{
	u64 passed = m->now - since;

	return passed < ms ? ms - passed : 0;
}

static unsigned int intake_survey_due(const struct model *m)
{
	return intake_pacing_left(m, m->surveyed, INTAKE_SURVEY_MS);
}

static void intake_survey(struct model *m)
{
	m->known = m->treated;
	m->surveyed = m->now;
}

static bool intake_survey_stale(const struct model *m)
{
	return intake_is_coarse(m) && m->surveyed < m->last_fall;
}

static unsigned int pacing_rest_due(const struct model *m)
{
	if (!intake_is_coarse(m))
		return intake_pacing_left(m, m->woken, PACING_AWAKE_MS);
	if (m->surveyed == m->now)
		return intake_pacing_left(m, m->woken, INTAKE_SURVEY_MS);
	return max(intake_survey_due(m), 1U);
}

static void intake_pacing_begin(struct model *m)
{
	if (!m->awake) {
		m->woken = m->now;
		m->surveyed = 0;
	}
	if (!intake_survey_due(m))
		intake_survey(m);
	if (!m->awake) {
		m->batch.refused = 0;
		policy_wake(&m->policy);
	}
	m->awake = true;
	pacing_sample(m);
}

static bool pacing_may_pass(struct model *m)
{
	pacing_sample(m);
	return m->view.deficit && !intake_batch_wait(m);
}

static void intake_pacing_treat(struct model *m, u64 pages)
{
	model_treat(m, pages);
	m->known += pages;
	policy_treat(&m->policy, m->now, pages);
}

static void intake_pacing_end_pass(struct model *m, u64 done, bool complete)
{
	m->passes += !!done;
	pacing_sample(m);
	if (done)
		policy_wake(&m->policy);
	else if (complete)
		policy_defer(&m->policy, &m->view);
}

static void treated_pass(struct model *m)
{
	u64 pages = m->view.deficit;

	intake_pacing_treat(m, pages);
	intake_pacing_end_pass(m, pages, true);
}

/* The kernel's pass ends with a refused batch, which is moved to the tail of the list. */
static void reporting_pass(struct model *m)
{
	u64 budget = model_reporting_budget(m), done = 0, pages;
	bool allowed = true;

	while (allowed && budget-- && (pages = free_list_isolate(&m->list, MODEL_BATCH))) {
		allowed = intake_pacing_allows(m, pages);
		free_list_add_tail(&m->list, pages, allowed);
		if (allowed)
			intake_pacing_treat(m, pages);
		done += allowed ? pages : 0;
	}
	intake_pacing_end_pass(m, done, allowed);
}

static unsigned int pacing_wait_deficit(struct model *m)
{
	u64 due;

	if (!m->view.deficit)
		return POLICY_NEVER;
	due = intake_batch_wait(m);
	if (due == INTAKE_BATCH_NEVER) {
		policy_defer(&m->policy, &m->view);
		return POLICY_NEVER;
	}
	return min_t(u64, due, POLICY_SAMPLE_MAX);
}

static unsigned int pacing_wait(struct model *m)
{
	pacing_sample(m);
	return min(pacing_wait_deficit(m), m->view.wait_ms ?: POLICY_NEVER);
}

static void pacing_watch(struct model *m)
{
	unsigned int ms = m->view.watch_ms;

	m->watch_at = ms == POLICY_NEVER ? MODEL_NEVER : m->now + ms;
}

static unsigned int pacing_rest(struct model *m)
{
	unsigned int due = pacing_rest_due(m);
	unsigned int wait;

	if (due)
		return min(due, POLICY_SAMPLE_MAX);
	wait = pacing_wait(m);
	if (wait != POLICY_NEVER)
		return wait;
	m->awake = false;
	pacing_watch(m);
	return POLICY_NEVER;
}

/* Work that is queued without delay also runs a moment later. */
static void intake_pacing_end(struct model *m)
{
	unsigned int wait = pacing_wait(m);

	if (wait == POLICY_NEVER)
		wait = pacing_rest(m);
	m->work_at = wait == POLICY_NEVER ? MODEL_NEVER : m->now + max(wait, 1U);
}

/**
 * aerator_work - the intake's work
 * @m: the model
 */
void aerator_work(struct model *m)
{
	intake_pacing_begin(m);
	if (pacing_may_pass(m)) {
		if (intake_is_coarse(m))
			reporting_pass(m);
		else
			treated_pass(m);
	}
	intake_pacing_end(m);
}

/**
 * aerator_watch - a sample while the work is idle
 * @m: the model
 */
void aerator_watch(struct model *m)
{
	m->watch_at = MODEL_NEVER;
	if (m->awake)
		return;
	m->awake = pacing_may_pass(m);
	if (m->awake) {
		m->work_at = m->now;
		return;
	}
	/* A deficit that no pass can treat is no reason for another sample. */
	pacing_wait_deficit(m);
	pacing_watch(m);
	if (m->watch_at == MODEL_NEVER && intake_survey_stale(m)) {
		m->awake = true;
		m->work_at = m->now;
	}
}

/**
 * aerator_freed - memory was freed
 * @m: the model
 */
void aerator_freed(struct model *m)
{
	if (!m->awake && m->work_at == MODEL_NEVER)
		m->work_at = m->now + INTAKE_SOON_MS;
}

/**
 * aerator_start - the driver is bound
 * @m: the model
 */
void aerator_start(struct model *m)
{
	policy_init(&m->policy, m->now, INTAKE_NODE_SLACK_PAGES);
	m->batch.at = m->now;
	m->seen = m->free;
	m->work_at = m->now;
}
