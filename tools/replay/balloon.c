// SPDX-License-Identifier: GPL-2.0
/*
 * virtio_balloon: the kernel's page reporting without aerator. A pass begins two seconds after
 * memory was freed, and takes a part of the list; if blocks are left, another pass begins two
 * seconds later.
 */
#include "model.h"

/* PAGE_REPORTING_DELAY. */
#define BALLOON_DELAY_MS	2000

/**
 * balloon_work - a pass
 * @m: the model
 */
void balloon_work(struct model *m)
{
	u64 budget = model_reporting_budget(m), pages;

	while (budget-- && (pages = free_list_isolate(&m->list, MODEL_BATCH))) {
		free_list_add_tail(&m->list, pages, true);
		model_treat(m, pages);
	}
	m->passes++;
	m->work_at = model_raw(m) ? m->now + BALLOON_DELAY_MS : MODEL_NEVER;
}

/**
 * balloon_freed - memory was freed
 * @m: the model
 */
void balloon_freed(struct model *m)
{
	if (m->work_at == MODEL_NEVER)
		m->work_at = m->now + BALLOON_DELAY_MS;
}
