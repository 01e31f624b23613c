// SPDX-License-Identifier: GPL-2.0
/*
 * Detects memory pressure on a node.
 *
 * Reclaim calls count_objects() of all shrinkers, with the number of the node. A
 * shrinker therefore sees each reclaim at once, in kswapd or in direct reclaim, even if
 * it has no objects. Pressure stall information is derived from the same events, but a
 * module cannot read it (psi_system is not exported in any kernel up to 7.3). Before the
 * OOM killer chooses a task, the kernel calls the OOM notifiers: this counts for all
 * nodes. Reclaim of a cgroup at its limit does not call this shrinker. Writing to
 * drop_caches does, but is no memory pressure and does not count.
 *
 * The only objects of this shrinker are blocks that were hinted to a migration: they
 * become free memory as soon as an allocation needs them.
 */
#include <linux/nodemask.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/sched.h>
#include "compat/shrinker.h"
#include "mm_pressure.h"

/* Nodes with memory pressure since mm_pressure_recent() of the node: atomic bits. */
static nodemask_t mm_pressure_seen;

/* Callbacks that count and free the shrinker's pages: see mm_pressure_start(). */
static unsigned long (*mm_pressure_held)(void);
static unsigned long (*mm_pressure_return)(unsigned long pages);

static void mm_pressure_note(int nid)
{
	if (!node_isset(nid, mm_pressure_seen))
		node_set(nid, mm_pressure_seen);
}

/* Reclaim sets PF_MEMALLOC, so that it may use the reserves; drop_caches does not. */
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
 * mm_pressure_start - register the shrinker and the OOM notifier
 * @held: returns the number of pages that the shrinker could free; called in any context
 * @give: frees at least @pages pages, or as many as there are, and returns their number;
 *	called in reclaim, may sleep
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
 * Context: may sleep. After the return no callback runs, and none will.
 */
void mm_pressure_stop(void)
{
	unregister_oom_notifier(&mm_pressure_oom_nb);
	compat_shrinker_stop(&mm_pressure_shrinker);
}

/**
 * mm_pressure_recent - was a node under memory pressure since the last call?
 * @nid: the node
 *
 * Context: any.
 *
 * Return: true if it was.
 */
bool mm_pressure_recent(int nid)
{
	bool seen = node_isset(nid, mm_pressure_seen);

	if (seen)
		node_clear(nid, mm_pressure_seen);
	return seen;
}
