// SPDX-License-Identifier: GPL-2.0
/*
 * The reactor: one batch of free blocks, and its state machine.
 *
 *              +------------------------------------------+
 *              v                                          |
 *   idle --> fill --> react --> settle --(answered)--> decant --> idle
 *              |        |          |                      ^
 *              |        |          +--(device was reset)--+
 *              |        +-----------(never got there)-----+
 *              +--(nothing found)--> idle
 *
 * This file uses neither virtio nor mm, so that it can be tested alone. Its main rule:
 * while the device may still write to a page, the page does not go back to the
 * allocator. A batch leaves settle when the whole batch was sent and answered, or when
 * the caller guarantees that the device was reset (virtio 1.2, 5.5.6.7: a driver must
 * not use a reported page before the device acknowledged it). A timeout does not end
 * settle; it only means that a reset is due.
 *
 * A transition that the picture does not show is a bug in the caller: WARN_ON_ONCE()
 * reports it, and the reactor does not change.
 */
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include "reactor.h"

static const char * const stage_names[REACTOR_STAGES] = {
	[REACTOR_IDLE] = "idle",
	[REACTOR_FILL] = "fill",
	[REACTOR_REACT] = "react",
	[REACTOR_SETTLE] = "settle",
	[REACTOR_DECANT] = "decant",
};

static void reactor_enter(struct reactor *r, enum reactor_stage stage, u64 now)
{
	enum reactor_stage old = r->stage;
	u64 spent = now - r->since;

	WRITE_ONCE(r->stage, stage);
	r->since = now;
	if (r->left)
		r->left(r, old, spent);
}

/**
 * reactor_init - initialise a reactor: empty, idle, and without room for a batch
 * @r: the reactor
 * @index: number of the reactor, from 0
 * @run_max: most pages in one entry; a single block is always one entry
 * @left: observer of the transitions, or NULL
 */
void reactor_init(struct reactor *r, unsigned int index, u64 run_max,
		  reactor_left_fn left)
{
	*r = (struct reactor) {
		.index = index,
		.run_max = run_max,
		.left = left,
	};
}

/**
 * reactor_set_runs - give a reactor room for its batches
 * @r: the reactor, idle
 * @runs: array of @size entries, owned by the caller; must stay valid until the next
 *	call replaces it, or until there are no more batches
 * @size: most blocks in a batch, at least 1
 */
void reactor_set_runs(struct reactor *r, struct reactor_run *runs, unsigned int size)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_IDLE))
		return;
	r->runs = runs;
	r->size = size;
}

/**
 * reactor_fill - begin a batch
 * @r: the reactor, idle or decanted
 * @now: nanoseconds; all calls use the same clock
 */
void reactor_fill(struct reactor *r, u64 now)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_IDLE && r->stage != REACTOR_DECANT))
		return;
	reactor_enter(r, REACTOR_FILL, now);
	r->blocks = 0;
	r->pages = 0;
	r->nr_runs = 0;
	r->sent = 0;
	r->expired = false;
	r->treated = false;
	r->cycle++;
}

/*
 * The blocks of a pass often come in ascending or descending order of address.
 * Neighbours become one entry, so that the host makes one madvise() for both.
 */
static bool reactor_merge(struct reactor *r, u64 pfn, u64 pages)
{
	struct reactor_run *last;

	if (!r->nr_runs)
		return false;
	last = &r->runs[r->nr_runs - 1];
	if (last->pages + pages > r->run_max)
		return false;
	if (last->pfn + last->pages == pfn)
		last->pages += pages;
	else if (pfn + pages == last->pfn)
		*last = (struct reactor_run) { pfn, last->pages + pages };
	else
		return false;
	return true;
}

/**
 * reactor_add - put a free block into the batch
 * @r: the reactor, filling
 * @pfn: the block's first page frame
 * @pages: length of the block in pages
 *
 * The block must be isolated from the allocator, until decant.
 *
 * Return: true, or false when the batch is full.
 */
bool reactor_add(struct reactor *r, u64 pfn, u64 pages)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_FILL))
		return false;
	if (r->blocks == r->size)
		return false;
	if (!reactor_merge(r, pfn, pages))
		r->runs[r->nr_runs++] = (struct reactor_run) { pfn, pages };
	r->blocks++;
	r->pages += pages;
	return true;
}

