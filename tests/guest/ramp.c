// SPDX-License-Identifier: GPL-2.0
/*
 * A service over several days, each of which lasts a minute or so: its memory grows and
 * shrinks with its load, and each request needs some more memory for a moment.
 *
 * The work is the same in each run, including the order in which slices are freed: only the
 * time differs. Steps that are late are not skipped, but follow at once.
 */
#include <stdbool.h>
#include <stdio.h>

#include "common.h"

/* Steps per second: in a day of a minute, each step changes some slices. */
#define STEPS		4
#define HOLD_MS		100
/* One of this many slices, and of this many requests, consists of small pages. */
#define SMALL_SLICE	8
#define SMALL_REQUEST	4

static const char usage[] =
	"usage: ramp LOW_MIB HIGH_MIB REQUEST_MIB SECONDS DAYS\n"
	"         keep from LOW_MIB to HIGH_MIB and back in days of SECONDS each, and\n"
	"         all the time allocate and free about REQUEST_MIB; print how long\n"
	"         touching took in total and in a step, and how long freeing took\n";

struct service {
	char *memory;
	/* Indices of slices in any order: first those in use, then the others. */
	size_t *slices;
	size_t used, room;
	uint64_t random;
	double free_seconds;
	struct times steps;
};

/* xorshift64*: the same sequence in each run. */
static size_t below(struct service *service, size_t limit)
{
	uint64_t x = service->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	service->random = x;
	return (x * 0x2545f4914f6cdd1dULL >> 32) % limit;
}

static char *slice_memory(const struct service *service, size_t index)
{
	return service->memory + service->slices[index] * SLICE_BYTES;
}

static void swap_slices(struct service *service, size_t a, size_t b)
{
	size_t slice = service->slices[a];

	service->slices[a] = service->slices[b];
	service->slices[b] = slice;
}

static double grow(struct service *service)
{
	size_t found = service->used + below(service, service->room - service->used);

	swap_slices(service, found, service->used++);
	return touch(slice_memory(service, service->used - 1), SLICE_BYTES);
}

static void shrink(struct service *service)
{
	double start = now();

	swap_slices(service, below(service, service->used), service->used - 1);
	if (madvise(slice_memory(service, --service->used), SLICE_BYTES, MADV_DONTNEED))
		err(1, "madvise(MADV_DONTNEED)");
	service->free_seconds += now() - start;
}

static double request(struct service *service, size_t mean)
{
	size_t bytes = (mean / 2 + below(service, mean + 1)) * MIB;
	bool small = below(service, SMALL_REQUEST) == 0;
	char *area = map_memory(bytes, small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	double took = touch(area, bytes), start;

	sleep_ms(HOLD_MS);
	start = now();
	munmap(area, bytes);
	service->free_seconds += now() - start;
	return took;
}

/* A smooth curve from low at the ends of a day to high at noon. */
static size_t wanted(double day, size_t low, size_t high)
{
	double part = day - (long)day;
	double x = part < 0.5 ? 2 * part : 2 - 2 * part;

	return low + (high - low) * x * x * (3 - 2 * x);
}

static void open_service(struct service *service, size_t slices)
{
	size_t i;

	service->memory = map_memory(slices * SLICE_BYTES, MADV_HUGEPAGE);
	service->slices = calloc(slices, sizeof(*service->slices));
	if (!service->slices)
		err(1, "%zu slices", slices);
	for (i = 0; i < slices; i++)
		service->slices[i] = i;
	for (i = 0; i < slices; i += SMALL_SLICE)
		if (madvise(service->memory + i * SLICE_BYTES, SLICE_BYTES, MADV_NOHUGEPAGE))
			err(1, "madvise for small pages");
	service->room = slices;
}

static void step(struct service *service, size_t slices, size_t request_mib)
{
	double took = 0;

	while (service->used < slices)
		took += grow(service);
	while (service->used > slices)
		shrink(service);
	add_time(&service->steps, took + request(service, request_mib));
}

static void wait_until(double time)
{
	double left = time - now();

	if (left > 0)
		sleep_ms(left * 1000);
}

int main(int argc, char **argv)
{
	struct service service = { .random = 1 };
	size_t low, high, seconds, steps, i;
	struct times *times = &service.steps;
	double start = now();

	if (argc != 6) {
		fputs(usage, stderr);
		return 2;
	}
	low = number(argv[1]) * MIB / SLICE_BYTES;
	high = number(argv[2]) * MIB / SLICE_BYTES;
	seconds = number(argv[4]);
	steps = seconds * STEPS * number(argv[5]);
	if (!low || low >= high || !steps)
		errx(2, "a day needs a low, a high above it, and a second");
	open_service(&service, high + 1);
	for (i = 0; i < steps; i++) {
		wait_until(start + (double)i / STEPS);
		step(&service, wanted((double)i / STEPS / seconds, low, high), number(argv[3]));
	}
	sort_times(times);
	printf("steps %zu touch_s %.3f p99_ms %.3f max_ms %.3f free_s %.3f\n", times->count,
	       times->total, percentile(times, 99) * 1000,
	       times->took[times->count - 1] * 1000, service.free_seconds);
	return 0;
}
