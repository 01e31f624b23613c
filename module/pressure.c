// SPDX-License-Identifier: GPL-2.0
/*
 * Is the guest short of memory?
 *
 * Whoever reclaims memory asks all shrinkers what they have, so one that
 * hardly ever has anything is told of each reclaim as it happens, in kswapd or in a task that
 * could not wait. It is what pressure stall information is made of, which itself
 * no module can read (psi_system is not exported, in no kernel up to 7.3). Before
 * something is killed, the OOM notifiers are asked as well. Who has reached the
 * limit of his cgroup does not ask us; who drops caches by hand does.
 *
 * Well, there is one thing: blocks that a migration was told of are free memory to
 * whoever needs it.
 */
#include <linux/compiler.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include "balloon.h"
#include "compat/shrinker.h"
#include "pressure.h"

/* Set by many, cleared by the one that looks: it only has to be seen once. */
static bool pressure_seen;

static void pressure_note(void)
{
	if (!READ_ONCE(pressure_seen))
		WRITE_ONCE(pressure_seen, true);
}

static unsigned long pressure_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	pressure_note();
	return freepage_held() ?: SHRINK_EMPTY;
}

static unsigned long pressure_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	return freepage_give_back(sc->nr_to_scan) ?: SHRINK_STOP;
}

static int pressure_oom(struct notifier_block *nb, unsigned long unused, void *freed)
{
	pressure_note();
	return NOTIFY_OK;
}

static struct compat_shrinker pressure_shrinker;

static struct notifier_block pressure_oom_nb = {
	.notifier_call = pressure_oom,
};

/**
 * pressure_start - begin to listen
 *
 * Context: may sleep.
 *
 * Return: 0 or a negative errno.
 */
int pressure_start(void)
{
	int err = compat_shrinker_start(&pressure_shrinker, pressure_count, pressure_scan);

	if (err)
		return err;
	err = register_oom_notifier(&pressure_oom_nb);
	if (err)
		compat_shrinker_stop(&pressure_shrinker);
	return err;
}

/**
 * pressure_stop - undo pressure_start()
 *
 * Context: may sleep; returns when nobody is told any more.
 */
void pressure_stop(void)
{
	unregister_oom_notifier(&pressure_oom_nb);
	compat_shrinker_stop(&pressure_shrinker);
}

/**
 * pressure_felt - was memory short since the last call?
 *
 * Context: any.
 *
 * Return: true if it was.
 */
bool pressure_felt(void)
{
	bool seen = READ_ONCE(pressure_seen);

	if (seen)
		WRITE_ONCE(pressure_seen, false);
	return seen;
}
