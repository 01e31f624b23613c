/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions of the programs that use memory inside a guest.
 */
#ifndef GUEST_COMMON_H
#define GUEST_COMMON_H

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define PAGE_BYTES	4096UL
/* The size of an x86 huge page: dropping a slice frees a whole huge page. */
#define SLICE_BYTES	(2 * MIB)

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline void sleep_ms(unsigned long ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = (ms % 1000) * 1000000,
	};

	nanosleep(&ts, NULL);
}

static inline unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		errx(2, "not a number: %s", text);
	return value;
}

/* Map memory aligned to SLICE_BYTES, so that huge pages cover all of it. */
static inline void *map_memory(size_t bytes, int page_advice)
{
	size_t room = bytes + SLICE_BYTES;
	uintptr_t raw, start;
	void *area;

	area = mmap(NULL, room, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		err(1, "mmap of %zu MiB", bytes / MIB);

	raw = (uintptr_t)area;
	start = (raw + SLICE_BYTES - 1) & ~(SLICE_BYTES - 1);
	if (start > raw)
		munmap(area, start - raw);
	if (raw + room > start + bytes)
		munmap((void *)(start + bytes), raw + room - start - bytes);

	/* EINVAL: a kernel without huge pages (PREEMPT_RT). */
	if (madvise((void *)start, bytes, page_advice) && errno != EINVAL)
		err(1, "madvise for the page size");
	return (void *)start;
}

/* Write a value that is not zero and differs between pages: no zero page, nothing for KSM. */
static inline double touch(char *area, size_t bytes)
{
	double start = now();
	size_t at;

	for (at = 0; at < bytes; at += PAGE_BYTES)
		*(volatile uint64_t *)(area + at) = (uintptr_t)(area + at);
	return now() - start;
}

/* Durations, in seconds. */
struct times {
	double *took;
	size_t count, room;
	double total;
};

static inline void add_time(struct times *times, double took)
{
	if (times->count == times->room) {
		times->room = times->room ? times->room * 2 : 256;
		times->took = realloc(times->took, times->room * sizeof(*times->took));
		if (!times->took)
			err(1, "%zu times", times->room);
	}
	times->took[times->count++] = took;
	times->total += took;
}

static inline int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline void sort_times(struct times *times)
{
	qsort(times->took, times->count, sizeof(*times->took), compare_times);
}

/* The smallest time that @percent of all times do not exceed; the times are sorted. */
static inline double percentile(const struct times *times, unsigned int percent)
{
	return times->took[(times->count * percent + 99) / 100 - 1];
}

#endif
