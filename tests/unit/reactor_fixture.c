// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include "reactor_fixture.h"

struct reactor reactor;
struct reactor_run runs[SIZE];
struct departure departures[8];
unsigned int departed;
struct memory before;
unsigned int shim_warnings;

const char * const call_names[CALLS] = {
	[CALL_EQUIP] = "equip",
	[CALL_FILL] = "fill",
	[CALL_ADD] = "add",
	[CALL_REACT] = "react",
	[CALL_SENT] = "sent",
	[CALL_SENT_NONE] = "sent nothing",
	[CALL_SENT_MUCH] = "sent too much",
	[CALL_SETTLE] = "settle",
	[CALL_ANSWER] = "answer",
	[CALL_EXPIRE] = "expire",
	[CALL_DECANT] = "decant",
	[CALL_ABORT] = "abort",
	[CALL_REST] = "rest",
};

const struct way ways[STATES] = {
	[IDLE] = { "idle", REACTOR_IDLE, IDLE, CALL_NONE },
	[FILL_EMPTY] = { "fill, empty", REACTOR_FILL, IDLE, CALL_FILL },
	[FILL_SOME] = { "fill, one", REACTOR_FILL, FILL_EMPTY, CALL_ADD },
	[FILL_MORE] = { "fill, two", REACTOR_FILL, FILL_SOME, CALL_ADD },
	[FILL_MOST] = { "fill, three", REACTOR_FILL, FILL_MORE, CALL_ADD },
	[FILL_FULL] = { "fill, full", REACTOR_FILL, FILL_MOST, CALL_ADD },
	[REACT] = { "react", REACTOR_REACT, FILL_MORE, CALL_REACT },
	[REACT_PART] = { "react, one sent", REACTOR_REACT, REACT, CALL_SENT },
	[REACT_ALL] = { "react, all sent", REACTOR_REACT,
			REACT_PART, CALL_SENT },
	[SETTLE_UNSENT] = { "settle, none sent", REACTOR_SETTLE,
			    REACT, CALL_SETTLE },
	[SETTLE_PART] = { "settle, one sent", REACTOR_SETTLE,
			  REACT_PART, CALL_SETTLE },
	[SETTLE_PART_ANSWERED] = { "settle, one sent and answered",
				   REACTOR_SETTLE, SETTLE_PART, CALL_ANSWER },
	[SETTLE] = { "settle", REACTOR_SETTLE, REACT_ALL, CALL_SETTLE },
	[SETTLE_LAST] = { "settle, one left", REACTOR_SETTLE,
			  SETTLE, CALL_ANSWER },
	[SETTLE_EXPIRED] = { "settle, expired", REACTOR_SETTLE,
			     SETTLE, CALL_EXPIRE },
	[SETTLE_EXPIRED_LAST] = { "settle, expired, one left", REACTOR_SETTLE,
				  SETTLE_EXPIRED, CALL_ANSWER },
	[ANSWERED] = { "settle, answered", REACTOR_SETTLE,
		       SETTLE_LAST, CALL_ANSWER },
	[ANSWERED_LATE] = { "settle, answered late", REACTOR_SETTLE,
			    SETTLE_EXPIRED_LAST, CALL_ANSWER },
	[TREATED] = { "decant, treated", REACTOR_DECANT,
		      ANSWERED, CALL_DECANT },
	[TREATED_LATE] = { "decant, treated late", REACTOR_DECANT,
			   ANSWERED_LATE, CALL_DECANT },
	[RAW] = { "decant, raw", REACTOR_DECANT, SETTLE, CALL_ABORT },
	[RAW_EXPIRED] = { "decant, raw, expired", REACTOR_DECANT,
			  SETTLE_EXPIRED, CALL_ABORT },
	[RAW_UNSENT] = { "decant, never sent", REACTOR_DECANT,
			 REACT, CALL_ABORT },
	[RESTED] = { "idle again", REACTOR_IDLE, TREATED, CALL_REST },
};

void observe(struct reactor *r, enum reactor_stage stage, u64 ns)
{
	departures[departed++ % ARRAY_LEN(departures)] = (struct departure) {
		.from = stage,
		.to = r->stage,
		.ns = ns,
		.cycle = r->cycle,
		.blocks = r->blocks,
		.chains = r->chains,
		.treated = r->treated,
	};
}

void setup(void)
{
	/* Garbage, so that a field that is not set is noticed. */
	memset(&reactor, 0xa5, sizeof(reactor));
	memset(runs, 0xa5, sizeof(runs));
	reactor_init(&reactor, INDEX, RUN_MAX, observe);
	check(!refused(reactor_set_runs(&reactor, runs, SIZE)));
	departed = 0;
}

const struct departure *last_departure(void)
{
	return &departures[(departed - 1) % ARRAY_LEN(departures)];
}

void remember(void)
{
	memcpy(&before.reactor, &reactor, sizeof(reactor));
	memcpy(before.runs, runs, sizeof(runs));
	before.departed = departed;
}

bool unchanged(void)
{
	return !memcmp(&before.reactor, &reactor, sizeof(reactor)) &&
	       !memcmp(before.runs, runs, sizeof(runs)) &&
	       before.departed == departed;
}

/* -EPROTO if it was warned of, -EAGAIN if it said that it did nothing. */
int do_call(enum call call, u64 now)
{
	unsigned int warnings = shim_warnings;
	bool done = true;

	switch (call) {
	case CALL_EQUIP:
		reactor_set_runs(&reactor, runs, SIZE - 1);
		break;
	case CALL_FILL:
		reactor_fill(&reactor, now);
		break;
	case CALL_ADD:
		done = reactor_add(&reactor, BLOCK, BLOCK);
		break;
	case CALL_REACT:
		done = reactor_react(&reactor, now);
		break;
	case CALL_SENT:
		reactor_sent(&reactor, 1);
		break;
	case CALL_SENT_NONE:
		reactor_sent(&reactor, 0);
		break;
	case CALL_SENT_MUCH:
		reactor_sent(&reactor, reactor_unsent(&reactor) + 1);
		break;
	case CALL_SETTLE:
		reactor_settle(&reactor, now);
		break;
	case CALL_ANSWER:
		reactor_answer(&reactor);
		break;
	case CALL_EXPIRE:
		reactor_expire(&reactor);
		break;
	case CALL_DECANT:
		done = reactor_decant(&reactor, now);
		break;
	case CALL_ABORT:
		reactor_abort(&reactor, now);
		break;
	case CALL_REST:
		reactor_rest(&reactor, now);
		break;
	default:
		return -EINVAL;
	}
	if (shim_warnings != warnings)
		return -EPROTO;
	return done ? 0 : -EAGAIN;
}

/* Go from idle into a state, one nanosecond for each call. Returns the time at the end. */
u64 reach(enum state state)
{
	const struct way *way = &ways[state];
	u64 now;

	if (way->call == CALL_NONE) {
		setup();
		return T0;
	}
	now = reach(way->from);
	check_eq(do_call(way->call, now), 0);
	check_eq(reactor.stage, way->stage);
	return now + 1;
}
