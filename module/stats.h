/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_STATS_H
#define AERATOR_STATS_H

#include <linux/atomic.h>

/**
 * struct aerator_stats - counters of a device, since it was bound
 * @cycles: batches that went through all stages, treated or not
 * @reported_bytes: memory that the host acknowledged, bytes
 * @reported_blocks: the same in blocks of the allocator
 * @chains: descriptor chains put on the reporting queue
 * @kicks: kicks of the reporting queue
 * @interrupts: interrupts of the reporting queue
 * @settle_timeouts: number of timeouts while batches were in flight
 * @errors: batches that went back raw, for any reason
 *
 * Written by the work item that runs the stages, @interrupts by the interrupt handler of
 * the queue; read in any context.
 */
struct aerator_stats {
	atomic64_t cycles;
	atomic64_t reported_bytes;
	atomic64_t reported_blocks;
	atomic64_t chains;
	atomic64_t kicks;
	atomic64_t interrupts;
	atomic64_t settle_timeouts;
	atomic64_t errors;
};

#endif /* AERATOR_STATS_H */
