// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon: pages that the guest gives to the host, as many as the host wants.
 *
 * The host writes a target into the device's configuration, and the driver inflates or
 * deflates the balloon to this size, batch by batch (virtio 1.2, 5.5.6.1). The device
 * counts in pages of 4 KiB, the driver in pages of the guest.
 *
 * Inflating takes large blocks first, and base pages when no block is left. A host that
 * backs the guest with huge pages can discard a huge page only if all of it is inflated,
 * for some hosts in one chain (see balloon_trial.c); single pages bring such a host
 * nothing. A block is split into base pages, so that compaction can migrate them and the
 * host can ask for a few of them. The kernel may zero pages when it allocates them: this
 * refaults memory that was reported before, one batch at a time.
 *
 * The host is always told first, also without VIRTIO_BALLOON_F_MUST_TELL_HOST: a page is
 * in the balloon after the device has answered its inflation, and is freed after the
 * device has answered its deflation. A device that does not answer is reset, and then
 * owns no page.
 *
 * balloon.lock protects both queues and the pages. It nests inside balloon_mutex. No task
 * allocates memory under it, since the OOM notifier takes the lock to deflate. Page
 * migration, which may run inside any allocation, uses only mutex_trylock().
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include "balloon_inflate.h"
#include "mm_ballooned.h"

/* Numbers in one batch: 16 MiB per request. */
#define INFLATE_BATCH		(8 * INFLATE_CHAIN_MAX)

/* Pages that the OOM notifier deflates. */
#define INFLATE_OOM_PAGES	(SZ_4M >> PAGE_SHIFT)
/* How long the OOM notifier waits for the lock: as long as for an unanswered batch, ms. */
#define INFLATE_OOM_MS		2500
/* As in virtio_balloon: before notifiers that free memory of more value. */
#define INFLATE_OOM_PRIORITY	80

/* Most pages in one batch, so that the batch fits on the queue. */
static unsigned long inflate_batch(struct virtqueue *vq)
{
	unsigned long numbers = INFLATE_CHAIN_MIN * virtqueue_get_vring_size(vq);

	return min_t(unsigned long, numbers, INFLATE_BATCH) / INFLATE_UNITS;
}

/**
 * balloon_inflate_can_tell - may requests be sent to the device?
 * @b: the balloon
 *
 * Context: @b->lock held.
 *
 * Return: true if the queues can be used.
 */
bool balloon_inflate_can_tell(const struct balloon *b)
{
	lockdep_assert_held(&b->lock);
	return b->running && !balloon_has_failed(b->a);
}

/* Append the numbers of a page to @b->numbers. Returns the new count. */
static unsigned int inflate_number(struct balloon *b, unsigned int nr,
				   struct page *page)
{
	u32 first = page_to_pfn(page) * INFLATE_UNITS;
	unsigned int i;

	for (i = 0; i < INFLATE_UNITS; i++)
		b->numbers[nr++] = cpu_to_virtio32(b->a->vdev, first + i);
	return nr;
}

/*
 * Send the first @nr numbers to the device, and wait for its answer. The queue is empty,
 * and has room for a whole batch.
 */
static int inflate_tell(struct balloon *b, struct virtqueue *vq, unsigned int nr)
{
	unsigned int i, len, chains = 0;
	int err;

	for (i = 0; i < nr; i += len) {
		len = min_t(unsigned int, nr - i, b->chain);
		err = balloon_vq_tell(b->a, vq, b->numbers + i, len * sizeof(*b->numbers));
		if (err)
			return err;
		chains++;
	}
	return balloon_vq_wait(b->a, vq, chains);
}

static int inflate_tell_pages(struct balloon *b, struct virtqueue *vq,
			      struct list_head *pages)
{
	unsigned int nr = 0;
	struct page *page;

	list_for_each_entry(page, pages, lru)
		nr = inflate_number(b, nr, page);
	return inflate_tell(b, vq, nr);
}

static int inflate_tell_page(struct balloon *b, struct virtqueue *vq, struct page *page)
{
	return inflate_tell(b, vq, inflate_number(b, 0, page));
}

/**
 * balloon_inflate_tell_block - inflate or deflate one block, and wait for the answer
 * @b: the balloon
 * @vq: the inflate or the deflate queue
 * @block: the block, of INFLATE_BLOCK_PAGES pages
 *
 * Context: @b->lock held, balloon_inflate_can_tell(); sleeps as balloon_vq_wait() does.
 *
 * Return: 0, or -EIO if the device was reset.
 */
int balloon_inflate_tell_block(struct balloon *b, struct virtqueue *vq, struct page *block)
{
	unsigned int i, nr = 0;

	lockdep_assert_held(&b->lock);
	for (i = 0; i < INFLATE_BLOCK_PAGES; i++)
		nr = inflate_number(b, nr, block + i);
	return inflate_tell(b, vq, nr);
}

