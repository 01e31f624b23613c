/* SPDX-License-Identifier: GPL-2.0 */
/* Traces of a guest's free memory. */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <linux/types.h>

/* Amounts are in pages of 4 KiB, whatever the guest has. */
#define TRACE_PAGES_PER_MIB	256

/**
 * struct trace_moment - from a time on, so much is free
 * @ms: that time
 * @free: all free memory, pages
 * @blocks: of it, in blocks that are large enough to be reported
 */
struct trace_moment {
	u64 ms;
	u64 free;
	u64 blocks;
};

/**
 * struct trace - what a guest did
 * @moments: in order of time; one at least
 * @nr: how many
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
