/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_COMPAT_BALLOON_H
#define AERATOR_COMPAT_BALLOON_H

#ifdef COMPAT_HAS_BALLOON_CORE
#include <linux/balloon.h>
#else
#include <linux/balloon_compaction.h>
#endif

/*
 * Kernels before "convert balloon_page_delete() to balloon_page_finalize()" (v6.17, and
 * stable releases of older series). For an isolated page, such as a migrated one, both
 * functions do the same.
 */
#if !defined(COMPAT_HAS_BALLOON_CORE) && !defined(COMPAT_HAS_BALLOON_FINALIZE)
#define balloon_page_finalize	balloon_page_delete
#endif

#if IS_ENABLED(CONFIG_BALLOON_COMPACTION) || IS_ENABLED(CONFIG_BALLOON_MIGRATION)
#define COMPAT_BALLOON_GFP	GFP_HIGHUSER_MOVABLE
#else
#define COMPAT_BALLOON_GFP	GFP_HIGHUSER
#endif

struct compat_balloon;

/**
 * typedef compat_balloon_move_fn - tell the host that a page replaces another one
 * @b: the balloon
 * @newpage: the new page, not in the balloon yet
 * @page: the old page, in the balloon
 *
 * Only tells the host. Called with both pages locked, in any task that needs a large
 * block: the function must not wait for a lock that this task may hold.
 *
 * Return: 0, or -EAGAIN if the old page stays in the balloon.
 */
typedef int (*compat_balloon_move_fn)(struct compat_balloon *b,
				      struct page *newpage, struct page *page);

/**
 * struct compat_balloon - the pages in a balloon
 * @info: the kernel's list of the pages, from which compaction isolates pages
 * @move: the driver's part of a migration
 * @managed: the pages do not count as memory of the guest (MemTotal)
 */
struct compat_balloon {
	struct balloon_dev_info info;
	compat_balloon_move_fn move;
	bool managed;
#ifdef COMPAT_HAS_BALLOON_INODE
	struct vfsmount *mount;
#endif
};

int compat_balloon_init(struct compat_balloon *b, compat_balloon_move_fn move,
			bool managed);
void compat_balloon_destroy(struct compat_balloon *b);
void compat_balloon_add(struct compat_balloon *b, struct list_head *pages);
unsigned long compat_balloon_remove(struct compat_balloon *b,
				    struct list_head *pages, unsigned long nr);

#endif /* AERATOR_COMPAT_BALLOON_H */
