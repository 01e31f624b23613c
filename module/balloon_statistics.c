// SPDX-License-Identifier: GPL-2.0
/*
 * The statistics queue: how much memory the guest has and uses.
 *
 * Some devices number their queues by the negotiated features, others by the offered
 * ones. Both numbers are the same only if the driver uses every queue that is offered. So
 * the statistics queue is set up, and served (virtio 1.2, 5.5.6.3): one buffer is always
 * on the queue, and the device returns it to request new statistics.
 */
#include <linux/device.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/vmstat.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/statistics.h"

/* Number of all known tags. A device ignores tags that it does not know. */
#define STATISTICS_TAGS		16

/*
 * A guest that is about to suspend stays awake for the answer, ms. Much longer than an
 * answer takes, and still short, since hosts request statistics each second.
 */
#define STATISTICS_AWAKE_MS	100

/**
 * struct statistics_buffer - buffer of the statistics queue
 * @stat: pairs of tag and value; the number of filled pairs varies
 */
struct statistics_buffer {
	struct virtio_balloon_stat stat[STATISTICS_TAGS];
};

static void statistics_set(struct aerator *a, unsigned int *nr, u16 tag, u64 val)
{
	struct virtio_balloon_stat *stat;

	if (WARN_ON_ONCE(*nr >= STATISTICS_TAGS))
		return;
	stat = &a->statistics.buffer->stat[(*nr)++];
	stat->tag = cpu_to_virtio16(a->vdev, tag);
	stat->val = cpu_to_virtio64(a->vdev, val);
}

static u64 pages_to_bytes(unsigned long pages)
{
	return (u64)pages << PAGE_SHIFT;
}

#ifdef CONFIG_VM_EVENT_COUNTERS
/* Number of allocations that entered direct reclaim, in all zones. */
static unsigned long statistics_stalls(const unsigned long *event)
{
	unsigned long stalls = 0;
	unsigned int zone;

	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		stalls += event[ALLOCSTALL_NORMAL - ZONE_NORMAL + zone];
	return stalls;
}

static void statistics_fill_reclaim(struct aerator *a, unsigned int *nr,
				    const unsigned long *event)
{
	statistics_set(a, nr, VIRTIO_BALLOON_S_ASYNC_SCAN,
		       pages_to_bytes(compat_reclaim_stat(event, PGSCAN_KSWAPD)));
	statistics_set(a, nr, VIRTIO_BALLOON_S_DIRECT_SCAN,
		       pages_to_bytes(compat_reclaim_stat(event, PGSCAN_DIRECT)));
	statistics_set(a, nr, VIRTIO_BALLOON_S_ASYNC_RECLAIM,
		       pages_to_bytes(compat_reclaim_stat(event, PGSTEAL_KSWAPD)));
	statistics_set(a, nr, VIRTIO_BALLOON_S_DIRECT_RECLAIM,
		       pages_to_bytes(compat_reclaim_stat(event, PGSTEAL_DIRECT)));
}

static void statistics_fill_huge(struct aerator *a, unsigned int *nr,
				 const unsigned long *event)
{
#ifdef CONFIG_HUGETLB_PAGE
	statistics_set(a, nr, VIRTIO_BALLOON_S_HTLB_PGALLOC, event[HTLB_BUDDY_PGALLOC]);
	statistics_set(a, nr, VIRTIO_BALLOON_S_HTLB_PGFAIL,
		       event[HTLB_BUDDY_PGALLOC_FAIL]);
#endif
}

static void statistics_fill_events(struct aerator *a, unsigned int *nr)
{
	unsigned long event[NR_VM_EVENT_ITEMS];

	all_vm_events(event);
	statistics_set(a, nr, VIRTIO_BALLOON_S_SWAP_IN, pages_to_bytes(event[PSWPIN]));
	statistics_set(a, nr, VIRTIO_BALLOON_S_SWAP_OUT, pages_to_bytes(event[PSWPOUT]));
	statistics_set(a, nr, VIRTIO_BALLOON_S_MAJFLT, event[PGMAJFAULT]);
	statistics_set(a, nr, VIRTIO_BALLOON_S_MINFLT, event[PGFAULT]);
	statistics_set(a, nr, VIRTIO_BALLOON_S_OOM_KILL, event[OOM_KILL]);
	statistics_set(a, nr, VIRTIO_BALLOON_S_ALLOC_STALL, statistics_stalls(event));
	statistics_fill_reclaim(a, nr, event);
	statistics_fill_huge(a, nr, event);
}
#else
static void statistics_fill_events(struct aerator *a, unsigned int *nr)
{
}
#endif

