/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_PARAMS_H
#define AERATOR_PARAMS_H

#include <linux/types.h>

/*
 * Most blocks in a batch, and most batches in flight. The kernel's page reporting
 * hands over no more than 32 at once, and waits for them; with the aeration patch
 * we decide. Small blocks want large batches, for each is a notification; of blocks
 * of 2 MiB the most memory that a batch may have is reached at 64.
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

/* What it costs to fault memory in again, in ms of the host's holding it. */
#define PARAMS_REFAULT_MS		2000

/* aerator_params.intake: this, or an enum intake_kind from 1. */
#define PARAMS_INTAKE_AUTO		0

/**
 * enum params_order_source - where aerator_params.order is from
 * @PARAMS_ORDER_DEFAULT: it was not set; the kernel's own comes first, if that is
 * @PARAMS_ORDER_NEW: the user, and no device was started with it yet
 * @PARAMS_ORDER_USED: the user, before the running device was started
 */
enum params_order_source {
	PARAMS_ORDER_DEFAULT,
	PARAMS_ORDER_NEW,
	PARAMS_ORDER_USED,
};

/**
 * struct aerator_params - the module's parameters, checked
 * @enabled: 0 pauses: nothing is treated, the device stays bound
 * @takeover: take balloon devices from virtio_balloon, not only free ones
 * @intake: where blocks come from, looked at when the device starts
 * @reactor_size: most blocks in a batch
 * @reactors: batches in flight
 * @order: smallest block that is treated, log2 of pages; the intake may have to
 *	stay above or below it; intake_order() is what is in force
 * @order_source: where that is from
 * @window_ms: how long memory has to be free before it is treated, ms, or
 *	POLICY_WINDOW_AUTO
 * @refault_ms: what a refault costs, in ms of the host's holding the memory
 * @reserve_mb: free memory that is left alone, MiB
 * @share_pct: most of the guest's memory that is treated at a time, percent
 * @rate_mb: most memory treated a second, MiB; 0 for no limit
 * @settle_timeout_ms: how long a host that has a batch may be silent, ms
 *
 * Written under the module's parameter lock, read with READ_ONCE(): each is
 * looked at again whenever it matters, none depends on another.
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
