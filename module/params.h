/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_PARAMS_H
#define AERATOR_PARAMS_H

#include <linux/types.h>

/*
 * Limits and defaults of the blocks in a batch, and of the batches in flight. The
 * kernel's page reporting hands over at most 32 blocks at once, and waits for them; with
 * the aeration patch aerator chooses. Small blocks need large batches, since each batch
 * costs a notification; with blocks of 2 MiB a batch reaches its limit in bytes at 64
 * blocks.
 */
#ifdef COMPAT_HAS_AERATION
#define PARAMS_REACTOR_SIZE_MAX		1024
#define PARAMS_REACTOR_SIZE		1024
#define PARAMS_REACTORS_MAX		8
#define PARAMS_REACTORS			2
#else
#define PARAMS_REACTOR_SIZE_MAX		32
#define PARAMS_REACTOR_SIZE		32
#define PARAMS_REACTORS_MAX		1
#define PARAMS_REACTORS			1
#endif

/* Default cost of a refault, in ms of keeping the memory in the host. */
#define PARAMS_REFAULT_MS		2000

/* aerator_params.intake: this, or an enum intake_kind from 1. */
#define PARAMS_INTAKE_AUTO		0

/**
 * enum params_order_source - origin of aerator_params.order
 * @PARAMS_ORDER_DEFAULT: the default; page_reporting_order takes precedence if it is set
 *	to another value than a device without a request leaves there
 * @PARAMS_ORDER_OLDER: any, but page_reporting_order was written later and takes precedence
 * @PARAMS_ORDER_NEW: set by the user, and no device was started with it yet
 * @PARAMS_ORDER_USED: set by the user before the running device was started
 */
enum params_order_source {
	PARAMS_ORDER_DEFAULT,
	PARAMS_ORDER_OLDER,
	PARAMS_ORDER_NEW,
	PARAMS_ORDER_USED,
};

/**
 * struct aerator_params - the module's parameters, checked
 * @enabled: 0 pauses: no memory is treated, the device stays bound
 * @takeover: take balloon devices from virtio_balloon, besides those without a driver
 * @intake: source of blocks, read when the device starts
 * @reactor_size: most blocks in a batch
 * @reactors: most batches in flight
 * @order: smallest block that is treated, log2 of pages; the intake may have narrower
 *	limits; intake_order() returns the order in force
 * @order_source: origin of @order
 * @window_ms: how long memory has to be free before it is treated, ms, or
 *	POLICY_WINDOW_AUTO
 * @refault_ms: cost of a refault, in ms of keeping the memory in the host
 * @reserve_mb: free memory that is never treated, MiB
 * @share_pct: upper limit of treated memory, percent of the guest's memory
 * @rate_mb: most memory treated a second, MiB; 0 for no limit
 * @settle_timeout_ms: timeout of a batch: longest time without an answer, ms
 *
 * Written under the module's parameter lock, read with READ_ONCE(): each parameter is
 * read again at every use, and none depends on another.
 */
struct aerator_params {
	unsigned int enabled;
	unsigned int takeover;
	unsigned int intake;
	unsigned int reactor_size;
	unsigned int reactors;
	unsigned int order;
	enum params_order_source order_source;
	unsigned int window_ms;
	unsigned int refault_ms;
	unsigned int reserve_mb;
	unsigned int share_pct;
	unsigned int rate_mb;
	unsigned int settle_timeout_ms;
};

extern struct aerator_params aerator_params;

void params_start(void);

#endif /* AERATOR_PARAMS_H */
