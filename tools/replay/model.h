/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of a guest with a balloon driver, and of its host.
 *
 * Free memory goes up and down as the caller says. The driver is the policy of the
 * module itself with a copy of what intake_pacing.c and intake_batch.c do around it, or
 * virtio_balloon with the kernel's page reporting. The model adds up what free memory
 * the host holds for nothing, and what the guest faults in again.
 *
 * On a kernel with the aeration patch (MODEL_TREATED) allocations take raw memory
 * first. On a stock kernel (MODEL_REPORTING) they take the head of a free list, on
 * which page reporting moves what it has handed over to the tail.
 *
 * Not in the model: more than one node, zone, list and size of blocks; the time that a
 * batch and a pass take; lists of single processors; watermarks, and pressure but where
 * the caller says so; the limit of the rate; a host that refuses or keeps memory. A
 * trace tells how much was free, not which blocks: a fall and a rise between two of its
 * moments are not seen.
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

/* A time that does not come. */
#define MODEL_NEVER		(~0ULL)

/* Time 0 of the caller's; a driver that is started long after the boot. */
#define MODEL_EPOCH		1000000ULL

/* Page reporting's batch: 32 blocks of the largest order, 4 MiB each. */
#define MODEL_BATCH		(32 * 1024ULL)

/**
 * struct model_batch - as struct intake_batch
 * @size: the largest that was handed over, pages; 0 if there was none
 * @refused: the last that was handed over, if it was refused, pages; 0 if not
 * @paid: what it has cost so far that surplus was not treated, pages times ms
 * @deficit: surplus that was not treated at the last sample, pages
 * @at: when that was, ms
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
 * @intake: where blocks come from; virtio_balloon has the kernel's page reporting always
 * @limits: what the user asked for
 * @now: ms, from MODEL_EPOCH on
 * @free: all free memory, pages
 * @blocks: of it, in blocks that can be treated
 * @treated: of these, what the host knows of
 * @list: the same, in the order of the free list; of MODEL_REPORTING
 * @policy: aerator's, as all below
 * @view: what it made of its last look
 * @known: what the driver takes for treated where the allocator does not count, pages
 * @seen: @free at the last look
 * @fell: when free memory was last seen to fall, ms
 * @woken: as in struct intake_pacing, as the next two
 * @surveyed: when it was last found out what is treated, ms
 * @awake: the work comes back by itself
 * @batch: how batches that cannot be made smaller are weighed
 * @work_at: when the driver's work runs, or MODEL_NEVER
 * @watch_at: when it looks though nothing was freed, or MODEL_NEVER
 * @held: what the host held for nothing, pages times ms
 * @refaulted: what the guest faulted in again, pages
 * @reported: what the host was told of, pages
 * @looks: how often the driver's work and watch ran
 * @passes: how often it treated something
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
	u64 fell;
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

/* For drivers. */
void model_treat(struct model *m, u64 pages);
u64 model_reporting_budget(const struct model *m);

/* The drivers. */
void aerator_start(struct model *m);
void aerator_work(struct model *m);
void aerator_watch(struct model *m);
void aerator_freed(struct model *m);
void balloon_work(struct model *m);
void balloon_freed(struct model *m);

/* What can be treated and is not. */
static inline u64 model_raw(const struct model *m)
{
	return m->blocks - m->treated;
}

/* Without the patch there is a free list, and no count of what is treated. */
static inline bool model_has_list(const struct model *m)
{
	return m->driver == MODEL_BALLOON || m->intake == MODEL_REPORTING;
}

/* Nothing runs until something is freed. */
static inline bool model_rests(const struct model *m)
{
	return m->work_at == MODEL_NEVER && m->watch_at == MODEL_NEVER;
}

#endif /* REPLAY_MODEL_H */