/*
 * Write the size to the configuration. @lock held, the device running. On channel I/O
 * (s390) the write allocates memory. It may use the reserves: otherwise the allocation
 * could call the OOM notifier, which waits for @lock.
 */
static void inflate_write_size(struct balloon *b)
{
	unsigned int flags = memalloc_noreclaim_save();
	u32 actual = b->size * INFLATE_UNITS;

	lockdep_assert_held(&b->lock);
	virtio_cwrite_le(b->a->vdev, struct virtio_balloon_config, actual, &actual);
	memalloc_noreclaim_restore(flags);
}

static void inflate_free(struct list_head *pages)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, pages, lru) {
		list_del(&page->lru);
		mm_ballooned_add(page, -1);
		put_page(page);
	}
}

/*
 * Allocate a free block, split into base pages, without reclaim or compaction. Returns
 * the number of pages.
 */
static unsigned long inflate_take_block(struct list_head *pages)
{
	gfp_t gfp = COMPAT_BALLOON_GFP | __GFP_NORETRY | __GFP_NOMEMALLOC |
		    __GFP_NOWARN;
	struct page *block;
	unsigned long i;

	block = alloc_pages(gfp & ~__GFP_RECLAIM, INFLATE_BLOCK_ORDER);
	if (!block)
		return 0;
	mm_ballooned_add(block, INFLATE_BLOCK_PAGES);
	split_page(block, INFLATE_BLOCK_ORDER);
	for (i = 0; i < INFLATE_BLOCK_PAGES; i++)
		list_add_tail(&block[i].lru, pages);
	return INFLATE_BLOCK_PAGES;
}

static unsigned long inflate_take_page(struct list_head *pages)
{
	struct page *page = balloon_page_alloc();

	if (!page)
		return 0;
	mm_ballooned_add(page, 1);
	list_add_tail(&page->lru, pages);
	return 1;
}

/* Allocate up to @nr pages. Returns their number. */
static unsigned long inflate_take(struct list_head *pages, unsigned long nr)
{
	unsigned long taken = 0, got = 1;
	bool blocks = true;

	while (taken < nr && got) {
		blocks &= nr - taken >= INFLATE_BLOCK_PAGES;
		got = blocks ? inflate_take_block(pages) : 0;
		blocks &= got != 0;
		if (!got)
			got = inflate_take_page(pages);
		taken += got;
	}
	return taken;
}

/* Put pages into the balloon; free them if the device does not take them. */
static int inflate_put(struct balloon *b, struct list_head *pages, unsigned long nr)
{
	int err = -EAGAIN;

	mutex_lock(&b->lock);
	if (balloon_inflate_can_tell(b) && !READ_ONCE(b->closed) && !READ_ONCE(b->oom_deflated))
		err = inflate_tell_pages(b, b->a->inflate_vq, pages);
	if (!err) {
		compat_balloon_add(&b->pages, pages);
		WRITE_ONCE(b->size, b->size + nr);
		inflate_write_size(b);
	}
	mutex_unlock(&b->lock);
	inflate_free(pages);
	return err;
}

/**
 * balloon_inflate_grow - inflate by one batch
 * @b: the balloon
 * @want: number of pages up to the target, at least one
 *
 * Context: may sleep, without @b->lock.
 *
 * Return: 0, -ENOMEM if not enough pages could be allocated for the batch, or another
 * negative errno if the device did not take the batch.
 */
int balloon_inflate_grow(struct balloon *b, unsigned long want)
{
	unsigned long nr, taken;
	LIST_HEAD(pages);
	int err;

	nr = min(want, inflate_batch(b->a->inflate_vq));
	taken = inflate_take(&pages, nr);
	err = taken ? inflate_put(b, &pages, taken) : -ENOMEM;
	return !err && taken < nr ? -ENOMEM : err;
}

/*
 * Deflate by one batch. A device that was reset owns no page, and is not told. Returns
 * the number of pages, 0 if all pages that are left are being migrated.
 */
static unsigned long inflate_shrink_locked(struct balloon *b, unsigned long want)
{
	bool tell = balloon_inflate_can_tell(b);
	LIST_HEAD(pages);
	unsigned long nr;

	lockdep_assert_held(&b->lock);
	nr = min_t(unsigned long, want, INFLATE_BATCH / INFLATE_UNITS);
	if (tell)
		nr = min(nr, inflate_batch(b->a->deflate_vq));
	nr = compat_balloon_remove(&b->pages, &pages, nr);
	WRITE_ONCE(b->size, b->size - nr);
	/* After the answer or a reset the device does not own the pages any more. */
	if (tell && nr && !inflate_tell_pages(b, b->a->deflate_vq, &pages))
		inflate_write_size(b);
	inflate_free(&pages);
	return nr;
}

