// SPDX-License-Identifier: GPL-2.0
/* The virtqueues of a device: setting them up, and deleting them. */
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/stddef.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "compat/compat.h"

/*
 * The queues, in the order of the specification (virtio 1.2, 5.5.2). The specification
 * gives them fixed numbers, but devices number only the queues that they have, so that
 * the reporting queue is number 2, 3 or 4. A queue is set up if and only if its feature
 * was negotiated.
 */
static const struct queues_row {
	const char *name;
	int feature;
	vq_callback_t *callback;
	size_t where;
} queues_all[] = {
#define QUEUES_ROW(_queue, _feature, _callback) \
	{ #_queue, _feature, _callback, offsetof(struct aerator, _queue##_vq) }
	QUEUES_ROW(inflate, -1, balloon_vq_acked),
	QUEUES_ROW(deflate, -1, balloon_vq_acked),
	QUEUES_ROW(statistics, VIRTIO_BALLOON_F_STATS_VQ, balloon_statistics_requested),
	QUEUES_ROW(hint, VIRTIO_BALLOON_F_FREE_PAGE_HINT, balloon_vq_acked),
	QUEUES_ROW(reporting, VIRTIO_BALLOON_F_REPORTING, balloon_reporting_acked),
};

static bool queues_has(const struct aerator *a, const struct queues_row *queue)
{
	return queue->feature < 0 || virtio_has_feature(a->vdev, queue->feature);
}

static void queues_set(struct aerator *a, const struct queues_row *queue,
		       struct virtqueue *vq)
{
	*(struct virtqueue **)((char *)a + queue->where) = vq;
}

/**
 * balloon_queues_find - set up all queues of the device
 * @a: the device, its features negotiated
 *
 * Context: may sleep.
 *
 * Return: 0 or a negative errno.
 */
int balloon_queues_find(struct aerator *a)
{
	struct virtqueue *vqs[ARRAY_SIZE(queues_all)];
	vq_callback_t *callbacks[ARRAY_SIZE(queues_all)];
	const char *names[ARRAY_SIZE(queues_all)];
	unsigned int i, nr = 0;
	int err;

	for (i = 0; i < ARRAY_SIZE(queues_all); i++) {
		if (!queues_has(a, &queues_all[i]))
			continue;
		names[nr] = queues_all[i].name;
		callbacks[nr++] = queues_all[i].callback;
	}
	err = compat_find_vqs(a->vdev, nr, vqs, callbacks, names);
	if (err)
		return err;
	for (i = 0, nr = 0; i < ARRAY_SIZE(queues_all); i++)
		queues_set(a, &queues_all[i],
			   queues_has(a, &queues_all[i]) ? vqs[nr++] : NULL);
	return 0;
}

/**
 * balloon_queues_delete - undo balloon_queues_find()
 * @a: the device, reset; its queues are not used any more
 *
 * Buffers that the device never answered are still on the queues, and are detached.
 *
 * Context: may sleep.
 */
void balloon_queues_delete(struct aerator *a)
{
	struct virtqueue *vq;

	if (list_empty(&a->vdev->vqs))
		return;
	virtio_device_for_each_vq(a->vdev, vq)
		while (virtqueue_detach_unused_buf(vq))
			;
	a->vdev->config->del_vqs(a->vdev);
}

/**
 * balloon_queues_abandon - leave the queues to a device that cannot be reset
 * @a: the device; its queues are not used any more by the driver
 *
 * The device may still write to the queues, and read the buffers on them. The queues are
 * deleted if a later reset succeeds, and otherwise leaked, together with the buffer of
 * the statistics queue.
 *
 * Context: may sleep.
 */
void balloon_queues_abandon(struct aerator *a)
{
	struct virtqueue *vq;

	virtio_device_for_each_vq(a->vdev, vq)
		WRITE_ONCE(vq->callback, NULL);
	/* Waits for interrupt handlers that have read the old callback. */
	synchronize_rcu();
}
