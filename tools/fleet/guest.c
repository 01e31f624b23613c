// SPDX-License-Identifier: GPL-2.0
/* What is known about a guest, and what follows from it. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler.h"
#include "guest.h"

/*
 * Statistics are used up to this age, or to an age of some periods: a guest whose driver was
 * unloaded, or that is paused, sends none, and its old ones are wrong by now.
 */
#define FRESH_SECONDS 60
#define FRESH_PERIODS 3

static const char *const figures[] = {
	CONFIGURED, ACTUAL, GUEST_FREE, GUEST_USED, HOST, HOST_SWAP, HOST_CACHE, WASTE,
	WASTE_SECONDS, STATISTICS_AGE, STATISTICS_PERIOD,
};

/* The figures of which a sum over all guests is of use. */
static const char *const summed[] = {
	CONFIGURED, ACTUAL, GUEST_FREE, GUEST_USED, HOST, HOST_SWAP, HOST_CACHE, WASTE,
};

/**
 * guest_new() - Make a guest of which no figure is known yet.
 * @name: the name, for people; not necessarily unique
 * @source: what the figures come from: "qmp" or "libvirt"
 *
 * Return: the object; its keys have the order in which --json prints them.
 */
json_t *guest_new(const char *name, const char *source)
{
	json_t *guest = json_pack("{s:s, s:s}", "name", name, "source", source);
	size_t i;

	if (!guest)
		guest = json_pack("{s:s, s:s}", "name", "(not UTF-8)", "source", source);
	for (i = 0; i < ARRAY_SIZE(figures); i++)
		json_object_set_new(guest, figures[i], json_null());
	json_object_set_new(guest, "reporting", json_null());
	json_object_set_new(guest, "notes", json_array());
	json_object_set_new(guest, "errors", json_array());
	return guest;
}

/**
 * guest_name() - The name of a guest.
 * @guest: the guest
 *
 * Return: the name, which lives as long as the guest.
 */
const char *guest_name(const json_t *guest)
{
	return json_string_value(json_object_get(guest, "name"));
}

/**
 * guest_get() - Get a figure.
 * @guest: the guest
 * @key: the key of the figure
 * @value: where the figure is stored, if it is known
 *
 * Return: whether the figure is known.
 */
bool guest_get(const json_t *guest, const char *key, long long *value)
{
	const json_t *found = json_object_get(guest, key);

	if (!json_is_integer(found))
		return false;
	*value = json_integer_value(found);
	return true;
}

/**
 * guest_set() - Set a figure.
 * @guest: the guest
 * @key: the key of the figure
 * @value: the figure: bytes or seconds, as the key says
 */
void guest_set(json_t *guest, const char *key, long long value)
{
	json_object_set_new(guest, key, json_integer(value));
}

/**
 * guest_reporting() - Whether the host offers free page reporting to the guest.
 * @guest: the guest
 *
 * Return: 1 if it does, 0 if not, -1 if that is not known.
 */
int guest_reporting(const json_t *guest)
{
	const json_t *reporting = json_object_get(guest, "reporting");

	return json_is_boolean(reporting) ? json_is_true(reporting) : -1;
}

static void append(json_t *list, const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		return;
	json_array_append_new(list, json_string(text));
	free(text);
}

/**
 * guest_note() - Add a note: what it says is the guest's or the host's configuration.
 * @guest: the guest
 * @format: the note, without the guest's name
 */
void guest_note(json_t *guest, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	append(json_object_get(guest, "notes"), format, arguments);
	va_end(arguments);
}

/**
 * guest_error() - Add an error: something did not work, and the exit status tells it.
 * @guest: the guest
 * @format: the error, without the guest's name
 */
void guest_error(json_t *guest, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	append(json_object_get(guest, "errors"), format, arguments);
	va_end(arguments);
}

/* Whether the statistics can be used; if not, a note says why. */
static bool usable(json_t *guest, const struct statistics *from, long long age)
{
	if (!from->update) {
		if (from->period)
			guest_note(guest,
				   "the guest has sent no statistics yet: ask again in %lld s, or its balloon driver is missing",
				   from->period);
		else
			guest_note(guest, "statistics are off: --poll 5 turns them on");
		return false;
	}
	if (age > FRESH_SECONDS && age > FRESH_PERIODS * from->period) {
		guest_note(guest, "statistics of the guest are %lld s old%s", age,
			   from->period ? ": its balloon driver is missing, or it is paused"
					: ", and off: --poll 5 turns them on");
		return false;
	}
	if (!from->has_free)
		guest_note(guest, "the guest does not say how much memory is free");
	return from->has_free;
}

