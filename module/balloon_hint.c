// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hint: free pages that a live migration need not copy (virtio 1.2, 5.5.6.4).
 *
 * The host writes a command id into the device's configuration. The driver answers with
 * this id, then with free blocks, which the device removes from its bitmap of pages to
 * copy, and at the end with VIRTIO_BALLOON_CMD_ID_STOP. The blocks stay allocated until
 * the host sends VIRTIO_BALLOON_CMD_ID_DONE, so that the guest does not write to them:
 * the host would then copy them after all. Blocks that the device has answered may be
 * freed at any time if the guest needs memory; a write to such a page makes it dirty, and
 * the migration copies it.
 *
 * Reported pages cost a migration next to nothing, as they read as zeroes. Allocating one
 * of them for a hint causes a refault, since the kernel may zero the pages that it
 * allocates. Therefore at most the amount of raw memory is hinted. The allocator takes
 * raw blocks first, though not always.
 *
 * balloon_hint_lock protects the list, from which reclaim takes blocks. The queue is
 * owned by the work item.
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

/* 2 MiB: QEMU handles such a block as a whole, and most free memory is in such blocks. */
#define BALLOON_HINT_ORDER	(ilog2(SZ_2M) - PAGE_SHIFT)
#define BALLOON_HINT_PAGES	BIT(BALLOON_HINT_ORDER)

/* Blocks per request, if the ring has as many entries. */
#define BALLOON_HINT_BATCH	64

/* Blocks that the device has answered. Global, since at most one device is bound. */
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
		cond_resched();	/* freeing may zero each block */
	}
}

/**
 * balloon_hint_held - number of hinted pages that are still allocated
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
 * balloon_hint_return - free hinted pages
 * @pages: free at least so many pages, or all if there are fewer
 *
 * Context: any task that may sleep, also in reclaim.
 *
 * Return: number of pages that were freed.
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

/* Send an id: that of the command, or VIRTIO_BALLOON_CMD_ID_STOP after the last block. */
static int balloon_hint_say(struct aerator *a, u32 id)
{
	int err;

	a->hint.says = cpu_to_virtio32(a->vdev, id);
	err = balloon_vq_tell(a, a->hint_vq, &a->hint.says, sizeof(a->hint.says));
	return err ? err : balloon_vq_wait(a, a->hint_vq, 1);
}

/*
 * Allocate a block, from free memory alone, without reclaim. Not from movable memory,
 * since hinted blocks cannot be migrated.
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

/* Put up to @nr blocks on the queue, one chain each. Returns their number. */
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
		cond_resched();	/* allocating may zero each block */
	}
	return sent;
}

/* Hint one batch. Returns 0 if there may be more. */
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
 * Begin to serve a new command. Each pass of a migration over the dirty pages has one,
 * but only the first pass gains from hints: pages that were freed since then were
 * written to since then, and will soon be written to again. @left is therefore set only
 * once per migration.
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

/* The host wants no more hints, for this pass or for the whole migration. */
static void balloon_hint_leave(struct aerator *a, u32 id)
{
	if (a->hint.command != VIRTIO_BALLOON_CMD_ID_STOP)
		balloon_hint_end(a);
	if (id != VIRTIO_BALLOON_CMD_ID_DONE)
		return;
	a->hint.migrating = false;
	balloon_hint_return(ULONG_MAX);
}

/* Serve the present command. Returns true if there is more to do. */
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

	/* balloon_hint_stop() clears it and waits for this work. */
	if (!READ_ONCE(a->hint.running) || balloon_has_failed(a))
		return;
	/*
	 * The configuration need not show the id after the device has received it:
	 * QEMU shows VIRTIO_BALLOON_CMD_ID_STOP while it takes hints. Read the id only
	 * after a configuration change.
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
 * balloon_hint_create - initialise free page hint, before the queue exists
 * @a: the device
 *
 * Allocating blocks that have to be zeroed takes long: the workqueue is unbound, so that
 * other works of the CPU do not wait.
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
 * @a: the device, stopped, its work cancelled; or balloon_hint_create() failed
 *
 * Context: may sleep.
 */
void balloon_hint_destroy(struct aerator *a)
{
	if (a->hint.wq)
		destroy_workqueue(a->hint.wq);
}

/**
 * balloon_hint_start - begin to serve the host's commands
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
	/* A migration may be running. */
	balloon_hint_changed(a);
}

/**
 * balloon_hint_stop - stop using the queue, before the device is reset
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
