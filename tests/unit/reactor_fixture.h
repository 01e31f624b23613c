/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One reactor, the calls of its observer, and the way into each of its states.
 */
#ifndef UNIT_REACTOR_FIXTURE_H
#define UNIT_REACTOR_FIXTURE_H

#include <linux/bug.h>
#include "check.h"
#include "reactor.h"

#define SIZE		4
#define BLOCK		512ULL
#define RUN_MAX		(3 * BLOCK)

#define INDEX		3

/* Beyond 32 bits, so that a truncated time is noticed. */
#define T0		(7ULL << 32)

struct departure {
	enum reactor_stage from;
	enum reactor_stage to;
	u64 ns;
	u64 cycle;
	unsigned int blocks;
	unsigned int chains;
	bool treated;
};

extern struct reactor reactor;
extern struct reactor_run runs[SIZE];
extern struct departure departures[8];
extern unsigned int departed;

/* Was the kernel warned of that call? */
#define refused(_call)							\
({									\
	unsigned int _before = shim_warnings;				\
									\
	_call;								\
	shim_warnings != _before;					\
})

/* A copy of all state, which a refused call must leave unchanged, byte by byte. */
struct memory {
	struct reactor reactor;
	struct reactor_run runs[SIZE];
	unsigned int departed;
};

extern struct memory before;

enum call {
	CALL_NONE,
	CALL_EQUIP,
	CALL_FILL,
	CALL_ADD,
	CALL_REACT,
	CALL_SENT,
	CALL_SENT_NONE,
	CALL_SENT_MUCH,
	CALL_SETTLE,
	CALL_ANSWER,
	CALL_EXPIRE,
	CALL_DECANT,
	CALL_ABORT,
	CALL_REST,
	CALLS
};

extern const char * const call_names[CALLS];

/* A stage has several states, which differ in the calls that are allowed. */
enum state {
	IDLE,
	FILL_EMPTY,
	FILL_SOME,
	FILL_MORE,
	FILL_MOST,
	FILL_FULL,
	REACT,
	REACT_PART,
	REACT_ALL,
	SETTLE_UNSENT,
	SETTLE_PART,
	SETTLE_PART_ANSWERED,
	SETTLE,
	SETTLE_LAST,
	SETTLE_EXPIRED,
	SETTLE_EXPIRED_LAST,
	ANSWERED,
	ANSWERED_LATE,
	TREATED,
	TREATED_LATE,
	RAW,
	RAW_EXPIRED,
	RAW_UNSENT,
	RESTED,
	STATES
};

/* Each state is one call away from another state. Batches that react have two entries. */
struct way {
	const char *name;
	enum reactor_stage stage;
	enum state from;
	enum call call;
};

extern const struct way ways[STATES];

void observe(struct reactor *r, enum reactor_stage stage, u64 ns);
void setup(void);
const struct departure *last_departure(void);
void remember(void);
bool unchanged(void);
int do_call(enum call call, u64 now);
u64 reach(enum state state);

#endif /* UNIT_REACTOR_FIXTURE_H */
