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
 * freepage_lock covers the list, which those who reclaim memory take from. The
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
#include "given.h"

/* What QEMU takes off its list as one, and the guest has most of. */
#define FREEPAGE_ORDER		(ilog2(SZ_2M) - PAGE_SHIFT)
#define FREEPAGE_PAGES		BIT(FREEPAGE_ORDER)

/* Blocks for one wait, if the ring is as long. */
#define FREEPAGE_BATCH		64

/* Blocks that the device has answered: all devices', as there is one. */
static LIST_HEAD(freepage_blocks);
static unsigned long freepage_nr;
static DEFINE_SPINLOCK(freepage_lock);

static void freepage_keep(struct list_head *blocks, unsigned long nr)
{
	spin_lock(&freepage_lock);
	list_splice_init(blocks, &freepage_blocks);
	freepage_nr += nr;
	spin_unlock(&freepage_lock);
}

static void freepage_drop(struct page *page)
{
	given_add(page, -(long)FREEPAGE_PAGES);
	__free_pages(page, FREEPAGE_ORDER);
}

static void freepage_free(struct list_head *blocks)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, blocks, lru) {
		list_del(&page->lru);
		freepage_drop(page);
		cond_resched();	/* each may have to be zeroed */
	}
}

/**
 * freepage_held - what is kept from the guest for the sake of a migration
 *
 * Context: any.
 *
 * Return: pages.
 */
unsigned long freepage_held(void)
{
	return READ_ONCE(freepage_nr) << FREEPAGE_ORDER;
}

/**
 * freepage_give_back - give some of that to the guest
 * @pages: how many at least, if there are as many
 *
 * Context: any task that may sleep, also to reclaim memory.
 *
 * Return: how many were given.
 */
unsigned long freepage_give_back(unsigned long pages)
{
	unsigned long nr = pages / FREEPAGE_PAGES + (pages % FREEPAGE_PAGES != 0);
	struct page *page, *next;
	unsigned long given = 0;
	LIST_HEAD(blocks);

	spin_lock(&freepage_lock);
	list_for_each_entry_safe(page, next, &freepage_blocks, lru) {
		if (given == nr)
			break;
		list_move(&page->lru, &blocks);
		given++;
	}
	freepage_nr -= given;
	spin_unlock(&freepage_lock);
	freepage_free(&blocks);
	return given << FREEPAGE_ORDER;
}

static u32 freepage_command(struct aerator *a)
{
	u32 id;

	virtio_cread_le(a->vdev, struct virtio_balloon_config,
			free_page_hint_cmd_id, &id);
	return id;
}

/* Say an id: that of the command, or that there is no more to come. */
static int freepage_say(struct aerator *a, u32 id)
{
	int err;

	a->hints.says = cpu_to_virtio32(a->vdev, id);
	err = request_tell(a, a->freepage, &a->hints.says, sizeof(a->hints.says));
	return err ? err : request_wait(a, a->freepage, 1);
}

/*
 * What lies there: nothing is reclaimed for it. And nothing that others may want to
 * have moved: these blocks cannot be.
 */
static struct page *freepage_take(void)
{
	struct page *page = alloc_pages(__GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN,
					FREEPAGE_ORDER);

	if (page)
		given_add(page, FREEPAGE_PAGES);
	return page;
}

static int freepage_put(struct aerator *a, struct page *page)
{
	struct scatterlist sg;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, page, PAGE_SIZE << FREEPAGE_ORDER, 0);
	return virtqueue_add_inbuf(a->freepage, &sg, 1, page, GFP_NOWAIT | __GFP_NOWARN);
}

/* Put up to @nr blocks on the queue, a chain each. Return how many. */
static unsigned int freepage_fill(struct aerator *a, struct list_head *blocks,
				  unsigned int nr)
{
	unsigned int sent = 0;
	struct page *page;

	while (sent < nr) {
		page = freepage_take();
		if (!page)
			break;
		if (freepage_put(a, page)) {
			freepage_drop(page);
			break;
		}
		list_add(&page->lru, blocks);
		sent++;
		cond_resched();	/* each may have to be zeroed */
	}
	return sent;
}

/* One batch. Return 0 if there may be more. */
static int freepage_batch(struct aerator *a)
{
	unsigned int nr = min_t(unsigned int, FREEPAGE_BATCH,
				virtqueue_get_vring_size(a->freepage));
	LIST_HEAD(blocks);
	int err;

	nr = min_t(u64, nr, a->hints.left >> FREEPAGE_ORDER);
	nr = freepage_fill(a, &blocks, nr);
	if (!nr)
		return -ENOENT;
	err = request_wait(a, a->freepage, nr);
	if (err) {
		freepage_free(&blocks);
		return err;
	}
	freepage_keep(&blocks, nr);
	a->hints.left -= (u64)nr << FREEPAGE_ORDER;
	return 0;
}

