// SPDX-License-Identifier: GPL-2.0
/* For how long waste has been there: since when it has not been less than half of what it is. */

#include <stdlib.h>
#include <string.h>
#include <stdbool.h>

#include "guest.h"
#include "history.h"
#include "job.h"

#define SAMPLES 512

struct sample {
	long long ms;
	long long waste;	/* bytes */
};

struct record {
	struct record *next;
	char *name;
	bool seen;		/* in this round */
	size_t count;
	struct sample samples[SAMPLES];
};

static struct record *records;

static struct record *record_of(const char *name)
{
	struct record *record;

	for (record = records; record; record = record->next) {
		if (!strcmp(record->name, name))
			return record;
	}
	record = calloc(1, sizeof(*record));
	if (!record)
		abort();
	record->name = strdup(name);
	record->next = records;
	records = record;
	return record;
}

/* Make room: of two samples, that with less waste stays, at the time of the later one. */
static void thin(struct record *record)
{
	size_t i;

	for (i = 0; i < SAMPLES / 2; i++) {
		const struct sample *pair = &record->samples[2 * i];

		record->samples[i].waste = pair[0].waste < pair[1].waste ? pair[0].waste :
					   pair[1].waste;
		record->samples[i].ms = pair[1].ms;
	}
	record->count = SAMPLES / 2;
}

static long long since(const struct record *record, long long waste)
{
	size_t i = record->count;

	while (i && record->samples[i - 1].waste >= waste / 2)
		i--;
	return record->samples[i].ms;
}

static void add(json_t *guest, struct record *record)
{
	long long now = now_ms(), waste;

	/* Not known is no reason to believe that it went: the record ends where it is. */
	if (!guest_get(guest, WASTE, &waste))
		return;
	if (record->count == SAMPLES)
		thin(record);
	record->samples[record->count++] = (struct sample){ now, waste };
	if (waste > 0)
		guest_set(guest, WASTE_SECONDS, (now - since(record, waste)) / 1000);
}

/* Forget guests that have ended: another one may begin with their name. */
static void forget(void)
{
	struct record **place = &records;

	while (*place) {
		struct record *record = *place;

		if (record->seen) {
			record->seen = false;
			place = &record->next;
			continue;
		}
		*place = record->next;
		free(record->name);
		free(record);
	}
}

/**
 * history_add() - Remember the waste of a round, and enter for how long it has been there.
 * @guests: the guests of the round
 */
void history_add(json_t *guests)
{
	json_t *guest;
	size_t index;

	json_array_foreach(guests, index, guest) {
		struct record *record = record_of(guest_name(guest));

		record->seen = true;
		add(guest, record);
	}
	forget();
}
