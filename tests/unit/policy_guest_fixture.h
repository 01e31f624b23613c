/* SPDX-License-Identifier: GPL-2.0 */
/* The model of tools/replay as a guest for tests of the policy. */
#ifndef UNIT_POLICY_GUEST_FIXTURE_H
#define UNIT_POLICY_GUEST_FIXTURE_H

#include <linux/limits.h>
#include <linux/minmax.h>
#include "check.h"
#include "model.h"

#define MIB(_n)		((u64)(_n) << 8)
#define MINUTE		60000ULL

/* The time of the model's callers begins at 0; all free memory is in blocks. */
static struct model guest;
static u64 clock_ms;

/* Boot, and bind the driver; all free memory is treated. */
static inline void guest_start(enum model_driver driver, enum model_intake intake, u64 free)
{
	model_stop(&guest);
	guest = (struct model) {
		.driver = driver, .intake = intake,
		.limits = {
			.window_ms = POLICY_WINDOW_AUTO, .refault_ms = 2000, .cap = U64_MAX,
		},
	};
	model_start(&guest, free, free);
	clock_ms = 0;
}

/* Let time pass. */
static inline void guest_pass(u64 ms)
{
	clock_ms += ms;
	model_until(&guest, clock_ms);
}

/* Change free memory now. */
static inline void guest_set(u64 free)
{
	model_change(&guest, clock_ms, free, free);
}

/* Allocate memory bit by bit, until this much is free. */
static inline void guest_touch(u64 free, unsigned int ms)
{
	const unsigned int parts = 16;
	u64 from = guest.blocks;

	for (unsigned int i = 1; i <= parts; i++) {
		guest_pass(ms / parts);
		guest_set(from - (from - free) * i / parts);
	}
}

static const char * const intakes[] = {
	[MODEL_TREATED] = "treated", [MODEL_REPORTING] = "reporting",
};

#define for_each_intake(_in)						\
	for (enum model_intake _in = MODEL_TREATED; _in <= MODEL_REPORTING; _in++)

#endif /* UNIT_POLICY_GUEST_FIXTURE_H */
