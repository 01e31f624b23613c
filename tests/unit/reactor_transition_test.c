// SPDX-License-Identifier: GPL-2.0
/* The reactor: every function in every stage, and the observer's calls of a cycle. */
#include <errno.h>
#include <string.h>
#include "reactor_fixture.h"

/* The outcome of a call. All zero: the call is refused, with a warning. */
struct outcome {
	enum { REFUSED, NOTHING, STAYS, MOVES } kind;
	int ret;
	enum reactor_stage to;
};

#define TO(_stage)	{ MOVES, 0, REACTOR_ ## _stage }
#define DONE		{ STAYS, 0, 0 }
#define NO_CHANGE	{ NOTHING, 0, 0 }
#define NOT_NOW		{ NOTHING, -EAGAIN, 0 }

static const struct outcome outcomes[STATES][CALLS] = {
	[IDLE] = {
		[CALL_EQUIP] = DONE,
		[CALL_FILL] = TO(FILL),
	},
	[FILL_EMPTY] = {
		[CALL_ADD] = DONE,
		[CALL_REST] = TO(IDLE),
	},
	[FILL_SOME] = {
		[CALL_ADD] = DONE,
		[CALL_REACT] = TO(REACT),
	},
	[FILL_MORE] = {
		[CALL_ADD] = DONE,
		[CALL_REACT] = TO(REACT),
	},
	[FILL_MOST] = {
		[CALL_ADD] = DONE,
		[CALL_REACT] = TO(REACT),
	},
	[FILL_FULL] = {
		[CALL_ADD] = NOT_NOW,
		[CALL_REACT] = TO(REACT),
	},
	[REACT] = {
		[CALL_SENT] = DONE,
		[CALL_SETTLE] = TO(SETTLE),
		[CALL_ABORT] = TO(DECANT),
	},
	[REACT_PART] = {
		[CALL_SENT] = DONE,
		[CALL_SETTLE] = TO(SETTLE),
	},
	[REACT_ALL] = { [CALL_SETTLE] = TO(SETTLE) },
	[SETTLE_UNSENT] = {
		[CALL_SENT] = DONE,
		[CALL_EXPIRE] = DONE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[SETTLE_PART] = {
		[CALL_SENT] = DONE,
		[CALL_ANSWER] = DONE,
		[CALL_EXPIRE] = DONE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[SETTLE_PART_ANSWERED] = {
		[CALL_SENT] = DONE,
		[CALL_EXPIRE] = DONE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[SETTLE] = {
		[CALL_ANSWER] = DONE,
		[CALL_EXPIRE] = DONE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[SETTLE_LAST] = {
		[CALL_ANSWER] = DONE,
		[CALL_EXPIRE] = DONE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[SETTLE_EXPIRED] = {
		[CALL_ANSWER] = DONE,
		[CALL_EXPIRE] = NO_CHANGE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[SETTLE_EXPIRED_LAST] = {
		[CALL_ANSWER] = DONE,
		[CALL_EXPIRE] = NO_CHANGE,
		[CALL_DECANT] = NOT_NOW,
		[CALL_ABORT] = TO(DECANT),
	},
	[ANSWERED] = {
		[CALL_DECANT] = TO(DECANT),
		[CALL_ABORT] = TO(DECANT),
	},
	[ANSWERED_LATE] = {
		[CALL_DECANT] = TO(DECANT),
		[CALL_ABORT] = TO(DECANT),
	},
	[TREATED] = {
		[CALL_FILL] = TO(FILL),
		[CALL_REST] = TO(IDLE),
	},
	[TREATED_LATE] = {
		[CALL_FILL] = TO(FILL),
		[CALL_REST] = TO(IDLE),
	},
	[RAW] = {
		[CALL_FILL] = TO(FILL),
		[CALL_REST] = TO(IDLE),
	},
	[RAW_EXPIRED] = {
		[CALL_FILL] = TO(FILL),
		[CALL_REST] = TO(IDLE),
	},
	[RAW_UNSENT] = {
		[CALL_FILL] = TO(FILL),
		[CALL_REST] = TO(IDLE),
	},
	[RESTED] = {
		[CALL_EQUIP] = DONE,
		[CALL_FILL] = TO(FILL),
	},
};

static void check_move(const struct outcome *want, enum reactor_stage from,
		       u64 since, u64 now)
{
	const struct departure *last;

	check_eq(reactor.stage, want->to);
	check_eq(reactor.since, now);
	check_eq(departed, before.departed + 1);
	last = last_departure();
	check_eq(last->from, from);
	check_eq(last->to, want->to);
	check_eq(last->ns, now - since);
}

static void check_stay(enum reactor_stage stage, u64 since)
{
	check(!unchanged());
	check_eq(reactor.stage, stage);
	check_eq(reactor.since, since);
	check_eq(departed, before.departed);
}

static void check_outcome(enum state state, enum call call)
{
	const struct outcome *want = &outcomes[state][call];
	u64 now = reach(state) + 1000;
	u64 since = reactor.since;
	int ret;

	check_note("%s in %s", call_names[call], ways[state].name);
	remember();
	ret = do_call(call, now);
	switch (want->kind) {
	case REFUSED:
		check_eq(ret, -EPROTO);
		check(unchanged());
		break;
	case NOTHING:
		check_eq(ret, want->ret);
		check(unchanged());
		break;
	case STAYS:
		check_eq(ret, want->ret);
		check_stay(ways[state].stage, since);
		break;
	case MOVES:
		check_eq(ret, 0);
		check_move(want, ways[state].stage, since, now);
		break;
	}
}

TEST(reactor_every_call_in_every_stage)
{
	for (enum state state = 0; state < STATES; state++)
		for (enum call call = CALL_NONE + 1; call < CALLS; call++)
			check_outcome(state, call);
}

/*
 * The beginning.
 */
TEST(reactor_init_is_idle_and_empty)
{
	setup();
	check_eq(reactor.index, INDEX);
	check_eq(reactor.stage, REACTOR_IDLE);
	check_eq(reactor.size, SIZE);
	check_eq(reactor.run_max, RUN_MAX);
	check(reactor.runs == runs);
	check(reactor.left == observe);
	check_eq(reactor.blocks, 0);
	check_eq(reactor.pages, 0);
	check_eq(reactor.nr_runs, 0);
	check_eq(reactor.sent, 0);
	check_eq(reactor.chains, 0);
	check(!reactor.expired);
	check(!reactor.treated);
	check_eq(reactor.cycle, 0);
	check_eq(reactor.since, 0);
	check_eq(departed, 0);
}

/*
 * Cycles, and the observer's calls.
 */
static const struct departure full_cycle[] = {
	{ REACTOR_IDLE, REACTOR_FILL, T0, 0, 0, 0, false },
	{ REACTOR_FILL, REACTOR_REACT, 10, 1, 2, 0, false },
	{ REACTOR_REACT, REACTOR_SETTLE, 200, 1, 2, 1, false },
	{ REACTOR_SETTLE, REACTOR_DECANT, 5ULL << 32, 1, 2, 0, true },
	{ REACTOR_DECANT, REACTOR_IDLE, 4000, 1, 2, 0, true },
};

static void check_departure(const struct departure *got,
			    const struct departure *want)
{
	check_eq(got->from, want->from);
	check_eq(got->to, want->to);
	check_eq(got->ns, want->ns);
	check_eq(got->cycle, want->cycle);
	check_eq(got->blocks, want->blocks);
	check_eq(got->chains, want->chains);
	check_eq(got->treated, want->treated);
}

TEST(reactor_cycle_passes_the_stages_in_order)
{
	u64 now = T0;
	unsigned int i;

	setup();
	check(!refused(reactor_fill(&reactor, now)));
	check(reactor_add(&reactor, 0, BLOCK));
	check(reactor_add(&reactor, 8 * BLOCK, BLOCK));
	check(reactor_react(&reactor, now += 10));
	check(!refused(reactor_sent(&reactor, 2)));
	check(!refused(reactor_settle(&reactor, now += 200)));
	check(!refused(reactor_answer(&reactor)));
	check_eq(reactor.chains, 0);
	check(reactor_decant(&reactor, now += 5ULL << 32));
	check(!refused(reactor_rest(&reactor, now += 4000)));

	check_eq(departed, ARRAY_LEN(full_cycle));
	for (i = 0; i < ARRAY_LEN(full_cycle); i++) {
		check_note("departure %u", i);
		check_departure(&departures[i], &full_cycle[i]);
	}
}

/* At the end of a batch, the observer sees that batch, not the next one. */
TEST(reactor_decant_is_told_with_its_own_batch)
{
	u64 now = reach(TREATED);

	check(!refused(reactor_fill(&reactor, now)));
	check_departure(last_departure(),
			&(struct departure) {
				.from = REACTOR_DECANT, .to = REACTOR_FILL,
				.ns = 1, .cycle = 1, .blocks = 2,
				.treated = true,
			});
}

static void check_fresh_batch(u64 cycle)
{
	check_eq(reactor.stage, REACTOR_FILL);
	check_eq(reactor.blocks, 0);
	check_eq(reactor.pages, 0);
	check_eq(reactor.nr_runs, 0);
	check_eq(reactor.sent, 0);
	check_eq(reactor.sent, 0);
	check_eq(reactor.chains, 0);
	check(!reactor.expired);
	check(!reactor.treated);
	check_eq(reactor.cycle, cycle);
}

/* A fill starts from scratch, however the last batch ended. */
TEST(reactor_fill_begins_afresh)
{
	static const enum state froms[] = {
		TREATED, TREATED_LATE, RAW, RAW_EXPIRED, RAW_UNSENT, RESTED,
	};

	for (unsigned int i = 0; i < ARRAY_LEN(froms); i++) {
		u64 now = reach(froms[i]);

		check_note("from %s", ways[froms[i]].name);
		check(!refused(reactor_fill(&reactor, now)));
		check_fresh_batch(2);
	}
	check_note("the first");
	reach(FILL_EMPTY);
	check_fresh_batch(1);
}

/* The first block of a new batch does not merge with an entry of the last batch. */
TEST(reactor_fill_does_not_merge_with_the_last_batch)
{
	u64 now = reach(TREATED);

	check(!refused(reactor_fill(&reactor, now)));
	check(reactor_add(&reactor, 2 * BLOCK, BLOCK));
	check_eq(reactor.nr_runs, 1);
	check_eq(runs[0].pfn, 2 * BLOCK);
	check_eq(runs[0].pages, BLOCK);
}

TEST(reactor_needs_no_observer)
{
	u64 now = T0;

	setup();
	reactor_init(&reactor, INDEX, RUN_MAX, NULL);
	check(!refused(reactor_set_runs(&reactor, runs, SIZE)));
	check(!refused(reactor_fill(&reactor, now)));
	check(reactor_add(&reactor, 0, BLOCK));
	check(reactor_react(&reactor, now));
	check(!refused(reactor_abort(&reactor, now)));
	check(!refused(reactor_rest(&reactor, now)));
	check_eq(departed, 0);
}

/* A pass without blocks must not use up a cycle number. */
TEST(reactor_empty_fill_is_no_cycle)
{
	u64 now = reach(TREATED);

	check_eq(reactor.cycle, 1);
	check(!refused(reactor_fill(&reactor, now)));
	check_eq(reactor.cycle, 2);
	check(!refused(reactor_rest(&reactor, now)));
	check_eq(reactor.cycle, 1);

	check(!refused(reactor_fill(&reactor, now)));
	check_eq(reactor.cycle, 2);
}

TEST(reactor_rest_keeps_a_cycle_that_was_one)
{
	u64 now = reach(RAW);

	check(!refused(reactor_rest(&reactor, now)));
	check_eq(reactor.cycle, 1);
}

TEST(reactor_names_its_stages)
{
	static const char * const names[] = {
		"idle", "fill", "react", "settle", "decant", "?", "?",
	};

	for (unsigned int i = 0; i < ARRAY_LEN(names); i++) {
		check_note("stage %u", i);
		check(!strcmp(reactor_stage_name(i), names[i]));
	}
	check(!strcmp(reactor_stage_name(-1), "?"));
}
