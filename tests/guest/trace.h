/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A trace of free memory: lines "MS MIB", and comments.
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

/* Returns the number of lines; @most is set to the largest amount of free memory. */
static inline size_t read_moments(const char *path, struct moment **moments, size_t *most)
{
	FILE *file = fopen(path, "r");
	double ms, mib;
	char line[128];
	size_t nr = 0;

	if (!file)
		err(1, "%s", path);
	*moments = NULL;
	while (fgets(line, sizeof(line), file)) {
		if (*line == '#')
			continue;
		*moments = realloc(*moments, (nr + 1) * sizeof(**moments));
		if (!*moments || sscanf(line, "%lf %lf", &ms, &mib) != 2)
			errx(2, "%s: not \"MS MIB\": %s", path, line);
		(*moments)[nr].seconds = ms / 1000;
		(*moments)[nr].bytes = (size_t)(mib * MIB) / SLICE_BYTES * SLICE_BYTES;
		if ((*moments)[nr++].bytes > *most)
			*most = (*moments)[nr - 1].bytes;
	}
	fclose(file);
	return nr;
}

#endif /* GUEST_TRACE_H */