/**
 * reactor_react - the batch is complete and goes to the device
 * @r: the reactor, filling, with at least one block
 * @now: nanoseconds
 *
 * Return: true; false after a bug in the caller: no block may go to the device then.
 */
bool reactor_react(struct reactor *r, u64 now)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_FILL || !r->blocks))
		return false;
	reactor_enter(r, REACTOR_REACT, now);
	return true;
}

/**
 * reactor_chain - length of the next chain
 * @r: the reactor, with entries left to send
 * @entries: most entries of a chain, at least 1
 * @pages: most pages of a chain, at least those of the longest entry
 *
 * Return: number of entries, of @r->runs from @r->sent on, at least 1.
 */
unsigned int reactor_chain(const struct reactor *r, unsigned int entries, u64 pages)
{
	const struct reactor_run *run = &r->runs[r->sent];
	unsigned int most = min(reactor_unsent(r), entries);
	unsigned int nr = 0;
	u64 sum = 0;

	do {
		sum += run[nr++].pages;
	} while (nr < most && sum + run[nr].pages <= pages);
	return nr;
}

/**
 * reactor_sent - a chain of the batch was put on the queue
 * @r: the reactor, reacting, or settling with entries left to send
 * @entries: length of the chain: the entries of @r->runs from @r->sent on, at least 1
 */
void reactor_sent(struct reactor *r, unsigned int entries)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_REACT && r->stage != REACTOR_SETTLE))
		return;
	if (WARN_ON_ONCE(!entries || entries > reactor_unsent(r)))
		return;
	r->sent += entries;
	r->chains++;
}

/**
 * reactor_settle - begin to wait for the device
 * @r: the reactor, reacting
 * @now: nanoseconds
 *
 * Entries that the queue had no room for are sent later, with reactor_sent().
 */
void reactor_settle(struct reactor *r, u64 now)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_REACT))
		return;
	reactor_enter(r, REACTOR_SETTLE, now);
}

/**
 * reactor_answer - the device answered a chain, in time or late
 * @r: the reactor, settling, with unanswered chains
 */
void reactor_answer(struct reactor *r)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_SETTLE || !r->chains))
		return;
	r->chains--;
}

/**
 * reactor_expire - the device did not answer in time
 * @r: the reactor, settling, and not answered
 *
 * The batch stays in settle: the device may still write to its pages. The caller
 * resets the device and calls reactor_abort(), or, if the answer came before the
 * reset, reactor_decant(). A second call has no effect.
 */
void reactor_expire(struct reactor *r)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_SETTLE || reactor_answered(r)))
		return;
	r->expired = true;
}

/**
 * reactor_decant - give the blocks back, treated
 * @r: the reactor, settling
 * @now: nanoseconds
 *
 * Return: true; false if the batch is not completely sent and answered, and so stays
 * in settle.
 */
bool reactor_decant(struct reactor *r, u64 now)
{
	if (WARN_ON_ONCE(r->stage != REACTOR_SETTLE) || !reactor_answered(r))
		return false;
	r->treated = true;
	reactor_enter(r, REACTOR_DECANT, now);
	return true;
}

/**
 * reactor_abort - give the blocks back, raw
 * @r: the reactor, reacting with no chain on the queue (a batch with a chain on the
 *	queue has to settle), or settling
 * @now: nanoseconds
 *
 * In settle the caller guarantees that the device was reset: the device has no access
 * to the pages any more, although chains are not answered.
 */
void reactor_abort(struct reactor *r, u64 now)
{
	if (WARN_ON_ONCE(r->stage == REACTOR_REACT ? r->chains : r->stage != REACTOR_SETTLE))
		return;
	r->chains = 0;
	reactor_enter(r, REACTOR_DECANT, now);
}

/**
 * reactor_rest - end a batch, or a fill that found no block
 * @r: the reactor, decanted, or filling and still empty
 * @now: nanoseconds
 */
void reactor_rest(struct reactor *r, u64 now)
{
	if (r->stage == REACTOR_FILL && !r->blocks)
		r->cycle--;	/* it never became a batch */
	else if (WARN_ON_ONCE(r->stage != REACTOR_DECANT))
		return;
	reactor_enter(r, REACTOR_IDLE, now);
}

/**
 * reactor_stage_name - name of a stage, in sysfs files and tracepoints
 * @stage: the stage
 *
 * Return: a constant string.
 */
const char *reactor_stage_name(enum reactor_stage stage)
{
	return stage < REACTOR_STAGES ? stage_names[stage] : "?";
}
