// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: what a queue is told, and waiting until the device has heard.
 *
 * For the queues on which a driver asks and waits: inflate, deflate, free page
 * hint. One task at a time has such a queue, and leaves it empty. The interrupt
 * only wakes it. Batches on the reporting queue are waited for in the same loop.
 */
#include <linux/jiffies.h>
#include <linux/scatterlist.h>
#include "balloon.h"

/*
 * Answers are looked for so often, whatever the interrupt does: it may be put off until
 * most of what the device has is answered.
 */
#define VQ_LOOK_MS		100

/* So long after the device was last kicked or heard of, it is kicked again. */
#define VQ_REMIND_MS	1000

/**
 * struct vq_answers - a wait for so many answers
 * @wait: the wait
 * @missing: how many have yet to come
 * @heard: when the last one came, jiffies
 */
struct vq_answers {
	struct balloon_vq_wait wait;
	unsigned int missing;
	unsigned long heard;
};

/* How long a device may be silent while the guest is out of memory. */
#define VQ_URGENT_MS	1000U

/**
 * balloon_vq_acked - interrupt of such a queue
 * @vq: the queue
 *
 * Context: hard interrupt.
 */
void balloon_vq_acked(struct virtqueue *vq)
{
	struct aerator *a = vq->vdev->priv;

	wake_up_all(&a->told);
}

/* Return false if the device could not be reset, and may answer yet. */
static bool vq_give_up(struct aerator *a, struct virtqueue *vq, const char *why)
{
	balloon_fail(a, virtqueue_is_broken(vq) ? "a queue broke" : why);
	return balloon_has_failed(a);
}

/**
 * balloon_vq_tell - put something on a queue that the device is to read
 * @a: the device
 * @vq: the queue, with room for it
 * @what: not on the stack, and left alone until balloon_vq_wait()
 * @len: bytes
 *
 * Context: the task that has the queue; does not allocate. Sleeps only if the
 * device has to be reset.
 *
 * Return: 0, or -EIO if the queue does not take it: the device was reset.
 */
int balloon_vq_tell(struct aerator *a, struct virtqueue *vq, void *what, unsigned int len)
{
	struct scatterlist sg;

	sg_init_one(&sg, what, len);
	if (!virtqueue_add_outbuf(vq, &sg, 1, what, GFP_NOWAIT | __GFP_NOWARN))
		return 0;
	/* It may have others that were told before, which are its own until it is reset. */
	while (!vq_give_up(a, vq, "a queue takes nothing"))
		;
	return -EIO;
}

static bool vq_hopeless(const struct aerator *a, struct virtqueue *vq)
{
	return balloon_has_failed(a) || virtqueue_is_broken(vq);
}

/* How long the device may stay silent from now on, jiffies. */
static unsigned long vq_patience(const struct aerator *a,
				 const struct balloon_vq_wait *wait)
{
	unsigned int timeout = READ_ONCE(aerator_params.settle_timeout_ms);
	unsigned long end;

	/* The OOM notifier waits for the balloon's queues, not for this one. */
	if (READ_ONCE(a->urgent) && wait->vq != a->reporting_vq)
		timeout = min(timeout, VQ_URGENT_MS);
	end = *wait->heard + msecs_to_jiffies(timeout);

	return time_before(jiffies, end) ? end - jiffies : 0;
}

/*
 * A device that served its queues elsewhere before a live migration may never have heard
 * of what was put on them there; to hear of it twice does no harm. Nor may it have heard
 * of the statistics then, which nothing waits for.
 */
static void vq_remind(struct aerator *a, const struct balloon_vq_wait *wait,
		      unsigned long *kicked)
{
	unsigned long remind = msecs_to_jiffies(VQ_REMIND_MS);

	if (time_before(jiffies, *kicked + remind) || time_before(jiffies, *wait->heard + remind))
		return;
	*kicked = jiffies;
	/* A device that was reset is not to be kicked (virtio 1.2, 3.1.1). */
	if (vq_hopeless(a, wait->vq))
		return;
	if (wait->vq == a->reporting_vq)
		atomic64_inc(&a->stats.kicks);
	virtqueue_notify(wait->vq);
	if (a->statistics_vq)
		virtqueue_notify(a->statistics_vq);
}

/**
 * balloon_vq_await - wait until a queue has nothing more to wait for
 * @a: the device
 * @wait: what for
 *
 * Context: the task that has the queue. Sleeps as long as the device answers something,
 * and for settle_timeout_ms when it is silent.
 *
 * Return: true if the wait is over, false if the device was silent for too long.
 */
bool balloon_vq_await(struct aerator *a, struct balloon_vq_wait *wait)
{
	unsigned long look = msecs_to_jiffies(VQ_LOOK_MS);
	unsigned long kicked = jiffies;

	do {
		/* Idle: how long this takes is up to the host. */
		if (wait_event_idle_timeout(*wait->answered, wait->look(a, wait),
					    min(vq_patience(a, wait), look)))
			return true;
		vq_remind(a, wait, &kicked);
	} while (vq_patience(a, wait));
	return false;
}

/* Take what was answered. */
static bool vq_look(struct aerator *a, struct balloon_vq_wait *wait)
{
	struct vq_answers *answers = container_of(wait, struct vq_answers, wait);
	unsigned int unused;

	while (virtqueue_get_buf(wait->vq, &unused)) {
		answers->missing--;
		answers->heard = jiffies;
	}
	return !answers->missing || vq_hopeless(a, wait->vq);
}

/* Return 0 when all have come, or -EIO. */
static int vq_collect(struct aerator *a, struct vq_answers *answers)
{
	struct virtqueue *vq = answers->wait.vq;

	while (!balloon_vq_await(a, &answers->wait) || answers->missing) {
		if (vq_give_up(a, vq, "the host did not answer within settle_timeout_ms"))
			return -EIO;
		answers->heard = jiffies;
	}
	balloon_answered(a);
	return 0;
}

/**
 * balloon_vq_wait - wait until the device has heard all
 * @a: the device
 * @vq: the queue
 * @nr: how many things were put on it
 *
 * Context: the task that has the queue. Sleeps until all are answered, and for
 * settle_timeout_ms at most if none is: others wait for the queue. Some of them wait for
 * memory: for a second at most where that is urgent. And for as long as a reset of the
 * device takes after that; without bound if the device is silent and cannot be reset.
 *
 * Return: 0, or -EIO if the device was reset before it answered all: it has
 * forgotten the rest, and memory that it was to have is nobody else's.
 */
int balloon_vq_wait(struct aerator *a, struct virtqueue *vq, unsigned int nr)
{
	struct vq_answers answers = {
		.wait = { vq, &a->told, &answers.heard, vq_look },
		.missing = nr,
		.heard = jiffies,
	};
	int err;

	atomic_inc(&a->asked);
	if (!vq_hopeless(a, vq))
		virtqueue_kick(vq);	/* should it fail then the queue is broken */
	err = vq_collect(a, &answers);
	atomic_inc(&a->ended);
	wake_up_all(&a->told);
	return err;
}
