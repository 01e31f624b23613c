/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's memory, as /proc shows it. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

/* Lines of /proc/meminfo that are used; all values are in bytes. */
enum memory_line {
	MEMORY_TOTAL,
	MEMORY_FREE,
	MEMORY_AVAILABLE,
	MEMORY_BUFFERS,
	MEMORY_CACHED,
	MEMORY_SHMEM,
	MEMORY_DIRTY,
	MEMORY_WRITEBACK,
	MEMORY_ANON,
	MEMORY_SLAB_RECLAIMABLE,
	MEMORY_SLAB_FIXED,
	MEMORY_HUGETLB,
	MEMORY_LINES,
};

/**
 * struct memory - the guest's memory, bytes
 * @line: values of /proc/meminfo
 * @blocks: free memory in blocks of the order and larger
 * @fragments: free memory in smaller blocks
 * @parked: free memory in the lists of single processors
 * @low: the sum of the zones' low watermarks
 * @ballooned: memory in balloons of any driver, since the boot
 */
struct memory {
	uint64_t line[MEMORY_LINES];
	uint64_t blocks;
	uint64_t fragments;
	uint64_t parked;
	uint64_t low;
	uint64_t ballooned;
};

int memory_read_free(struct memory *memory, unsigned int order);
int memory_read(struct memory *memory, unsigned int order);
unsigned int memory_block_order(void);

#endif /* MEMORY_H */