/**
 * balloon_inflate_shrink - deflate by one batch
 * @b: the balloon
 * @want: number of pages down to the target
 *
 * Context: may sleep, without @b->lock.
 *
 * Return: 0, or -EBUSY if all pages that are left are being migrated at the moment, or
 * the device cannot be told.
 */
int balloon_inflate_shrink(struct balloon *b, unsigned long want)
{
	unsigned long nr = 0;

	mutex_lock(&b->lock);
	if (balloon_inflate_can_tell(b))
		nr = inflate_shrink_locked(b, want);
	mutex_unlock(&b->lock);
	return nr ? 0 : -EBUSY;
}

/*
 * With @urgent set, the task that has the lock gets its answer or resets the device
 * within two seconds. A device that does not answer and cannot be reset blocks the lock
 * for longer; the balloon then has no pages to give.
 */
static bool inflate_lock_urgent(struct balloon *b)
{
	unsigned long end = jiffies + msecs_to_jiffies(INFLATE_OOM_MS);

	while (!mutex_trylock(&b->lock)) {
		if (time_after(jiffies, end))
			return false;
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

/*
 * OOM notifier: deflate, and stop inflating until the host sets another target. The host
 * sees the size. With the same target the balloon would take the memory from the guest
 * again and again, also after another change of the configuration, or a reset.
 */
static int inflate_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	struct balloon *b = container_of(nb, struct balloon, oom);

	if (!xchg(&b->oom_deflated, 1) && READ_ONCE(b->size))
		dev_info(&b->a->vdev->dev,
			 "the guest is out of memory: the balloon deflates\n");
	/* Under the kernel's oom_lock: one notifier at a time writes it. */
	WRITE_ONCE(b->a->requests.urgent, true);
	if (inflate_lock_urgent(b)) {
		/* Between balloon_inflate_stop() and the reset the device cannot be told. */
		if (b->running || balloon_has_failed(b->a))
			*(unsigned long *)freed += inflate_shrink_locked(b, INFLATE_OOM_PAGES);
		mutex_unlock(&b->lock);
	}
	WRITE_ONCE(b->a->requests.urgent, false);
	return NOTIFY_OK;
}

static bool inflate_on_oom(const struct balloon *b)
{
	return virtio_has_feature(b->a->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/*
 * Replace a page for compaction: inflate the new page, then deflate the old one. After
 * the first answer there is no way back. If the second request is not answered, the
 * device was reset and does not own the old page any more.
 */
static int inflate_move(struct compat_balloon *pages, struct page *newpage,
			struct page *page)
{
	struct balloon *b = container_of(pages, struct balloon, pages);
	int err = -EAGAIN;

	if (!mutex_trylock(&b->lock))
		return -EAGAIN;
	if (balloon_inflate_can_tell(b) && !inflate_tell_page(b, b->a->inflate_vq, newpage))
		err = 0;
	if (!err && !balloon_has_failed(b->a))
		inflate_tell_page(b, b->a->deflate_vq, page);
	mutex_unlock(&b->lock);
	if (!err) {
		mm_ballooned_add(newpage, 1);
		mm_ballooned_add(page, -1);
	}
	return err;
}

/**
 * balloon_inflate_size - size of the balloon
 * @a: the device
 *
 * Context: any.
 *
 * Return: pages.
 */
unsigned long balloon_inflate_size(const struct aerator *a)
{
	return READ_ONCE(a->balloon->size);
}

/**
 * balloon_inflate_start - the queues may be used once the device is ready
 * @a: the device, with its queues set up; reset, if anything is in the balloon
 *
 * Context: balloon_mutex held.
 */
void balloon_inflate_start(struct aerator *a)
{
	struct balloon *b = a->balloon;

	mutex_lock(&b->lock);
	WRITE_ONCE(b->running, true);
	WRITE_ONCE(b->closed, false);
	/* The guest may have been resumed on another host. */
	b->trial = TRIAL_UNKNOWN;
	/* The reset did not change the balloon, but the device may have lost its size. */
	inflate_write_size(b);
	mutex_unlock(&b->lock);
}

/**
 * balloon_inflate_stop - stop using the queues, before the device is reset
 * @a: the device
 *
 * The balloon stays as it is.
 *
 * Context: balloon_mutex held; sleeps for as long as a batch takes to settle.
 */
void balloon_inflate_stop(struct aerator *a)
{
	struct balloon *b = a->balloon;

	mutex_lock(&b->lock);
	WRITE_ONCE(b->running, false);
	mutex_unlock(&b->lock);
}

/*
 * With @closed set the balloon does not grow, as soon as a batch that was begun before has
 * ended. Deflate it completely, or until @closed is cleared.
 */
static void inflate_drain(struct balloon *b)
{
	unsigned long nr;

	mutex_lock(&b->lock);
	mutex_unlock(&b->lock);
	while (READ_ONCE(b->closed) && balloon_inflate_size(b->a)) {
		mutex_lock(&b->lock);
		nr = inflate_shrink_locked(b, b->size);
		mutex_unlock(&b->lock);
		if (!nr)
			msleep(INFLATE_MOVE_MS);
		cond_resched();
	}
}

/**
 * balloon_inflate_empty - deflate the balloon completely
 * @a: the device, running or not
 *
 * Context: balloon_mutex held; sleeps until the balloon is empty.
 */
void balloon_inflate_empty(struct aerator *a)
{
	WRITE_ONCE(a->balloon->closed, true);
	inflate_drain(a->balloon);
}

/* Under @lock: no page is added between the check and the completion. */
static void inflate_emptying(struct work_struct *work)
{
	struct balloon *b = container_of(work, struct balloon, emptying);
	bool empty;

	inflate_drain(b);
	mutex_lock(&b->lock);
	empty = READ_ONCE(b->closed) && !b->size;
	if (empty)
		complete_all(&b->emptied);
	mutex_unlock(&b->lock);
	/* After a refused suspend the balloon follows the target again. */
	if (!empty)
		balloon_target_changed(b->a);
	wake_up_all(&b->a->requests.acked);
}

/**
 * balloon_inflate_try_empty - deflate the balloon completely, if the device answers
 * @a: the device
 *
 * A device that does not answer and cannot be reset keeps its batch, and a work waits for
 * the answer in place of the caller. The work is not freezable, as the other works are
 * frozen during a suspend.
 *
 * Context: balloon_mutex held. Sleeps until the balloon is empty or the device is stuck.
 *
 * Return: 0, or -EBUSY with the balloon as large as it is then, and in use.
 */
int balloon_inflate_try_empty(struct aerator *a)
{
	struct balloon *b = a->balloon;

	/* Without the lock: after a refused suspend the work may hold it for long. */
	WRITE_ONCE(b->closed, true);
	reinit_completion(&b->emptied);
	queue_work(system_unbound_wq, &b->emptying);
	wait_event_idle(a->requests.acked,
			READ_ONCE(a->reset.stuck) || completion_done(&b->emptied));
	if (completion_done(&b->emptied))
		return 0;
	WRITE_ONCE(b->closed, false);
	queue_work(system_unbound_wq, &b->emptying);
	return -EBUSY;
}

static int inflate_register_oom(struct balloon *b)
{
	b->oom.notifier_call = inflate_oom;
	b->oom.priority = INFLATE_OOM_PRIORITY;
	return inflate_on_oom(b) ? register_oom_notifier(&b->oom) : 0;
}

static struct balloon *inflate_alloc(struct aerator *a)
{
	struct balloon *b = kzalloc(sizeof(*b), GFP_KERNEL);

	if (!b)
		return NULL;
	b->numbers = kmalloc_array(INFLATE_BATCH, sizeof(*b->numbers), GFP_KERNEL);
	if (!b->numbers) {
		kfree(b);
		return NULL;
	}
	b->a = a;
	b->chain = INFLATE_CHAIN_MIN;
	mutex_init(&b->lock);
	INIT_WORK(&b->emptying, inflate_emptying);
	init_completion(&b->emptied);
	return b;
}

/**
 * balloon_inflate_create - create an empty balloon
 * @a: the device, its features negotiated
 *
 * Context: may sleep.
 *
 * Return: 0 or a negative errno.
 */
int balloon_inflate_create(struct aerator *a)
{
	struct balloon *b = inflate_alloc(a);
	int err;

	if (!b)
		return -ENOMEM;
	err = compat_balloon_init(&b->pages, inflate_move, !inflate_on_oom(b));
	if (err)
		goto free;
	err = inflate_register_oom(b);
	if (err)
		goto destroy;
	a->balloon = b;
	return 0;

destroy:
	compat_balloon_destroy(&b->pages);
free:
	kfree(b->numbers);
	kfree(b);
	return err;
}

/**
 * balloon_inflate_destroy - undo balloon_inflate_create()
 * @a: the device, stopped, its balloon empty
 *
 * Context: may sleep.
 */
void balloon_inflate_destroy(struct aerator *a)
{
	struct balloon *b = a->balloon;

	cancel_work_sync(&b->emptying);
	if (inflate_on_oom(b))
		unregister_oom_notifier(&b->oom);
	compat_balloon_destroy(&b->pages);
	kfree(b->numbers);
	kfree(b);
}
