/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is known about a guest: a JSON object, which is also what --json prints. A figure that
 * is not known is null, and a note or an error says why.
 */
#ifndef FLEET_GUEST_H
#define FLEET_GUEST_H

#include <jansson.h>
#include <stdbool.h>

#include "compiler.h"

/* Keys of figures. */
#define CONFIGURED "configured_bytes"
#define ACTUAL "actual_bytes"
#define GUEST_FREE "guest_free_bytes"
#define GUEST_USED "guest_used_bytes"
#define HOST "host_bytes"
#define HOST_SWAP "host_swap_bytes"
#define HOST_CACHE "host_cache_bytes"
#define WASTE "waste_bytes"
#define WASTE_SECONDS "waste_seconds"
#define STATISTICS_AGE "statistics_age_seconds"
#define STATISTICS_PERIOD "statistics_period_seconds"

json_t *guest_new(const char *name, const char *source);
const char *guest_name(const json_t *guest);

bool guest_get(const json_t *guest, const char *key, long long *value);
void guest_set(json_t *guest, const char *key, long long value);

/* Whether the host offers free page reporting: 1, 0, or -1 if that is not known. */
int guest_reporting(const json_t *guest);

/* A reason why a figure is not known: as a note if all works, or as an error. */
__printf(2, 3)
void guest_note(json_t *guest, const char *format, ...);
__printf(2, 3)
void guest_error(json_t *guest, const char *format, ...);

/* Enter what a source says of the guest's statistics: their time, and the free memory. */
struct statistics {
	bool has_free;
	long long free;		/* bytes */
	long long update;	/* seconds since 1970; 0: the guest has sent none */
	long long period;	/* seconds; 0: the host does not ask for them */
};

void guest_statistics(json_t *guest, const struct statistics *from);

void guest_finish(json_t *guest);
json_t *guests_sorted(json_t *guests);
json_t *guests_total(const json_t *guests);
bool guests_failed(const json_t *guests);

#endif