/**
 * guest_statistics() - Enter the guest's statistics, or say why they cannot be used.
 * @guest: the guest
 * @from: the statistics
 */
void guest_statistics(json_t *guest, const struct statistics *from)
{
	long long age = time(NULL) - from->update;

	if (age < 0)
		age = 0;
	guest_set(guest, STATISTICS_PERIOD, from->period);
	if (from->update)
		guest_set(guest, STATISTICS_AGE, age);
	if (usable(guest, from, age))
		guest_set(guest, GUEST_FREE, from->free);
}

/**
 * guest_finish() - Calculate what follows from the figures of the sources.
 * @guest: the guest
 *
 * Waste is less than 0 for a guest that has not touched all of its memory yet.
 */
void guest_finish(json_t *guest)
{
	long long actual, unused, host;

	if (!guest_get(guest, ACTUAL, &actual) || !guest_get(guest, GUEST_FREE, &unused))
		return;
	if (unused > actual) {
		guest_error(guest, "more memory is free (%lld) than the guest has (%lld)",
			    unused, actual);
		json_object_set_new(guest, GUEST_FREE, json_null());
		return;
	}
	guest_set(guest, GUEST_USED, actual - unused);
	if (guest_get(guest, HOST, &host))
		guest_set(guest, WASTE, host - (actual - unused));
}

/* The largest waste first, then guests whose waste is not known, by name. */
static int by_waste(const void *left, const void *right)
{
	json_t *const *a = left, *const *b = right;
	long long more = 0, less = 0;
	bool known = guest_get(*a, WASTE, &more);

	if (known != guest_get(*b, WASTE, &less))
		return known ? -1 : 1;
	if (more != less)
		return more > less ? -1 : 1;
	return strcmp(guest_name(*a), guest_name(*b));
}

/**
 * guests_sorted() - Sort guests: the largest waste first.
 * @guests: an array of guests
 *
 * Return: a new array with the same guests.
 */
json_t *guests_sorted(json_t *guests)
{
	size_t count = json_array_size(guests), i;
	json_t **list = calloc(count + 1, sizeof(*list));
	json_t *sorted = json_array();

	for (i = 0; list && i < count; i++)
		list[i] = json_array_get(guests, i);
	if (list)
		qsort(list, count, sizeof(*list), by_waste);
	for (i = 0; list && i < count; i++)
		json_array_append(sorted, list[i]);
	free(list);
	return sorted;
}

/**
 * guests_total() - Add up the figures of all guests.
 * @guests: an array of guests
 *
 * Return: an object with the sums of what is known, null where no guest's figure is known, and
 * "incomplete": the number of guests of which at least one figure is not.
 */
json_t *guests_total(const json_t *guests)
{
	json_t *total = json_object(), *guest;
	size_t index, i, incomplete = 0;

	for (i = 0; i < ARRAY_SIZE(summed); i++)
		json_object_set_new(total, summed[i], json_null());
	json_array_foreach(guests, index, guest) {
		bool complete = true;

		for (i = 0; i < ARRAY_SIZE(summed); i++) {
			long long sum = 0, value;

			if (!guest_get(guest, summed[i], &value)) {
				complete = false;
				continue;
			}
			guest_get(total, summed[i], &sum);
			guest_set(total, summed[i], sum + value);
		}
		incomplete += !complete;
	}
	json_object_set_new(total, "guests", json_integer(json_array_size(guests)));
	json_object_set_new(total, "incomplete", json_integer(incomplete));
	return total;
}

/**
 * guests_failed() - Whether any guest has an error.
 * @guests: an array of guests
 *
 * Return: true if so.
 */
bool guests_failed(const json_t *guests)
{
	json_t *guest;
	size_t index;

	json_array_foreach(guests, index, guest) {
		if (json_array_size(json_object_get(guest, "errors")))
			return true;
	}
	return false;
}
