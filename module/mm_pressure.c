// SPDX-License-Identifier: GPL-2.0
/*
 * Is a node short of memory?
 *
 * Reclaim asks all shrinkers what they have, and says for which node. So a shrinker
 * that hardly ever has anything is told of each reclaim as it happens, in kswapd or
 * in a task that could not wait. Pressure stall information is made of the same
 * events, but no module can read it (psi_system is not exported in any kernel up to
 * 7.3). Before the kernel kills a task it calls the OOM notifiers, for all nodes.
 * Reclaim of a cgroup at its limit does not get here. Caches that are dropped by hand
 * are no sign of pressure, and do not count.
 *
 * The one thing that this shrinker may have is blocks that a migration was told of:
 * they are free memory as soon as an allocation needs them.
 */
#include <linux/nodemask.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/sched.h>
#include "compat/shrinker.h"
#include "mm_pressure.h"

/* Nodes that were short since they were last looked at: atomic bits. */
static nodemask_t mm_pressure_seen;

/* What this shrinker has: see mm_pressure_start(). */
static unsigned long (*mm_pressure_held)(void);
static unsigned long (*mm_pressure_return)(unsigned long pages);

static void mm_pressure_note(int nid)
{
	if (!node_isset(nid, mm_pressure_seen))
		node_set(nid, mm_pressure_seen);
}

/* Reclaim has PF_MEMALLOC set, so that it may use the reserves; to drop caches has not. */
static unsigned long mm_pressure_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	if (current->flags & PF_MEMALLOC)
		mm_pressure_note(sc->nid);
	return mm_pressure_held() ?: SHRINK_EMPTY;
}

static unsigned long mm_pressure_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	return mm_pressure_return(sc->nr_to_scan) ?: SHRINK_STOP;
}

static int mm_pressure_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	int nid;

	for_each_online_node(nid)
		mm_pressure_note(nid);
	return NOTIFY_OK;
}

static struct compat_shrinker mm_pressure_shrinker;

static struct notifier_block mm_pressure_oom_nb = {
	.notifier_call = mm_pressure_oom,
};

/**
 * mm_pressure_start - begin to listen
 * @held: how many pages are kept from the guest that it may have; called in any context
 * @give: returns that many of them to the allocator at least, if there are as many, and
 *	says how many; called to reclaim memory, may sleep
 *
 * Context: may sleep.
 *
 * Return: 0 or a negative errno.
 */
int mm_pressure_start(unsigned long (*held)(void),
		      unsigned long (*give)(unsigned long pages))
{
	int err;

	mm_pressure_held = held;
	mm_pressure_return = give;
	err = compat_shrinker_start(&mm_pressure_shrinker, mm_pressure_count, mm_pressure_scan);
	if (err)
		return err;
	err = register_oom_notifier(&mm_pressure_oom_nb);
	if (err)
		compat_shrinker_stop(&mm_pressure_shrinker);
	return err;
}

/**
 * mm_pressure_stop - undo mm_pressure_start()
 *
 * Context: may sleep; returns when nobody is told any more.
 */
void mm_pressure_stop(void)
{
	unregister_oom_notifier(&mm_pressure_oom_nb);
	compat_shrinker_stop(&mm_pressure_shrinker);
}

/**
 * mm_pressure_felt - was memory of a node short since the last call?
 * @nid: the node
 *
 * Context: any.
 *
 * Return: true if it was.
 */
bool mm_pressure_felt(int nid)
{
	bool seen = node_isset(nid, mm_pressure_seen);

	if (seen)
		node_clear(nid, mm_pressure_seen);
	return seen;
}
