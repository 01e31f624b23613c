// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: putting buffers on a virtqueue, and waiting for the device's answers.
 *
 * For the queues on which the driver sends and waits: inflate, deflate, free page hint.
 * One task at a time uses such a queue, and leaves it empty. The interrupt only wakes
 * this task. balloon_vq_await() is also the wait for batches on the reporting queue.
 */
#include <linux/jiffies.h>
#include <linux/scatterlist.h>
#include "balloon.h"

/*
 * Interval at which the used ring is polled, without an interrupt: a delayed interrupt
 * comes only after most of the buffers are used.
 */
#define VQ_POLL_MS		100

/* The device is kicked again after this time without a kick and an answer. */
#define VQ_KICK_MS	1000

/**
 * struct vq_answers - a wait for a number of answers
 * @wait: the wait
 * @missing: number of answers still to come
 * @last_answer: time of the last answer, jiffies
 */
struct vq_answers {
	struct balloon_vq_wait wait;
	unsigned int missing;
	unsigned long last_answer;
};

/* Timeout of an answer while the guest is out of memory, ms. */
#define VQ_URGENT_MS	1000U

/**
 * balloon_vq_acked - interrupt of a request queue
 * @vq: the queue
 *
 * Context: hard interrupt.
 */
void balloon_vq_acked(struct virtqueue *vq)
{
	struct aerator *a = vq->vdev->priv;

	wake_up_all(&a->requests.acked);
}

/* Returns false if the device could not be reset, so that it may still answer. */
static bool vq_give_up(struct aerator *a, struct virtqueue *vq, const char *why)
{
	balloon_fail(a, virtqueue_is_broken(vq) ? "a queue is broken" : why);
	return balloon_has_failed(a);
}

/**
 * balloon_vq_tell - put a buffer on a queue, for the device to read
 * @a: the device
 * @vq: the queue, with room for the buffer
 * @what: the buffer; not on the stack, and not changed until balloon_vq_wait()
 * @len: length in bytes
 *
 * Context: the task that uses the queue; does not allocate. Sleeps only if the
 * device has to be reset.
 *
 * Return: 0, or -EIO if the queue does not take the buffer: the device was reset.
 */
int balloon_vq_tell(struct aerator *a, struct virtqueue *vq, void *what, unsigned int len)
{
	struct scatterlist sg;

	sg_init_one(&sg, what, len);
	if (!virtqueue_add_outbuf(vq, &sg, 1, what, GFP_NOWAIT | __GFP_NOWARN))
		return 0;
	/* The device may have earlier buffers, and owns them until it is reset. */
	while (!vq_give_up(a, vq, "a queue accepts no buffer"))
		;
	return -EIO;
}

static bool vq_unusable(const struct aerator *a, struct virtqueue *vq)
{
	return balloon_has_failed(a) || virtqueue_is_broken(vq);
}

/* Time until the wait is given up without an answer, jiffies. */
static unsigned long vq_time_left(const struct aerator *a,
				 const struct balloon_vq_wait *wait)
{
	unsigned int timeout = READ_ONCE(aerator_params.settle_timeout_ms);
	unsigned long end;

	/* The OOM notifier waits for the balloon's queues, not the reporting queue. */
	if (READ_ONCE(a->requests.urgent) && wait->vq != a->reporting_vq)
		timeout = min(timeout, VQ_URGENT_MS);
	end = *wait->last_answer + msecs_to_jiffies(timeout);

	return time_before(jiffies, end) ? end - jiffies : 0;
}

/*
 * Kick again. After a live migration the device may have missed a kick from before it; a
 * second kick does no harm. The same for the statistics queue, which has no wait.
 */
static void vq_kick_again(struct aerator *a, const struct balloon_vq_wait *wait,
		      unsigned long *kicked)
{
	unsigned long remind = msecs_to_jiffies(VQ_KICK_MS);

	if (time_before(jiffies, *kicked + remind) ||
	    time_before(jiffies, *wait->last_answer + remind))
		return;
	*kicked = jiffies;
	/* A device that was reset must not be kicked (virtio 1.2, 3.1.1). */
	if (vq_unusable(a, wait->vq))
		return;
	if (wait->vq == a->reporting_vq)
		atomic64_inc(&a->stats.kicks);
	virtqueue_notify(wait->vq);
	if (a->statistics_vq)
		virtqueue_notify(a->statistics_vq);
}

/**
 * balloon_vq_await - wait for answers on a queue
 * @a: the device
 * @wait: the wait
 *
 * Context: the task that uses the queue. Sleeps for as long as answers come, and for at
 * most settle_timeout_ms after the last one.
 *
 * Return: true if the wait is over (@wait->poll() returned true), false after a timeout.
 */
bool balloon_vq_await(struct aerator *a, struct balloon_vq_wait *wait)
{
	unsigned long poll = msecs_to_jiffies(VQ_POLL_MS);
	unsigned long kicked = jiffies;

	do {
		/* Idle: the host may take long, which must not look like a hung task. */
		if (wait_event_idle_timeout(*wait->acked, wait->poll(a, wait),
					    min(vq_time_left(a, wait), poll)))
			return true;
		vq_kick_again(a, wait, &kicked);
	} while (vq_time_left(a, wait));
	return false;
}

/* Take the used buffers off the queue. */
static bool vq_poll(struct aerator *a, struct balloon_vq_wait *wait)
{
	struct vq_answers *answers = container_of(wait, struct vq_answers, wait);
	unsigned int unused;

	while (virtqueue_get_buf(wait->vq, &unused)) {
		answers->missing--;
		answers->last_answer = jiffies;
	}
	return !answers->missing || vq_unusable(a, wait->vq);
}

/* Returns 0 after all answers, or -EIO. */
static int vq_collect(struct aerator *a, struct vq_answers *answers)
{
	struct virtqueue *vq = answers->wait.vq;

	while (!balloon_vq_await(a, &answers->wait) || answers->missing) {
		if (vq_give_up(a, vq, "the host did not answer within settle_timeout_ms"))
			return -EIO;
		answers->last_answer = jiffies;
	}
	balloon_answered(a);
	return 0;
}

/**
 * balloon_vq_wait - kick the device, and wait until it has answered all buffers
 * @a: the device
 * @vq: the queue
 * @nr: number of buffers that were put on the queue
 *
 * Context: the task that uses the queue. Sleeps until all buffers are answered, and for
 * at most settle_timeout_ms without an answer, since other tasks wait for the queue; for
 * at most a second if one of them is the OOM notifier. Then for as long as a reset of the
 * device takes; without limit if the device does not answer and cannot be reset.
 *
 * Return: 0, or -EIO if the device was reset before it answered all buffers: it has none
 * of them any more, and the caller owns the pages.
 */
int balloon_vq_wait(struct aerator *a, struct virtqueue *vq, unsigned int nr)
{
	struct vq_answers answers = {
		.wait = {
			.vq = vq,
			.acked = &a->requests.acked,
			.last_answer = &answers.last_answer,
			.poll = vq_poll,
		},
		.missing = nr,
		.last_answer = jiffies,
	};
	int err;

	atomic_inc(&a->requests.begun);
	if (!vq_unusable(a, vq))
		virtqueue_kick(vq);	/* a failed kick marks the queue as broken */
	err = vq_collect(a, &answers);
	atomic_inc(&a->requests.ended);
	wake_up_all(&a->requests.acked);
	return err;
}
