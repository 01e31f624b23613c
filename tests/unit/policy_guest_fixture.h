/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest with a driver and a host, to see what comes of a policy. Its memory goes
 * up and down as a test or a trace says; allocations use up what is raw first. The
 * driver does what module/gate.c does, or virtio_balloon: that much of either as
 * decides when, and how much.
 */
#ifndef UNIT_POLICY_GUEST_FIXTURE_H
#define UNIT_POLICY_GUEST_FIXTURE_H

#include "policy_fixture.h"
#include "rate.h"

enum guest_driver {
	GUEST_AERATOR,
	GUEST_BALLOON,
};

/**
 * struct guest - a guest and its driver
 * @driver: who reports its memory
 * @policy: aerator's
 * @limits: likewise
 * @bucket: of its rate
 * @rate_limit: pages a second, 0 for no limit
 * @level: what is free; what the host knows of
 * @batch_ms: how long the host takes for a batch
 * @touch_ms: how long a churn takes to get its memory
 * @now: ms
 * @work_at: when the driver's work runs, ms, or GUEST_NEVER
 * @watch_at: when aerator looks back, likewise
 * @awake: the work comes back by itself
 * @passing: it is in the middle of a pass
 * @pass: what that has treated so far, pages
 * @treated: pages that were treated
 * @taken_back: of those, what the guest took: each is a fault of the host
 * @held: free pages that the host kept, times ms
 * @works: how often the work ran
 * @looks: how often it looked back
 * @passes: passes that treated something
 * @treated_at: when something was treated last, ms
 */
struct guest {
	enum guest_driver driver;
	struct policy policy;
	struct policy_limits limits;
	struct rate bucket;
	u64 rate_limit;
	struct policy_level level;
	unsigned int batch_ms;
	unsigned int touch_ms;
	u64 now;
	u64 work_at;
	u64 watch_at;
	bool awake;
	bool passing;
	u64 pass;
	u64 treated;
	u64 taken_back;
	u64 held;
	unsigned int works;
	unsigned int looks;
	unsigned int passes;
	u64 treated_at;
};

#define GUEST_NEVER	(~0ULL)

struct moment {
	u64 ms;
	u64 free;
	u64 blocks;
};

struct trace {
	const char *name;
	struct moment moments[400];
	unsigned int nr;
};

void guest_start(struct guest *g, enum guest_driver driver, unsigned int window_ms,
		 u64 free);
void guest_until(struct guest *g, u64 now);
void guest_change(struct guest *g, u64 now, u64 free, u64 blocks);
void guest_count_anew(struct guest *g);
unsigned int guest_churn(struct guest *g, u64 pages, unsigned int gap_ms,
			 unsigned int use_ms, unsigned int rounds);
bool guest_rests(const struct guest *g);
u64 guest_raw(const struct guest *g);
void trace_read(struct trace *trace, const char *name);
void trace_replay(const struct trace *trace, struct guest *g);
u64 trace_last_free(const struct trace *trace);

#endif /* UNIT_POLICY_GUEST_FIXTURE_H */
