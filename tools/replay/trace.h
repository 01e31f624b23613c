/* SPDX-License-Identifier: GPL-2.0 */
/* Traces of a guest's free memory. */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <linux/types.h>

/* Amounts are in pages of 4 KiB, whatever the guest's page size is. */
#define TRACE_PAGES_PER_MIB	256

/**
 * struct trace_moment - free memory from a time on
 * @ms: that time
 * @free: all free memory, pages
 * @blocks: pages of @free that are in blocks large enough to be reported
 */
struct trace_moment {
	u64 ms;
	u64 free;
	u64 blocks;
};

/**
 * struct trace - the free memory of a guest over time
 * @moments: in order of time; at least one
 * @nr: number of moments
 */
struct trace {
	struct trace_moment *moments;
	unsigned int nr;
};

int trace_read(struct trace *trace, const char *path);
void trace_free(struct trace *trace);
void trace_optimum(const struct trace *trace, unsigned int refault_ms, double *held,
		   u64 *refaulted);

#endif /* REPLAY_TRACE_H */
