/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_STATS_H
#define AERATOR_STATS_H

#include <linux/atomic.h>

/**
 * struct aerator_stats - what a device did since it was bound
 * @cycles: batches that went through all stages, treated or not
 * @reported_bytes: memory that the host acknowledged, bytes
 * @reported_blocks: the same in blocks of the allocator
 * @chains: descriptor chains put on the reporting queue
 * @kicks: notifications sent to the device for them
 * @interrupts: notifications from the device that it has answered
 * @settle_timeouts: how often the host, with batches of ours, was silent for too
 *	long
 * @errors: batches that went back raw, for whatever reason
 *
 * Counted by the work item that runs the stages, and @interrupts by the queue's
 * interrupt; read by anyone.
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
