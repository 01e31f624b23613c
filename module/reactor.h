/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_REACTOR_H
#define AERATOR_REACTOR_H

#include <linux/types.h>

/**
 * enum reactor_stage - the stages of a batch, in their order
 * @REACTOR_IDLE: no batch: the reactor has no blocks
 * @REACTOR_FILL: blocks are taken out of the allocator
 * @REACTOR_REACT: the batch is put on the virtqueue
 * @REACTOR_SETTLE: the device works on the batch, the driver waits
 * @REACTOR_DECANT: the blocks go back to the allocator
 * @REACTOR_STAGES: number of stages
 */
enum reactor_stage {
	REACTOR_IDLE,
	REACTOR_FILL,
	REACTOR_REACT,
	REACTOR_SETTLE,
	REACTOR_DECANT,
	REACTOR_STAGES
};

/**
 * struct reactor_run - physically contiguous blocks, one entry of a chain
 * @pfn: first page frame
 * @pages: length in pages
 */
struct reactor_run {
	u64 pfn;
	u64 pages;
};

struct reactor;

/**
 * typedef reactor_left_fn - called after every transition
 * @r: the reactor, already in its new stage
 * @stage: the stage that the batch left
 * @ns: time in @stage, nanoseconds
 */
typedef void (*reactor_left_fn)(struct reactor *r, enum reactor_stage stage,
				u64 ns);

/**
 * struct reactor - one batch of free blocks on its way through the stages
 * @index: number of the reactor, from 0
 * @stage: current stage
 * @size: most blocks in a batch
 * @blocks: blocks in this batch
 * @pages: pages in this batch
 * @nr_runs: entries used in @runs
 * @runs: the batch, neighbours merged; room for @size entries
 * @run_max: most pages in one entry, a limit of the device's format
 * @sent: entries of @runs that were put on the queue
 * @chains: chains on the queue that the device has not answered yet
 * @expired: the device did not answer in time; settle ends with an answer or a reset
 * @treated: in decant: true if the device took the batch, false if the blocks are raw
 * @cycle: number of this batch, from 1
 * @since: when @stage was entered, nanoseconds
 * @left: observer of the transitions, may be NULL
 * @node: for the observer: NUMA node of the blocks, valid until decant
 * @zone: for the observer: name of their zone, a string that is never freed
 *
 * Not locked: owned by the work item that runs the stages (one for all reactors). Other
 * contexts may read @stage, with READ_ONCE().
 */
struct reactor {
	unsigned int index;
	enum reactor_stage stage;
	unsigned int size;
	unsigned int blocks;
	u64 pages;
	unsigned int nr_runs;
	struct reactor_run *runs;
	u64 run_max;
	unsigned int sent;
	unsigned int chains;
	bool expired;
	bool treated;
	u64 cycle;
	u64 since;
	reactor_left_fn left;
	int node;
	const char *zone;
};

/**
 * reactor_unsent - entries of the batch that are not on the queue yet
 * @r: the reactor
 *
 * Return: number of entries.
 */
static inline unsigned int reactor_unsent(const struct reactor *r)
{
	return r->nr_runs - r->sent;
}

/**
 * reactor_answered - has the device answered the whole batch?
 * @r: the reactor, settling
 *
 * Return: true if every entry was put on the queue and every chain answered.
 */
static inline bool reactor_answered(const struct reactor *r)
{
	return !reactor_unsent(r) && !r->chains;
}

void reactor_init(struct reactor *r, unsigned int index, u64 run_max,
		  reactor_left_fn left);
void reactor_set_runs(struct reactor *r, struct reactor_run *runs, unsigned int size);
void reactor_fill(struct reactor *r, u64 now);
bool reactor_add(struct reactor *r, u64 pfn, u64 pages);
bool reactor_react(struct reactor *r, u64 now);
unsigned int reactor_chain(const struct reactor *r, unsigned int entries, u64 pages);
void reactor_sent(struct reactor *r, unsigned int entries);
void reactor_settle(struct reactor *r, u64 now);
void reactor_answer(struct reactor *r);
void reactor_expire(struct reactor *r);
bool reactor_decant(struct reactor *r, u64 now);
void reactor_abort(struct reactor *r, u64 now);
void reactor_rest(struct reactor *r, u64 now);
const char *reactor_stage_name(enum reactor_stage stage);

#endif /* AERATOR_REACTOR_H */
