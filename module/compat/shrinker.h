/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Registering a shrinker: since v6.0 it has a name for debugfs; since v6.7 the kernel
 * allocates it, so that it can be freed by RCU.
 */
#ifndef AERATOR_COMPAT_SHRINKER_H
#define AERATOR_COMPAT_SHRINKER_H

#include <linux/errno.h>
#include <linux/shrinker.h>

/**
 * typedef compat_shrink_fn - count_objects() or scan_objects() of a shrinker
 * @shrinker: the shrinker
 * @sc: arguments of the call
 */
typedef unsigned long (*compat_shrink_fn)(struct shrinker *shrinker,
					  struct shrink_control *sc);

/**
 * struct compat_shrinker - a shrinker, embedded or allocated by the kernel
 * @shrinker: the kernel's shrinker
 */
struct compat_shrinker {
#ifdef COMPAT_HAS_SHRINKER_ALLOC
	struct shrinker *shrinker;
#else
	struct shrinker shrinker;
#endif
};

/**
 * compat_shrinker_start - register a shrinker
 * @s: zeroed
 * @count: its count_objects()
 * @scan: its scan_objects()
 *
 * Return: 0 or a negative errno.
 */
static inline int compat_shrinker_start(struct compat_shrinker *s,
					compat_shrink_fn count, compat_shrink_fn scan)
{
#ifdef COMPAT_HAS_SHRINKER_ALLOC
	s->shrinker = shrinker_alloc(0, KBUILD_MODNAME);
	if (!s->shrinker)
		return -ENOMEM;
	s->shrinker->count_objects = count;
	s->shrinker->scan_objects = scan;
	shrinker_register(s->shrinker);
	return 0;
#else
	s->shrinker.count_objects = count;
	s->shrinker.scan_objects = scan;
	s->shrinker.seeks = DEFAULT_SEEKS;
#ifdef COMPAT_HAS_SHRINKER_NAME
	return register_shrinker(&s->shrinker, KBUILD_MODNAME);
#else
	return register_shrinker(&s->shrinker);
#endif
#endif
}

/**
 * compat_shrinker_stop - undo compat_shrinker_start()
 * @s: the shrinker
 *
 * After the return neither callback runs.
 */
static inline void compat_shrinker_stop(struct compat_shrinker *s)
{
#ifdef COMPAT_HAS_SHRINKER_ALLOC
	shrinker_free(s->shrinker);
#else
	unregister_shrinker(&s->shrinker);
#endif
}

#endif /* AERATOR_COMPAT_SHRINKER_H */
