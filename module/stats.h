/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_STATS_H
#define AERATOR_STATS_H

#include <linux/atomic.h>

/**
 * enum stats_refusal - why a batch was refused that the kernel's page reporting handed over,
 * or why a pass ended before all surplus was treated
 * @STATS_WINDOW: too much of it was not free for the window
 * @STATS_LIMIT: it exceeds the reserve or the share
 * @STATS_RATE: the limit of memory per second is reached
 * @STATS_REFUSALS: number of reasons
 */
enum stats_refusal {
	STATS_WINDOW,
	STATS_LIMIT,
	STATS_RATE,
	STATS_REFUSALS
};

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
 * @last_report: when the host last acknowledged a batch, seconds since 1970; 0 for never
 * @reused_bytes: treated memory that lost its mark, bytes; counted with each sample, and
 *	only by an intake whose allocator counts treated memory
 * @refusals: refused batches, by reason
 *
 * Written by the work item that runs the stages, @interrupts by the interrupt handler of
 * the queue, @reused_bytes under the lock of &struct intake_pacing; read in any context.
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
	atomic64_t last_report;
	atomic64_t reused_bytes;
	atomic64_t refusals[STATS_REFUSALS];
};

#endif /* AERATOR_STATS_H */
