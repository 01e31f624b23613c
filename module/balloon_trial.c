// SPDX-License-Identifier: GPL-2.0
/*
 * Trials: does the host drop the memory that it is told of?
 *
 * A device answers in the same way whether its host drops a page or keeps it, as it does
 * where memory is locked or shared, where a device is passed through to the guest, or
 * where a page of the host is larger than what it is told of. Only the page shows it. So
 * a block of the driver's own is marked, told of like any other, and looked at when it
 * is the guest's again: the marks are gone, or they are not.
 *
 * A trial is made on the first occasion after the device was started, for it may be
 * another host that the guest woke up on; it costs both sides a block for a moment. It
 * waits as every request does: a silent device is reset, and nothing is known then.
 */
#include <linux/gfp.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include "balloon_inflate.h"

/* Marks of one block. Each may cost the host a page, to be read. */
#define TRIAL_MARKS	16
/* No kernel fills pages with it, and no host. */
#define TRIAL_MARK	0x5adc0ffe7eac0de5ULL

/* No memory is reclaimed for it: with none at hand the next occasion will do. */
static struct page *trial_alloc(unsigned int order)
{
	return alloc_pages(__GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN, order);
}

static u64 *trial_place(struct page *block, unsigned int order, unsigned int i)
{
	return page_address(block) + i * ((PAGE_SIZE << order) / TRIAL_MARKS);
}

static void trial_mark(struct page *block, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < TRIAL_MARKS; i++)
		WRITE_ONCE(*trial_place(block, order, i), TRIAL_MARK + i);
}

/* The host may have had a reason to keep a page of many. */
static enum trial_result trial_look(struct page *block, unsigned int order)
{
	unsigned int i, kept = 0;

	for (i = 0; i < TRIAL_MARKS; i++)
		kept += READ_ONCE(*trial_place(block, order, i)) == TRIAL_MARK + i;
	return kept > TRIAL_MARKS / 2 ? TRIAL_KEEPS : TRIAL_DROPS;
}

/* Into the balloon and out of it again, in chains of that length. @b->lock held. */
static enum trial_result trial_chain(struct balloon *b, struct page *block,
				     unsigned int chain)
{
	int err;

	lockdep_assert_held(&b->lock);
	trial_mark(block, INFLATE_BLOCK_ORDER);
	b->chain = chain;
	err = balloon_inflate_tell_block(b, b->a->inflate_vq, block);
	if (!err)
		err = balloon_inflate_tell_block(b, b->a->deflate_vq, block);
	return err ? TRIAL_UNKNOWN : trial_look(block, INFLATE_BLOCK_ORDER);
}

/*
 * A host whose pages are as large as the block drops it if one chain has all of it; other
 * devices leave such a chain alone, and two chains do. @b->lock held.
 */
static void trial_chains(struct balloon *b, struct page *block)
{
	lockdep_assert_held(&b->lock);
	if (!b->timid) {
		b->trial = trial_chain(b, block, INFLATE_CHAIN_MAX);
		b->timid = balloon_has_failed(b->a);
	}
	if (b->trial != TRIAL_DROPS && balloon_inflate_can_tell(b))
		b->trial = trial_chain(b, block, INFLATE_CHAIN_MIN);
	if (b->trial != TRIAL_DROPS)
		b->chain = INFLATE_CHAIN_MIN;
	if (b->trial == TRIAL_KEEPS)
		dev_warn(&b->a->vdev->dev,
			 "the host keeps what the balloon takes: its pages are larger, locked or shared, or a device is passed through\n");
}

/**
 * balloon_trial_inflate - find chains of which the host drops what they tell of
 * @b: the balloon, about to grow by a block at least
 *
 * Context: may sleep, without @b->lock.
 */
void balloon_trial_inflate(struct balloon *b)
{
	struct page *block;

	if (READ_ONCE(b->trial) != TRIAL_UNKNOWN)
		return;
	block = trial_alloc(INFLATE_BLOCK_ORDER);
	if (!block)
		return;
	mutex_lock(&b->lock);
	if (balloon_inflate_can_tell(b) && !b->closed)
		trial_chains(b, block);
	mutex_unlock(&b->lock);
	/* The device gave it back, or was reset. */
	__free_pages(block, INFLATE_BLOCK_ORDER);
}

static int trial_lend(struct aerator *a, struct page *block, unsigned int order)
{
	struct scatterlist sg;
	int err;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, block, PAGE_SIZE << order, 0);
	err = virtqueue_add_inbuf(a->reporting_vq, &sg, 1, block, GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		return err;
	/* The last user of the queue may have turned its interrupt off. */
	virtqueue_enable_cb(a->reporting_vq);
	return balloon_vq_wait(a, a->reporting_vq, 1);
}

static enum trial_result trial_lent(struct aerator *a, struct page *block,
				    unsigned int order)
{
	trial_mark(block, order);
	return trial_lend(a, block, order) ? TRIAL_UNKNOWN : trial_look(block, order);
}

/**
 * balloon_trial_report - find out whether the host drops what is reported
 * @a: the device, with nothing on its reporting queue
 *
 * Reporting goes on either way: it costs a host little that keeps all of it, and the next
 * host that the guest is sent to may be another.
 *
 * Context: the intake's work; sleeps as balloon_vq_wait() does.
 */
void balloon_trial_report(struct aerator *a)
{
	unsigned int order = a->intake->ops->order(a->intake);
	struct page *block;

	if (a->reports != TRIAL_UNKNOWN || balloon_has_failed(a))
		return;
	block = trial_alloc(order);
	if (!block)
		return;
	WRITE_ONCE(a->reports, trial_lent(a, block, order));
	__free_pages(block, order);
	if (a->reports == TRIAL_KEEPS)
		dev_warn(&a->vdev->dev,
			 "the host acknowledges reports of order %u and keeps the memory: its pages are larger, locked or shared, or a device is passed through\n",
			 order);
}

/**
 * balloon_trial_word - what is known of the host's reports
 * @a: the device
 *
 * Context: any.
 *
 * Return: a word for the user.
 */
const char *balloon_trial_word(const struct aerator *a)
{
	static const char * const words[] = {
		[TRIAL_UNKNOWN] = "unknown",
		[TRIAL_DROPS] = "yes",
		[TRIAL_KEEPS] = "no",
	};

	return words[READ_ONCE(a->reports)];
}