/* Fill the buffer, which is not on the queue. Returns the length in bytes. */
static unsigned int statistics_fill(struct aerator *a)
{
	unsigned int nr = 0;
	struct sysinfo info;

	si_meminfo(&info);
	statistics_fill_events(a, &nr);
	statistics_set(a, &nr, VIRTIO_BALLOON_S_MEMFREE, pages_to_bytes(info.freeram));
	statistics_set(a, &nr, VIRTIO_BALLOON_S_MEMTOT, pages_to_bytes(info.totalram));
	statistics_set(a, &nr, VIRTIO_BALLOON_S_AVAIL, pages_to_bytes(si_mem_available()));
	statistics_set(a, &nr, VIRTIO_BALLOON_S_CACHES,
		       pages_to_bytes(global_node_page_state(NR_FILE_PAGES)));
	return nr * sizeof(a->statistics.buffer->stat[0]);
}

/*
 * Put the filled buffer on the queue. One direct descriptor: no allocation. Without its
 * buffer the device cannot request statistics any more. Returns false if this happens:
 * the device has to be reset.
 */
static bool statistics_put(struct aerator *a)
{
	struct scatterlist sg;

	sg_init_one(&sg, a->statistics.buffer, statistics_fill(a));
	return !virtqueue_add_outbuf(a->statistics_vq, &sg, 1, a, GFP_KERNEL) &&
	       virtqueue_kick(a->statistics_vq);
}

static void statistics_fail(struct aerator *a)
{
	balloon_fail(a, virtqueue_is_broken(a->statistics_vq) ? "the statistics queue is broken" :
		     "the statistics queue accepts no buffer");
}

static void statistics_answer(struct work_struct *work)
{
	struct aerator *a = container_of(work, struct aerator, statistics.work);
	unsigned int unused;
	bool well = true;

	if (!READ_ONCE(a->statistics.running) || balloon_has_failed(a))
		return;
	if (virtqueue_get_buf(a->statistics_vq, &unused))
		well = statistics_put(a);
	if (!well || virtqueue_is_broken(a->statistics_vq))
		statistics_fail(a);
}

/**
 * balloon_statistics_requested - interrupt of the statistics queue
 * @vq: the queue
 *
 * Context: hard interrupt.
 */
void balloon_statistics_requested(struct virtqueue *vq)
{
	struct aerator *a = vq->vdev->priv;

	pm_wakeup_event(&vq->vdev->dev, STATISTICS_AWAKE_MS);
	queue_work(system_freezable_wq, &a->statistics.work);
}

/**
 * balloon_statistics_create - allocate the buffer, before the queue exists
 * @a: the device
 *
 * Return: 0 or -ENOMEM.
 */
int balloon_statistics_create(struct aerator *a)
{
	INIT_WORK(&a->statistics.work, statistics_answer);
	a->statistics.buffer = kzalloc(sizeof(*a->statistics.buffer), GFP_KERNEL);
	return a->statistics.buffer ? 0 : -ENOMEM;
}

/**
 * balloon_statistics_start - put the buffer on the queue
 * @a: the device, ready, with its queues set up
 */
void balloon_statistics_start(struct aerator *a)
{
	if (!a->statistics_vq)
		return;
	if (!statistics_put(a)) {
		statistics_fail(a);
		return;
	}
	WRITE_ONCE(a->statistics.running, true);
	/* The host may have requested statistics before @running was set. */
	queue_work(system_freezable_wq, &a->statistics.work);
}

/**
 * balloon_statistics_stop - stop using the queue, before the device is reset
 * @a: the device
 *
 * A late interrupt may still queue the work; it does not touch the queue then.
 *
 * Context: may sleep.
 */
void balloon_statistics_stop(struct aerator *a)
{
	WRITE_ONCE(a->statistics.running, false);
	cancel_work_sync(&a->statistics.work);
}

/**
 * balloon_statistics_abandon - leave the buffer to a device that cannot be reset
 * @a: the device, which is about to be unbound, its queue stopped
 *
 * Context: may sleep.
 */
void balloon_statistics_abandon(struct aerator *a)
{
	if (!a->statistics_vq)
		return;
	cancel_work_sync(&a->statistics.work);
	kmemleak_not_leak(a->statistics.buffer);
	a->statistics.buffer = NULL;
}

/**
 * balloon_statistics_destroy - undo balloon_statistics_create()
 * @a: the device, stopped, without queues; or balloon_statistics_create() was not called,
 * or
 *	failed
 */
void balloon_statistics_destroy(struct aerator *a)
{
	if (!a->statistics.buffer)
		return;
	cancel_work_sync(&a->statistics.work);
	kfree(a->statistics.buffer);
}
