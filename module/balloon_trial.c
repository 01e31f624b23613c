// SPDX-License-Identifier: GPL-2.0
/*
 * Trials: does the host discard the memory that is reported to it?
 *
 * A device answers in the same way if its host discards a page and if it keeps the page.
 * Hosts keep a page if memory is locked or shared, if a device is passed through to the
 * guest, or if a page of the host is larger than the reported block. Only the content of
 * the page shows the difference. So the driver allocates a block, writes a pattern to it,
 * reports it like any other block, and reads it after the answer: if the pattern is gone,
 * the host discards memory.
 *
 * The trial runs at the first opportunity after each start of the device, since the guest
 * may have been resumed on another host. It costs one block for a moment. A trial waits
 * like every request: a device that does not answer is reset, and the result is unknown.
 */
#include <linux/gfp.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/virtio.h>
#include "balloon_inflate.h"

/* Number of words of the pattern. Reading one may cost the host a page. */
#define TRIAL_MARKS	16
/* First word of the pattern: no kernel or host fills pages with this value. */
#define TRIAL_MARK	0x5adc0ffe7eac0de5ULL

/* Without reclaim: if no block is free, the trial runs at the next opportunity. */
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

/* A few words may survive: a host may keep single pages of a block for its own reasons. */
static enum trial_result trial_look(struct page *block, unsigned int order)
{
	unsigned int i, kept = 0;

	for (i = 0; i < TRIAL_MARKS; i++)
		kept += READ_ONCE(*trial_place(block, order, i)) == TRIAL_MARK + i;
	return kept > TRIAL_MARKS / 2 ? TRIAL_KEEPS : TRIAL_DROPS;
}

/* Inflate and deflate the block, in chains of the given length. @b->lock held. */
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
 * Try a chain of the whole block first: a host whose pages are as large as the block
 * discards it only if one chain has all of it. Other devices ignore such a long chain;
 * for these, try two chains. @b->lock held.
 */
static void trial_chains(struct balloon *b, struct page *block)
{
	lockdep_assert_held(&b->lock);
	if (!b->split_chains) {
		b->trial = trial_chain(b, block, INFLATE_CHAIN_MAX);
		b->split_chains = balloon_has_failed(b->a);
	}
	if (b->trial != TRIAL_DROPS && balloon_inflate_can_tell(b))
		b->trial = trial_chain(b, block, INFLATE_CHAIN_MIN);
	if (b->trial != TRIAL_DROPS)
		b->chain = INFLATE_CHAIN_MIN;
	if (b->trial == TRIAL_KEEPS)
		dev_warn(&b->a->vdev->dev,
			 "the host keeps the memory of inflated pages: its pages are larger, locked or shared, or a device is passed through\n");
}

/**
 * balloon_trial_inflate - find the chain length with which the host discards memory
 * @b: the balloon, about to grow by at least a block
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
	if (balloon_inflate_can_tell(b) && !READ_ONCE(b->closed))
		trial_chains(b, block);
	mutex_unlock(&b->lock);
	/* The block was deflated again, or the device was reset. */
	__free_pages(block, INFLATE_BLOCK_ORDER);
}

static int trial_send(struct aerator *a, struct page *block, unsigned int order)
{
	struct scatterlist sg;
	int err;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, block, PAGE_SIZE << order, 0);
	err = virtqueue_add_inbuf(a->reporting_vq, &sg, 1, block, GFP_NOWAIT | __GFP_NOWARN);
	if (err)
		return err;
	/* The last wait on the queue may have left its interrupt disabled. */
	virtqueue_enable_cb(a->reporting_vq);
	return balloon_vq_wait(a, a->reporting_vq, 1);
}

static enum trial_result trial_block(struct aerator *a, struct page *block,
				    unsigned int order)
{
	trial_mark(block, order);
	return trial_send(a, block, order) ? TRIAL_UNKNOWN : trial_look(block, order);
}

/**
 * balloon_trial_report - find out whether the host discards reported memory
 * @a: the device, with its reporting queue empty
 *
 * The result does not stop reporting: reports cost a host that keeps the memory little,
 * and the guest may be migrated to a host that discards it.
 *
 * Context: the intake's work; sleeps as balloon_vq_wait() does.
 */
void balloon_trial_report(struct aerator *a)
{
	unsigned int order = a->intake->ops->order(a->intake);
	struct page *block;

	if (a->trial != TRIAL_UNKNOWN || balloon_has_failed(a))
		return;
	block = trial_alloc(order);
	if (!block)
		return;
	WRITE_ONCE(a->trial, trial_block(a, block, order));
	__free_pages(block, order);
	if (a->trial == TRIAL_KEEPS)
		dev_warn(&a->vdev->dev,
			 "the host acknowledges reports of order %u and keeps the memory: its pages are larger, locked or shared, or a device is passed through\n",
			 order);
}

/**
 * balloon_trial_name - result of balloon_trial_report(), for sysfs
 * @a: the device
 *
 * Context: any.
 *
 * Return: a constant string.
 */
const char *balloon_trial_name(const struct aerator *a)
{
	static const char * const words[] = {
		[TRIAL_UNKNOWN] = "unknown",
		[TRIAL_DROPS] = "yes",
		[TRIAL_KEEPS] = "no",
	};

	return words[READ_ONCE(a->trial)];
}
