// SPDX-License-Identifier: GPL-2.0
/*
 * Pages in a balloon, which compaction may migrate.
 *
 * Up to v5.19 a movable page needs a mapping, and the mapping an inode of a pseudo file
 * system. Since v6.0 it needs only movable_operations, and in later kernels (after v6.12,
 * before v7.3) mm has its own for balloon pages. Inserting the new page after a
 * migration, and adjusting the managed page count, was done by the driver and is done by
 * mm in these later kernels.
 */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/vmstat.h>
#include "balloon.h"

#if defined(COMPAT_HAS_BALLOON_INODE) && defined(CONFIG_BALLOON_COMPACTION)
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

static int balloon_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, BALLOON_KVM_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type balloon_fs = {
	.name = "aerator-balloon",
	.init_fs_context = balloon_fs_init,
	.kill_sb = kill_anon_super,
};

static int balloon_inode_create(struct compat_balloon *b)
{
	struct inode *inode;

	b->mount = kern_mount(&balloon_fs);
	if (IS_ERR(b->mount))
		return PTR_ERR(b->mount);
	inode = alloc_anon_inode(b->mount->mnt_sb);
	if (IS_ERR(inode)) {
		kern_unmount(b->mount);
		return PTR_ERR(inode);
	}
	inode->i_mapping->a_ops = &balloon_aops;
	b->info.inode = inode;
	return 0;
}

static void balloon_inode_destroy(struct compat_balloon *b)
{
	iput(b->info.inode);
	kern_unmount(b->mount);
}
#else
static int balloon_inode_create(struct compat_balloon *b)
{
	return 0;
}

static void balloon_inode_destroy(struct compat_balloon *b)
{
}
#endif

static void balloon_adjust(const struct compat_balloon *b, struct page *page, long nr)
{
#ifndef COMPAT_HAS_BALLOON_CORE
	if (b->managed)
		adjust_managed_page_count(page, nr);
#endif
}

#if defined(CONFIG_BALLOON_COMPACTION) || defined(CONFIG_BALLOON_MIGRATION)
/* Replace @page by @newpage in the balloon; with COMPAT_HAS_BALLOON_CORE mm does this. */
static void balloon_replace(struct compat_balloon *b, struct page *newpage,
			    struct page *page)
{
#ifndef COMPAT_HAS_BALLOON_CORE
	struct balloon_dev_info *info = &b->info;
	unsigned long flags;

	get_page(newpage);
	if (page_zone(page) != page_zone(newpage)) {
		balloon_adjust(b, page, 1);
		balloon_adjust(b, newpage, -1);
	}
	spin_lock_irqsave(&info->pages_lock, flags);
	balloon_page_insert(info, newpage);
	info->isolated_pages--;
	__count_vm_event(BALLOON_MIGRATE);
	spin_unlock_irqrestore(&info->pages_lock, flags);
	/*
	 * The balloon cannot be emptied and destroyed before the caller has unlocked the
	 * new page: locked pages are not dequeued.
	 */
	balloon_page_finalize(page);
	put_page(page);
#endif
}

static int balloon_migrate(struct balloon_dev_info *info, struct page *newpage,
			   struct page *page, enum migrate_mode mode)
{
	struct compat_balloon *b = container_of(info, struct compat_balloon, info);
	int err = b->move(b, newpage, page);

	if (!err)
		balloon_replace(b, newpage, page);
	return err;
}

static void balloon_make_movable(struct balloon_dev_info *info)
{
	info->migratepage = balloon_migrate;
}
#else
static void balloon_make_movable(struct balloon_dev_info *info)
{
}
#endif

/**
 * compat_balloon_init - initialise an empty balloon
 * @b: the balloon
 * @move: called when a page is migrated
 * @managed: adjust the managed page count: pages in the balloon do not count as memory
 *	of the guest
 *
 * Context: may sleep.
 *
 * Return: 0 or a negative errno.
 */
int compat_balloon_init(struct compat_balloon *b, compat_balloon_move_fn move,
			bool managed)
{
	balloon_devinfo_init(&b->info);
	b->move = move;
	b->managed = managed;
	balloon_make_movable(&b->info);
#ifdef COMPAT_HAS_BALLOON_CORE
	b->info.adjust_managed_page_count = managed;
#endif
	return balloon_inode_create(b);
}

/**
 * compat_balloon_destroy - undo compat_balloon_init()
 * @b: the balloon, empty, with no page isolated for migration
 *
 * Context: may sleep.
 */
void compat_balloon_destroy(struct compat_balloon *b)
{
	balloon_inode_destroy(b);
}

/**
 * compat_balloon_add - put pages into a balloon
 * @b: the balloon
 * @pages: list by lru, empty afterwards; each page allocated, with one reference, which
 *	the balloon takes
 *
 * Context: any task.
 */
void compat_balloon_add(struct compat_balloon *b, struct list_head *pages)
{
	struct page *page;

	list_for_each_entry(page, pages, lru)
		balloon_adjust(b, page, -1);
	balloon_page_list_enqueue(&b->info, pages);
}

/**
 * compat_balloon_remove - take pages out of a balloon
 * @b: the balloon
 * @pages: list to which the pages are added
 * @nr: most pages to take
 *
 * Pages that are being migrated are not taken; they are back after a moment.
 *
 * Context: any task.
 *
 * Return: number of pages taken.
 */
unsigned long compat_balloon_remove(struct compat_balloon *b,
				    struct list_head *pages, unsigned long nr)
{
	LIST_HEAD(taken);
	struct page *page;

	nr = balloon_page_list_dequeue(&b->info, &taken, nr);
	list_for_each_entry(page, &taken, lru)
		balloon_adjust(b, page, 1);
	list_splice(&taken, pages);
	return nr;
}
