/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_PARAMS_H
#define AERATOR_PARAMS_H

#include <linux/types.h>

/* Blocks that the kernel's page reporting hands over at once, at most. */
#define PARAMS_REACTOR_SIZE_MAX	32

/**
 * struct aerator_params - the module's parameters, checked
 * @enabled: 0 pauses: nothing is treated, the device stays bound
 * @takeover: take balloon devices from virtio_balloon, not only free ones
 * @reactor_size: most blocks in a batch
 * @reactors: batches in flight
 * @order: smallest block that is treated, log2 of pages
 * @window_ms: how long memory has to stay free before it is treated, ms
 * @reserve_mb: no pass begins while this much or less is free, MiB
 * @rate_mb: most memory treated a second, MiB; 0 for no limit
 * @settle_timeout_ms: how long a host may take to answer a batch, ms
 *
 * Written under the module's parameter lock, read with READ_ONCE(): each is
 * looked at again whenever it matters, none depends on another.
 */
struct aerator_params {
	unsigned int enabled;
	unsigned int takeover;
	unsigned int reactor_size;
	unsigned int reactors;
	unsigned int order;
	unsigned int window_ms;
	unsigned int reserve_mb;
	unsigned int rate_mb;
	unsigned int settle_timeout_ms;
};

extern struct aerator_params aerator_params;

#endif /* AERATOR_PARAMS_H */
