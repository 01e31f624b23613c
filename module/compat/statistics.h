/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_COMPAT_STATISTICS_H
#define AERATOR_COMPAT_STATISTICS_H

#include <linux/vmstat.h>
#include <uapi/linux/virtio_balloon.h>

/*
 * Tags that the headers of older kernels do not have: 6cf1c97dad2e ("virtio_balloon:
 * introduce oom-kill invocations") and the two commits after it (in v6.12). The numbers
 * are part of the device's interface.
 */
#ifndef VIRTIO_BALLOON_S_OOM_KILL
#define VIRTIO_BALLOON_S_OOM_KILL	10
#define VIRTIO_BALLOON_S_ALLOC_STALL	11
#define VIRTIO_BALLOON_S_ASYNC_SCAN	12
#define VIRTIO_BALLOON_S_DIRECT_SCAN	13
#define VIRTIO_BALLOON_S_ASYNC_RECLAIM	14
#define VIRTIO_BALLOON_S_DIRECT_RECLAIM	15
#endif

/*
 * Number of pages that reclaim scanned or reclaimed: a VM event, and in later kernels
 * (after v6.12, before v7.3) a counter of each node.
 */
#ifdef COMPAT_HAS_RECLAIM_NODE_STAT
#define compat_reclaim_stat(event, item) \
	((void)(event), global_node_page_state(item))
#else
#define compat_reclaim_stat(event, item)	((event)[item])
#endif

#endif /* AERATOR_COMPAT_STATISTICS_H */
