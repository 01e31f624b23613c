/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_COMPAT_BALLOON_H
#define AERATOR_COMPAT_BALLOON_H

#ifdef COMPAT_HAS_BALLOON_CORE
#include <linux/balloon.h>
#else
#include <linux/balloon_compaction.h>
#endif

/*
 * Until "convert balloon_page_delete() to balloon_page_finalize()" (v6.17, and in
 * stable releases of older series). To a page that is isolated, as those are that
 * were moved, both do the same.
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
 * typedef compat_balloon_move_fn - let a page take the place of another
 * @b: the balloon
 * @newpage: not in it yet
 * @page: in it
 *
 * Tells the host, and nothing else. Called with both pages locked, in whichever
 * task needs a large block: it must not wait for someone who may be that task.
 *
 * Return: 0, or -EAGAIN if everything stays as it was.
 */
typedef int (*compat_balloon_move_fn)(struct compat_balloon *b,
				      struct page *newpage, struct page *page);

/**
 * struct compat_balloon - the pages that a balloon has
 * @info: the kernel's list of them, from which it takes those that it moves
 * @move: our part of that
 * @managed: they do not count as memory of the guest (MemTotal)
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
