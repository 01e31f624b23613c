// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: what a queue is told, and waiting until the device has heard.
 *
 * For the queues on which a driver asks and waits: inflate, deflate, free page
 * hint. One task at a time has such a queue, and leaves it empty. The interrupt
 * only wakes it.
 */
#include <linux/jiffies.h>
#include <linux/scatterlist.h>
#include "balloon.h"

/* An answer is looked for so often, whatever the interrupt does. In jiffies. */
#define REQUEST_LOOK	HZ

/**
 * request_acked - interrupt of such a queue
 * @vq: the queue
 *
 * Context: hard interrupt.
 */
void request_acked(struct virtqueue *vq)
{
	struct aerator *a = vq->vdev->priv;

	wake_up_all(&a->told);
}

/* Return false if the device could not be reset, and may answer yet. */
static bool request_give_up(struct aerator *a, struct virtqueue *vq, const char *why)
{
	balloon_lose(a, virtqueue_is_broken(vq) ? "a queue broke" : why);
	return balloon_is_lost(a);
}

/**
 * request_tell - put something on a queue that the device is to read
 * @a: the device
 * @vq: the queue, with room for it
 * @what: not on the stack, and left alone until request_wait()
 * @len: bytes
 *
 * Context: the task that has the queue; does not allocate. Sleeps only if the
 * device has to be reset.
 *
 * Return: 0, or -EIO if the queue does not take it: the device was reset.
 */
int request_tell(struct aerator *a, struct virtqueue *vq, void *what, unsigned int len)
{
	struct scatterlist sg;

	sg_init_one(&sg, what, len);
	if (!virtqueue_add_outbuf(vq, &sg, 1, what, GFP_NOWAIT | __GFP_NOWARN))
		return 0;
	/* It may have others that were told before, which are its own until it is reset. */
	while (!request_give_up(a, vq, "a queue takes nothing"))
		;
	return -EIO;
}

/* How many the device has answered since the last look. */
static unsigned int request_answers(struct virtqueue *vq)
{
	unsigned int unused, nr = 0;

	while (virtqueue_get_buf(vq, &unused))
		nr++;
	return nr;
}

static bool request_hopeless(const struct aerator *a, struct virtqueue *vq)
{
	return balloon_is_lost(a) || virtqueue_is_broken(vq);
}

/*
 * Wait for at least one answer, not for long. A device that served its queues
 * elsewhere before a live migration may never have heard of what was put on them
 * there; to hear of it twice does no harm.
 */
static unsigned int request_listen(struct aerator *a, struct virtqueue *vq,
				   unsigned long left)
{
	unsigned int answers = 0;

	wait_event_timeout(a->told,
			   (answers = request_answers(vq)) || request_hopeless(a, vq),
			   min_t(unsigned long, left, REQUEST_LOOK));
	/* A device that was reset is not to be kicked (virtio 1.2, 3.1.1). */
	if (!answers && !request_hopeless(a, vq))
		virtqueue_notify(vq);
	return answers;
}

/* How long the device may be silent from now on: until then, jiffies. */
static unsigned long request_end(void)
{
	return jiffies + msecs_to_jiffies(READ_ONCE(aerator_params.settle_timeout_ms));
}

/*
 * Wait for so many answers, for as long as one comes each settle_timeout_ms. Return how
 * many did not come.
 */
static unsigned int request_missing(struct aerator *a, struct virtqueue *vq,
				    unsigned int nr)
{
	unsigned long end = request_end();
	unsigned int answers;

	nr -= request_answers(vq);
	while (nr && time_before(jiffies, end) && !request_hopeless(a, vq)) {
		answers = request_listen(a, vq, end - jiffies + 1);
		nr -= answers;
		if (answers)
			end = request_end();
	}
	/* One may have come at the last moment. */
	return nr - request_answers(vq);
}

/**
 * request_wait - wait until the device has heard all
 * @a: the device
 * @vq: the queue
 * @nr: how many things were put on it
 *
 * Context: the task that has the queue. Sleeps until all are answered, and for
 * settle_timeout_ms at most if none is: others wait for the queue, and some of them for
 * memory. And for as long as a reset of the device takes after that; without bound if
 * the device is silent and cannot be reset.
 *
 * Return: 0, or -EIO if the device was reset before it answered all: it has
 * forgotten the rest, and memory that it was to have is nobody else's.
 */
int request_wait(struct aerator *a, struct virtqueue *vq, unsigned int nr)
{
	if (!request_hopeless(a, vq))
		virtqueue_kick(vq);	/* should it fail then the queue is broken */
	while ((nr = request_missing(a, vq, nr)))
		if (request_give_up(a, vq, "the host did not answer within settle_timeout_ms"))
			return -EIO;
	WRITE_ONCE(a->retry_ms, 0);
	return 0;
}
