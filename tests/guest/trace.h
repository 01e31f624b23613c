/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A trace of free memory: lines "MS MIB", and comments; and a program that follows it.
 */
#ifndef GUEST_TRACE_H
#define GUEST_TRACE_H

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"

struct moment {
	double seconds;
	size_t bytes;
};

/* A list of moments, which grows. */
struct moments {
	struct moment *list;
	size_t nr;
};

static inline void add_moment(struct moments *moments, double seconds, size_t bytes)
{
	moments->list = realloc(moments->list, (moments->nr + 1) * sizeof(*moments->list));
	if (!moments->list)
		err(1, "%zu moments", moments->nr + 1);
	moments->list[moments->nr++] = (struct moment) { seconds, bytes };
}

/* Add a moment for each line; @most is set to the largest amount of free memory. */
static inline void read_moments(const char *path, struct moments *moments, size_t *most)
{
	FILE *file = fopen(path, "r");
	double ms, mib;
	char line[128];
	size_t bytes;

	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		if (*line == '#')
			continue;
		if (sscanf(line, "%lf %lf", &ms, &mib) != 2)
			errx(2, "%s: not \"MS MIB\": %s", path, line);
		bytes = (size_t)(mib * MIB) / SLICE_BYTES * SLICE_BYTES;
		add_moment(moments, ms / 1000, bytes);
		if (bytes > *most)
			*most = bytes;
	}
	fclose(file);
}

/* Memory that takes long to touch is in use bit by bit: a moment for each step of it. */
#define FOLLOW_STEP	(4 * SLICE_BYTES)

struct follower {
	char *area;
	size_t most, used;
	double start;
	struct moments followed;
};

static inline void follow_by(struct follower *f, size_t bytes)
{
	touch(f->area + f->used, bytes);
	f->used += bytes;
	add_moment(&f->followed, now() - f->start, f->most - f->used);
}

/* A line that is late, because touching took too long, is followed at once. */
static inline void follow_line(struct follower *f, const struct moment *line)
{
	double early = f->start + line->seconds - now();
	size_t wanted = f->most - line->bytes;

	if (early > 0)
		sleep_ms(early * 1000);
	while (f->used + FOLLOW_STEP < wanted)
		follow_by(f, FOLLOW_STEP);
	if (f->used < wanted)
		follow_by(f, wanted - f->used);
	if (f->used == wanted)
		return;
	if (madvise(f->area + wanted, f->used - wanted, MADV_DONTNEED))
		err(1, "madvise(MADV_DONTNEED)");
	f->used = wanted;
	add_moment(&f->followed, now() - f->start, line->bytes);
}

/*
 * Take and free memory as a trace says, and print how that went, as a trace. A
 * comment before it has the time of its beginning, in seconds since the boot.
 */
static inline int follow(const char *path, int page_advice)
{
	struct follower f = {};
	struct moments lines = {};
	size_t i;

	read_moments(path, &lines, &f.most);
	f.area = map_memory(f.most, page_advice);
	f.start = now();
	add_moment(&f.followed, 0, f.most);
	for (i = 0; i < lines.nr; i++)
		follow_line(&f, &lines.list[i]);
	printf("# began %.3f\n", f.start);
	for (i = 0; i < f.followed.nr; i++)
		printf("%.0f %.3f\n", 1000 * f.followed.list[i].seconds,
		       (double)f.followed.list[i].bytes / MIB);
	return 0;
}

#endif /* GUEST_TRACE_H */
