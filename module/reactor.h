/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_REACTOR_H
#define AERATOR_REACTOR_H

#include <linux/types.h>

/**
 * enum reactor_stage - the stages of a batch, in the order it passes them
 * @REACTOR_IDLE: no batch; nothing is held
 * @REACTOR_FILL: blocks are taken out of the allocator
 * @REACTOR_REACT: the batch is handed to the device
 * @REACTOR_SETTLE: the device works on it, nothing runs here
 * @REACTOR_DECANT: the blocks go back to the allocator
 * @REACTOR_STAGES: how many there are
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
 * typedef reactor_left_fn - told of every stage that is left
 * @r: the reactor, already in its new stage
 * @stage: the stage it left
 * @ns: time it spent there, nanoseconds
 */
typedef void (*reactor_left_fn)(struct reactor *r, enum reactor_stage stage,
				u64 ns);

/**
 * struct reactor - one batch of free blocks on its way through the stages
 * @index: which of several it is, from 0
 * @stage: where it is
 * @size: most blocks in a batch
 * @blocks: blocks in this batch
 * @pages: pages in this batch
 * @nr_runs: entries used in @runs
 * @runs: the batch, neighbours merged; room for @size entries
 * @run_max: most pages in one entry, for what the device's format can hold
 * @sent: entries of @runs that were put on the queue
 * @chains: chains on the queue that the device has not answered yet
 * @expired: the device was given up on; only an answer or a reset ends it
 * @treated: how the batch was decanted: the device took it, or it is still raw
 * @cycle: number of this batch, from 1
 * @since: when @stage was entered, nanoseconds
 * @left: observer of the transitions, may be NULL
 * @node: for the observer: where this batch is from, as long as it is spoken of
 * @zone: likewise, a name that never goes
 *
 * Not locked: whoever runs the stages (one work item for all reactors) owns it.
 * Others may look at @stage, with READ_ONCE().
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
 * reactor_unsent - what has yet to be put on the queue
 * @r: the reactor
 *
 * Return: entries.
 */
static inline unsigned int reactor_unsent(const struct reactor *r)
{
	return r->nr_runs - r->sent;
}

/**
 * reactor_answered - has the device done all of the batch?
 * @r: the reactor, settling
 *
 * Return: true if all of it was put on the queue and answered.
 */
static inline bool reactor_answered(const struct reactor *r)
{
	return !reactor_unsent(r) && !r->chains;
}

void reactor_init(struct reactor *r, unsigned int index, u64 run_max,
		  reactor_left_fn left);
void reactor_equip(struct reactor *r, struct reactor_run *runs, unsigned int size);
void reactor_fill(struct reactor *r, u64 now);
bool reactor_add(struct reactor *r, u64 pfn, u64 pages);
bool reactor_react(struct reactor *r, u64 now);
void reactor_sent(struct reactor *r, unsigned int entries);
void reactor_settle(struct reactor *r, u64 now);
void reactor_answer(struct reactor *r);
void reactor_expire(struct reactor *r);
bool reactor_decant(struct reactor *r, u64 now);
void reactor_abort(struct reactor *r, u64 now);
void reactor_rest(struct reactor *r, u64 now);
const char *reactor_stage_name(enum reactor_stage stage);

#endif /* AERATOR_REACTOR_H */