/*
 * A command that is new. Each pass of a migration over what the guest wrote
 * meanwhile has one, but only the first has something to gain: what was freed since
 * then was written to since then, and will be again by whoever gets it back.
 */
static int freepage_begin(struct aerator *a, u32 id)
{
	u64 treated;

	a->hints.command = id;
	if (!a->hints.migrating)
		a->intake->ops->counts(&a->hints.left, &treated);
	a->hints.migrating = true;
	return freepage_say(a, id);
}

static int freepage_end(struct aerator *a)
{
	a->hints.command = VIRTIO_BALLOON_CMD_ID_STOP;
	return freepage_say(a, VIRTIO_BALLOON_CMD_ID_STOP);
}

/* The host wants no more, for now or for good. */
static void freepage_leave(struct aerator *a, u32 id)
{
	if (a->hints.command != VIRTIO_BALLOON_CMD_ID_STOP)
		freepage_end(a);
	if (id != VIRTIO_BALLOON_CMD_ID_DONE)
		return;
	a->hints.migrating = false;
	freepage_give_back(ULONG_MAX);
}

/* True while there is more to do for the command that the host gives now. */
static bool freepage_step(struct aerator *a, u32 id)
{
	if (id == VIRTIO_BALLOON_CMD_ID_STOP || id == VIRTIO_BALLOON_CMD_ID_DONE) {
		freepage_leave(a, id);
		return false;
	}
	if (id == a->hints.done)
		return false;
	if (id != a->hints.command && freepage_begin(a, id))
		return false;
	if (!freepage_batch(a))
		return true;
	a->hints.done = id;
	a->hints.left = 0;
	freepage_end(a);
	return false;
}

static void freepage_work(struct work_struct *work)
{
	struct aerator *a = container_of(work, struct aerator, hints.work);

	/* Cleared, and this work waited for, before the queue goes. */
	if (!READ_ONCE(a->hints.running) || balloon_is_lost(a))
		return;
	/*
	 * A device need not show an id any more once it heard it: QEMU shows
	 * VIRTIO_BALLOON_CMD_ID_STOP while it takes hints. What counts is what it
	 * showed when it last said that something changed.
	 */
	if (xchg(&a->hints.changed, 0))
		a->hints.wanted = freepage_command(a);
	if (freepage_step(a, a->hints.wanted))
		queue_work(a->hints.wq, &a->hints.work);
}

/**
 * freepage_changed - the host may have given a command
 * @a: the device
 *
 * Context: any.
 */
void freepage_changed(struct aerator *a)
{
	xchg(&a->hints.changed, 1);
	queue_work(a->hints.wq, &a->hints.work);
}

/**
 * freepage_create - what has to be there before the queue is
 * @a: the device
 *
 * To allocate blocks that have to be zeroed takes long: the work is bound to no
 * processor, so that others' works have not to wait for it.
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int freepage_create(struct aerator *a)
{
	INIT_WORK(&a->hints.work, freepage_work);
	a->hints.wq = alloc_workqueue("aerator_hints", WQ_UNBOUND | WQ_FREEZABLE, 1);
	return a->hints.wq ? 0 : -ENOMEM;
}

/**
 * freepage_destroy - undo freepage_create()
 * @a: the device, stopped, nothing of it queued; or freepage_create() failed
 *
 * Context: may sleep.
 */
void freepage_destroy(struct aerator *a)
{
	if (a->hints.wq)
		destroy_workqueue(a->hints.wq);
}

/**
 * freepage_start - listen to the host's commands
 * @a: the device, ready, with its queues set up
 *
 * Context: balloon_mutex held.
 */
void freepage_start(struct aerator *a)
{
	if (!a->freepage)
		return;
	a->hints.migrating = false;
	a->hints.command = VIRTIO_BALLOON_CMD_ID_STOP;
	a->hints.done = VIRTIO_BALLOON_CMD_ID_STOP;
	WRITE_ONCE(a->hints.running, true);
	/* A migration may be under way. */
	freepage_changed(a);
}

/**
 * freepage_stop - let go of the queue, before the device is reset
 * @a: the device
 *
 * A late interrupt may still queue the work; it does not touch the queue then.
 *
 * Context: balloon_mutex held; sleeps for as long as a batch takes to settle.
 */
void freepage_stop(struct aerator *a)
{
	WRITE_ONCE(a->hints.running, false);
	cancel_work_sync(&a->hints.work);
	freepage_give_back(ULONG_MAX);
}
