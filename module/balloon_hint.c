// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hint: what a live migration need not copy (virtio 1.2, 5.5.6.4).
 *
 * The host writes a command id into the device's configuration. We answer with
 * that id, then with free blocks, which the device takes off its list of pages to
 * copy, and with VIRTIO_BALLOON_CMD_ID_STOP at the end. Blocks stay allocated, so
 * that nobody writes to them and has them copied after all, until the host says
 * VIRTIO_BALLOON_CMD_ID_DONE; or the guest needs memory, which it may do whenever
 * the device has answered: who writes to such a page makes it dirty.
 *
 * What the host knows to be free costs a migration next to nothing, as it reads
 * as zeroes. And to allocate it is to have it back: kernels zero what they
 * allocate. So no more is hinted than the host still holds. Blocks of that kind
 * are allocated first, if not only.
 *
 * balloon_hint_lock covers the list, which those who reclaim memory take from. The
 * queue belongs to the one work item.
 */
#include <linux/bits.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <uapi/linux/virtio_balloon.h>
#include "balloon.h"
#include "mm_ballooned.h"

/* What QEMU takes off its list as one, and the guest has most of. */
#define BALLOON_HINT_ORDER	(ilog2(SZ_2M) - PAGE_SHIFT)
#define BALLOON_HINT_PAGES	BIT(BALLOON_HINT_ORDER)

/* Blocks for one wait, if the ring is as long. */
#define BALLOON_HINT_BATCH	64

/* Blocks that the device has answered: all devices', as there is one. */
static LIST_HEAD(balloon_hint_blocks);
static unsigned long balloon_hint_nr;
static DEFINE_SPINLOCK(balloon_hint_lock);

static void balloon_hint_keep(struct list_head *blocks, unsigned long nr)
{
	spin_lock(&balloon_hint_lock);
	list_splice_init(blocks, &balloon_hint_blocks);
	balloon_hint_nr += nr;
	spin_unlock(&balloon_hint_lock);
}

static void balloon_hint_drop(struct page *page)
{
	mm_ballooned_add(page, -(long)BALLOON_HINT_PAGES);
	__free_pages(page, BALLOON_HINT_ORDER);
}

static void balloon_hint_free(struct list_head *blocks)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, blocks, lru) {
		list_del(&page->lru);
		balloon_hint_drop(page);
		cond_resched();	/* each may have to be zeroed */
	}
}

/**
 * balloon_hint_held - what is kept from the guest for the sake of a migration
 *
 * Context: any.
 *
 * Return: pages.
 */
unsigned long balloon_hint_held(void)
{
	return READ_ONCE(balloon_hint_nr) << BALLOON_HINT_ORDER;
}

/**
 * balloon_hint_return - return some of that to the guest
 * @pages: how many at least, if there are as many
 *
 * Context: any task that may sleep, also to reclaim memory.
 *
 * Return: how many were returned.
 */
unsigned long balloon_hint_return(unsigned long pages)
{
	unsigned long nr = pages / BALLOON_HINT_PAGES + (pages % BALLOON_HINT_PAGES != 0);
	struct page *page, *next;
	unsigned long returned = 0;
	LIST_HEAD(blocks);

	spin_lock(&balloon_hint_lock);
	list_for_each_entry_safe(page, next, &balloon_hint_blocks, lru) {
		if (returned == nr)
			break;
		list_move(&page->lru, &blocks);
		returned++;
	}
	balloon_hint_nr -= returned;
	spin_unlock(&balloon_hint_lock);
	balloon_hint_free(&blocks);
	return returned << BALLOON_HINT_ORDER;
}

static u32 balloon_hint_command(struct aerator *a)
{
	u32 id;

	virtio_cread_le(a->vdev, struct virtio_balloon_config,
			free_page_hint_cmd_id, &id);
	return id;
}

/* Say an id: that of the command, or that there is no more to come. */
static int balloon_hint_say(struct aerator *a, u32 id)
{
	int err;

	a->hint.says = cpu_to_virtio32(a->vdev, id);
	err = balloon_vq_tell(a, a->hint_vq, &a->hint.says, sizeof(a->hint.says));
	return err ? err : balloon_vq_wait(a, a->hint_vq, 1);
}

/*
 * What lies there: nothing is reclaimed for it. And nothing that others may want to
 * have moved: these blocks cannot be.
 */
static struct page *balloon_hint_take(void)
{
	struct page *page = alloc_pages(__GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN,
					BALLOON_HINT_ORDER);

	if (page)
		mm_ballooned_add(page, BALLOON_HINT_PAGES);
	return page;
}

static int balloon_hint_put(struct aerator *a, struct page *page)
{
	struct scatterlist sg;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, page, PAGE_SIZE << BALLOON_HINT_ORDER, 0);
	return virtqueue_add_inbuf(a->hint_vq, &sg, 1, page, GFP_NOWAIT | __GFP_NOWARN);
}

/* Put up to @nr blocks on the queue, a chain each. Return how many. */
static unsigned int balloon_hint_fill(struct aerator *a, struct list_head *blocks,
				      unsigned int nr)
{
	unsigned int sent = 0;
	struct page *page;

	while (sent < nr) {
		page = balloon_hint_take();
		if (!page)
			break;
		if (balloon_hint_put(a, page)) {
			balloon_hint_drop(page);
			break;
		}
		list_add(&page->lru, blocks);
		sent++;
		cond_resched();	/* each may have to be zeroed */
	}
	return sent;
}

