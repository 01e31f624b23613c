/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shrinkers: registered as they are; then with a name for debugfs (v6.0); then
 * allocated by the kernel, so that they can be freed by RCU (v6.7).
 */
#ifndef AERATOR_COMPAT_SHRINKER_H
#define AERATOR_COMPAT_SHRINKER_H

#include <linux/errno.h>
#include <linux/shrinker.h>

/**
 * typedef compat_shrink_fn - either function of a shrinker
 * @shrinker: the shrinker
 * @sc: who asks
 */
typedef unsigned long (*compat_shrink_fn)(struct shrinker *shrinker,
					  struct shrink_control *sc);

/**
 * struct compat_shrinker - a shrinker, whoever owns its memory
 * @shrinker: that of the kernel
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
 * @count: says what there is
 * @scan: takes some of it
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
 * Returns when neither function runs any more.
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
