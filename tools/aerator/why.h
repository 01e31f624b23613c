/* SPDX-License-Identifier: GPL-2.0 */
/* Where the guest's memory is, and why the host still holds it. */
#ifndef WHY_H
#define WHY_H

#include <stdbool.h>
#include <stdint.h>
#include "device.h"
#include "memory.h"
#include "settings.h"

#define WHY_DETAIL	128

/* Parts of the guest's memory. Together they are MemTotal. */
enum why_part {
	WHY_REPORTED,
	WHY_IGNORED,
	WHY_POISONED,
	WHY_NOT_OFFERED,
	WHY_NO_DRIVER,
	WHY_PAUSED,
	WHY_PRESSURE,
	WHY_WINDOW,
	WHY_RESERVE,
	WHY_SHARE,
	WHY_RATE,
	WHY_GOING,
	WHY_UNKNOWN,
	WHY_FRAGMENTS,
	WHY_PARKED,
	WHY_CACHE_CLEAN,
	WHY_CACHE_DIRTY,
	WHY_SHMEM,
	WHY_SLAB_RECLAIMABLE,
	WHY_SLAB,
	WHY_ANON,
	WHY_HUGE,
	WHY_BALLOON,
	WHY_OTHER,
	WHY_PARTS,
};

/* Which reason is told first: see why_rank(). */
enum why_class {
	WHY_GONE,	/* the host does not hold it */
	WHY_BLOCKED,	/* none of it comes back before something is changed */
	WHY_FREEABLE,	/* it could come back */
	WHY_USED,	/* the guest needs it */
	WHY_UNSURE,	/* it cannot be seen whether the host holds it */
};

/**
 * struct why_kind - what is always true of a part
 * @name: its key in JSON
 * @label: for people, at most 40 characters
 * @class: how it counts
 * @reason: why the host holds it, one sentence
 * @advice: what to do about it, one sentence
 */
struct why_kind {
	const char *name;
	const char *label;
	enum why_class class;
	const char *reason;
	const char *advice;
};

extern const struct why_kind why_kinds[WHY_PARTS];

/**
 * struct why - the guest's memory in parts
 * @devices: the balloon devices
 * @device: the one that counts; NULL if there is none
 * @settings: the parameters, if aerator drives it
 * @memory: what /proc says
 * @order: the smallest block that is reported, log2 of pages
 * @poisoned: free pages have a content that the guest depends on
 * @bytes: size of each part; only WHY_OTHER may be below 0, by what changed meanwhile
 * @detail: more about a part, for people; empty for most
 */
struct why {
	struct devices devices;
	const struct device *device;
	struct settings settings;
	struct memory memory;
	unsigned int order;
	bool poisoned;
	int64_t bytes[WHY_PARTS];
	char detail[WHY_PARTS][WHY_DETAIL];
};

int why_read(struct why *why);
void why_divide(struct why *why);
unsigned int why_rank(const struct why *why, enum why_part *order);
int why_print(const struct why *why);
void why_json(const struct why *why);
void why_wrap(const char *head, const char *text, int indent);

#endif /* WHY_H */