/* One batch. Return 0 if there may be more. */
static int balloon_hint_batch(struct aerator *a)
{
	unsigned int nr = min_t(unsigned int, BALLOON_HINT_BATCH,
				virtqueue_get_vring_size(a->hint_vq));
	LIST_HEAD(blocks);
	int err;

	nr = min_t(u64, nr, a->hint.left >> BALLOON_HINT_ORDER);
	nr = balloon_hint_fill(a, &blocks, nr);
	if (!nr)
		return -ENOENT;
	err = balloon_vq_wait(a, a->hint_vq, nr);
	if (err) {
		balloon_hint_free(&blocks);
		return err;
	}
	balloon_hint_keep(&blocks, nr);
	a->hint.left -= (u64)nr << BALLOON_HINT_ORDER;
	return 0;
}

/*
 * A command that is new. Each pass of a migration over what the guest wrote
 * meanwhile has one, but only the first has something to gain: what was freed since
 * then was written to since then, and will be again by whoever gets it back.
 */
static int balloon_hint_begin(struct aerator *a, u32 id)
{
	u64 treated;

	a->hint.command = id;
	if (!a->hint.migrating)
		a->intake->ops->counts(&a->hint.left, &treated);
	a->hint.migrating = true;
	return balloon_hint_say(a, id);
}

static int balloon_hint_end(struct aerator *a)
{
	a->hint.command = VIRTIO_BALLOON_CMD_ID_STOP;
	return balloon_hint_say(a, VIRTIO_BALLOON_CMD_ID_STOP);
}

/* The host wants no more, for now or for good. */
static void balloon_hint_leave(struct aerator *a, u32 id)
{
	if (a->hint.command != VIRTIO_BALLOON_CMD_ID_STOP)
		balloon_hint_end(a);
	if (id != VIRTIO_BALLOON_CMD_ID_DONE)
		return;
	a->hint.migrating = false;
	balloon_hint_return(ULONG_MAX);
}

/* True while there is more to do for the command that the host gives now. */
static bool balloon_hint_step(struct aerator *a, u32 id)
{
	if (id == VIRTIO_BALLOON_CMD_ID_STOP || id == VIRTIO_BALLOON_CMD_ID_DONE) {
		balloon_hint_leave(a, id);
		return false;
	}
	if (id == a->hint.done)
		return false;
	if (id != a->hint.command && balloon_hint_begin(a, id))
		return false;
	if (!balloon_hint_batch(a))
		return true;
	a->hint.done = id;
	a->hint.left = 0;
	balloon_hint_end(a);
	return false;
}

static void balloon_hint_work(struct work_struct *work)
{
	struct aerator *a = container_of(work, struct aerator, hint.work);

	/* Cleared, and this work waited for, before the queue goes. */
	if (!READ_ONCE(a->hint.running) || balloon_has_failed(a))
		return;
	/*
	 * A device need not show an id any more once it heard it: QEMU shows
	 * VIRTIO_BALLOON_CMD_ID_STOP while it takes hints. What counts is what it
	 * showed when it last said that something changed.
	 */
	if (xchg(&a->hint.changed, 0))
		a->hint.wanted = balloon_hint_command(a);
	if (balloon_hint_step(a, a->hint.wanted))
		queue_work(a->hint.wq, &a->hint.work);
}

/**
 * balloon_hint_changed - the host may have given a command
 * @a: the device
 *
 * Context: any.
 */
void balloon_hint_changed(struct aerator *a)
{
	xchg(&a->hint.changed, 1);
	queue_work(a->hint.wq, &a->hint.work);
}

/**
 * balloon_hint_create - what has to be there before the queue is
 * @a: the device
 *
 * To allocate blocks that have to be zeroed takes long: the work is bound to no
 * processor, so that others' works have not to wait for it.
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int balloon_hint_create(struct aerator *a)
{
	INIT_WORK(&a->hint.work, balloon_hint_work);
	a->hint.wq = alloc_workqueue("aerator_hints", WQ_UNBOUND | WQ_FREEZABLE, 1);
	return a->hint.wq ? 0 : -ENOMEM;
}

/**
 * balloon_hint_destroy - undo balloon_hint_create()
 * @a: the device, stopped, nothing of it queued; or balloon_hint_create() failed
 *
 * Context: may sleep.
 */
void balloon_hint_destroy(struct aerator *a)
{
	if (a->hint.wq)
		destroy_workqueue(a->hint.wq);
}

/**
 * balloon_hint_start - listen to the host's commands
 * @a: the device, ready, with its queues set up
 *
 * Context: balloon_mutex held.
 */
void balloon_hint_start(struct aerator *a)
{
	if (!a->hint_vq)
		return;
	a->hint.migrating = false;
	a->hint.command = VIRTIO_BALLOON_CMD_ID_STOP;
	a->hint.done = VIRTIO_BALLOON_CMD_ID_STOP;
	WRITE_ONCE(a->hint.running, true);
	/* A migration may be under way. */
	balloon_hint_changed(a);
}

/**
 * balloon_hint_stop - let go of the queue, before the device is reset
 * @a: the device
 *
 * A late interrupt may still queue the work; it does not touch the queue then.
 *
 * Context: balloon_mutex held; sleeps for as long as a batch takes to settle.
 */
void balloon_hint_stop(struct aerator *a)
{
	WRITE_ONCE(a->hint.running, false);
	cancel_work_sync(&a->hint.work);
	balloon_hint_return(ULONG_MAX);
}
