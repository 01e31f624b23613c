/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of a guest with a balloon driver, and of its host.
 *
 * The caller sets the amount of free memory over time. The driver is the module's own policy
 * with a model of intake_pacing.c and intake_batch.c, or virtio_balloon with the kernel's page
 * reporting. The model adds up the free memory that the host holds for nothing, and the
 * memory that the guest faults in again.
 *
 * On a kernel with the aeration patch (MODEL_TREATED) allocations take raw memory
 * first. On a stock kernel (MODEL_REPORTING) they take the head of a free list, on
 * which page reporting moves what it has handed over to the tail.
 *
 * Not in the model: more than one node, zone, list and size of blocks; the time that a
 * batch and a pass take; per-CPU lists; watermarks; memory pressure, unless the caller sets
 * it; the limit of the rate; a host that refuses or keeps memory. A trace has amounts of
 * free memory, not blocks: a fall and a rise between two of its moments are not seen.
 */
#ifndef REPLAY_MODEL_H
#define REPLAY_MODEL_H

#include "free_list.h"
#include "policy.h"

enum model_driver {
	MODEL_AERATOR,
	MODEL_BALLOON,
};

enum model_intake {
	MODEL_TREATED,
	MODEL_REPORTING,
};

/* A time that never comes. */
#define MODEL_NEVER		(~0ULL)

/* The caller's time 0: the driver is started long after the boot. */
#define MODEL_EPOCH		1000000ULL

/* Page reporting's batch: 32 blocks of the largest order, 4 MiB each. */
#define MODEL_BATCH		(32 * 1024ULL)

/**
 * struct model_batch - as struct intake_batch
 * @size: size of the largest batch so far, pages; 0 if there was none
 * @refused: size of the last batch if it was refused, pages; otherwise 0
 * @paid: cost of untreated surplus so far, pages times ms
 * @deficit: untreated surplus at the last sample, pages
 * @at: time of the last sample, ms
 */
struct model_batch {
	u64 size;
	u64 refused;
	u64 paid;
	u64 deficit;
	u64 at;
};

/**
 * struct model - a guest and its driver
 * @driver: set before model_start(), as the next two
 * @intake: where blocks come from; always page reporting for virtio_balloon
 * @limits: the user's settings
 * @now: current time, ms, from MODEL_EPOCH on
 * @free: all free memory, pages
 * @blocks: pages of @free that are in blocks that can be treated
 * @treated: pages of @blocks that are treated
 * @list: raw and treated blocks in the order of the free list; for MODEL_REPORTING
 * @policy: aerator's policy; this and all fields up to @batch are aerator's only
 * @view: the policy's result of the last sample
 * @known: the driver's estimate of treated pages, if the allocator does not count them
 * @seen: @free at the last sample
 * @last_fall: time at which free memory was last seen to fall, ms
 * @woken: as in struct intake_pacing, as the next two
 * @surveyed: time of the last survey, ms
 * @awake: the work runs again by itself
 * @batch: cost of batches whose size the driver cannot choose
 * @work_at: time at which the driver's work runs, or MODEL_NEVER
 * @watch_at: time of the next sample without a free, or MODEL_NEVER
 * @held: memory that the host held for nothing, pages times ms
 * @refaulted: memory that the guest faulted in again, pages
 * @reported: memory that was reported, pages
 * @looks: number of runs of the driver's work and watch
 * @passes: number of runs that treated memory
 */
struct model {
	enum model_driver driver;
	enum model_intake intake;
	struct policy_limits limits;
	u64 now;
	u64 free;
	u64 blocks;
	u64 treated;
	struct free_list list;
	struct policy policy;
	struct policy_view view;
	u64 known;
	u64 seen;
	u64 last_fall;
	u64 woken;
	u64 surveyed;
	bool awake;
	struct model_batch batch;
	u64 work_at;
	u64 watch_at;
	double held;
	u64 refaulted;
	u64 reported;
	unsigned int looks;
	unsigned int passes;
};

void model_start(struct model *m, u64 free, u64 blocks);
void model_until(struct model *m, u64 ms);
void model_change(struct model *m, u64 ms, u64 free, u64 blocks);
void model_stop(struct model *m);

/* Functions for drivers. */
void model_treat(struct model *m, u64 pages);
u64 model_reporting_budget(const struct model *m);

/* The drivers. */
void aerator_start(struct model *m);
void aerator_work(struct model *m);
void aerator_watch(struct model *m);
void aerator_freed(struct model *m);
void balloon_work(struct model *m);
void balloon_freed(struct model *m);

/* Memory that can be treated and is not. */
static inline u64 model_raw(const struct model *m)
{
	return m->blocks - m->treated;
}

/* Without the patch there is a free list, and no count of treated pages. */
static inline bool model_has_list(const struct model *m)
{
	return m->driver == MODEL_BALLOON || m->intake == MODEL_REPORTING;
}

/* The driver is idle until memory is freed. */
static inline bool model_rests(const struct model *m)
{
	return m->work_at == MODEL_NEVER && m->watch_at == MODEL_NEVER;
}

#endif /* REPLAY_MODEL_H */
