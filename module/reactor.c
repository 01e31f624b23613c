// SPDX-License-Identifier: GPL-2.0
/*
 * The reactor: one batch of free blocks, and the stages that it passes.
 *
 *              +------------------------------------------+
 *              v                                          |
 *   idle --> fill --> react --> settle --(answered)--> decant --> idle
 *              |        |          |                      ^
 *              |        |          +--(device was reset)--+
 *              |        +-----------(never got there)-----+
 *              +--(nothing found)--> idle
 *
 * This file knows neither virtio nor mm, so that it can be tested alone. It
 * enforces one rule above all: while the device may still write to a page, the
 * page does not go back. A batch leaves settle when it was sent and answered as
 * a whole, or when the caller vouches that the device was reset (virtio 1.2,
 * 5.5.6.7: a driver must not use a reported page before the device acknowledged
 * it). Time running out ends nothing, it only says that a reset is due.
 *
 * A transition that the picture does not show is refused with -EPROTO and
 * changes nothing.
 */
#include <linux/compiler.h>
#include <linux/errno.h>
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
 * reactor_init - make a reactor, empty, idle, and without room for a batch
 * @r: the reactor
 * @index: which of several it is, from 0
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
 * reactor_equip - give it room for its batches
 * @r: the reactor, idle
 * @runs: @size entries, owned by the caller; kept until others take their place,
 *	and needed as long as there are batches
 * @size: most blocks in a batch, at least 1
 *
 * Return: 0, or -EPROTO while a batch is under way.
 */
int reactor_equip(struct reactor *r, struct reactor_run *runs, unsigned int size)
{
	if (r->stage != REACTOR_IDLE)
		return -EPROTO;
	r->runs = runs;
	r->size = size;
	return 0;
}

/**
 * reactor_fill - begin a batch
 * @r: the reactor, idle or decanted
 * @now: nanoseconds, on the clock of all calls
 *
 * Return: 0, or -EPROTO while a batch is under way.
 */
int reactor_fill(struct reactor *r, u64 now)
{
	if (r->stage != REACTOR_IDLE && r->stage != REACTOR_DECANT)
		return -EPROTO;
	reactor_enter(r, REACTOR_FILL, now);
	r->blocks = 0;
	r->pages = 0;
	r->nr_runs = 0;
	r->sent = 0;
	r->expired = false;
	r->treated = false;
	r->cycle++;
	return 0;
}

/*
 * Blocks of one pass often come out in the order of their addresses, up or
 * down. Neighbours become one entry: the host then makes one call for both.
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
 * @pages: its length in pages
 *
 * The block must be out of the allocator's hands, and stay so until decant.
 *
 * Return: 0, -ENOSPC when the batch is full, -EPROTO outside fill.
 */
int reactor_add(struct reactor *r, u64 pfn, u64 pages)
{
	if (r->stage != REACTOR_FILL)
		return -EPROTO;
	if (r->blocks == r->size)
		return -ENOSPC;
	if (!reactor_merge(r, pfn, pages))
		r->runs[r->nr_runs++] = (struct reactor_run) { pfn, pages };
	r->blocks++;
	r->pages += pages;
	return 0;
}

/**
 * reactor_react - the batch is complete and goes to the device
 * @r: the reactor, filling, with at least one block
 * @now: nanoseconds
 *
 * Return: 0, or -EPROTO.
 */
int reactor_react(struct reactor *r, u64 now)
{
	if (r->stage != REACTOR_FILL || !r->blocks)
		return -EPROTO;
	reactor_enter(r, REACTOR_REACT, now);
	return 0;
}

/**
 * reactor_sent - a chain of the batch was put on the queue
 * @r: the reactor, reacting, or settling with entries left to send
 * @entries: its length; those of @r->runs that follow @r->sent, at least 1
 *
 * Return: 0, or -EPROTO.
 */
int reactor_sent(struct reactor *r, unsigned int entries)
{
	if (r->stage != REACTOR_REACT && r->stage != REACTOR_SETTLE)
		return -EPROTO;
	if (!entries || entries > reactor_unsent(r))
		return -EPROTO;
	r->sent += entries;
	r->chains++;
	return 0;
}

/**
 * reactor_settle - the batch is the device's now
 * @r: the reactor, reacting
 * @now: nanoseconds
 *
 * What the queue had no room for is sent as room comes, with reactor_sent().
 *
 * Return: 0, or -EPROTO.
 */
int reactor_settle(struct reactor *r, u64 now)
{
	if (r->stage != REACTOR_REACT)
		return -EPROTO;
	reactor_enter(r, REACTOR_SETTLE, now);
	return 0;
}

/**
 * reactor_answer - the device answered a chain, in time or late
 * @r: the reactor, settling
 *
 * Return: chains on the queue still unanswered, or -EPROTO if none was awaited.
 */
int reactor_answer(struct reactor *r)
{
	if (r->stage != REACTOR_SETTLE || !r->chains)
		return -EPROTO;
	return --r->chains;
}

/**
 * reactor_expire - the device did not answer in time
 * @r: the reactor, settling
 *
 * The batch stays where it is: the device may still write to its pages. The
 * caller resets the device and calls reactor_abort(), or, if the answer came
 * before the reset, reactor_decant().
 *
 * Return: 0, -EALREADY if it was said before, -EPROTO if nothing is awaited.
 */
int reactor_expire(struct reactor *r)
{
	if (r->stage != REACTOR_SETTLE || reactor_answered(r))
		return -EPROTO;
	if (r->expired)
		return -EALREADY;
	r->expired = true;
	return 0;
}

/**
 * reactor_decant - give the blocks back, treated
 * @r: the reactor, settling, with all sent and every chain answered
 * @now: nanoseconds
 *
 * Return: 0, or -EPROTO.
 */
int reactor_decant(struct reactor *r, u64 now)
{
	if (r->stage != REACTOR_SETTLE || !reactor_answered(r))
		return -EPROTO;
	r->treated = true;
	reactor_enter(r, REACTOR_DECANT, now);
	return 0;
}

/**
 * reactor_abort - give the blocks back, raw
 * @r: the reactor, reacting (nothing reached the device) or settling
 * @now: nanoseconds
 *
 * While settling the caller vouches that the device was reset: it has no
 * access to the pages any more, whatever it has not answered.
 *
 * Return: 0, or -EPROTO, also for one that reacts with a chain on the queue: it
 * has to settle.
 */
int reactor_abort(struct reactor *r, u64 now)
{
	if (r->stage == REACTOR_REACT ? r->chains : r->stage != REACTOR_SETTLE)
		return -EPROTO;
	r->chains = 0;
	reactor_enter(r, REACTOR_DECANT, now);
	return 0;
}

/**
 * reactor_rest - nothing more to treat
 * @r: the reactor, decanted, or filling and still empty
 * @now: nanoseconds
 *
 * Return: 0, or -EPROTO.
 */
int reactor_rest(struct reactor *r, u64 now)
{
	if (r->stage == REACTOR_FILL && !r->blocks)
		r->cycle--;	/* it never became a batch */
	else if (r->stage != REACTOR_DECANT)
		return -EPROTO;
	reactor_enter(r, REACTOR_IDLE, now);
	return 0;
}

/**
 * reactor_stage_name - the word for a stage, as users see it
 * @stage: the stage
 *
 * Return: a constant string.
 */
const char *reactor_stage_name(enum reactor_stage stage)
{
	return stage < REACTOR_STAGES ? stage_names[stage] : "?";
}
