// SPDX-License-Identifier: GPL-2.0
/*
 * The suite, and a driver that user space switches on and off:
 *
 *	instructions=1	get_cycles() counts instructions (QEMU's icount): figures
 *			are compared, not only printed
 *	cycling=1	fill and drain batches all the time, for tests of user space;
 *			the number of batches is in "batches"
 *	cycling=2	the same with all free memory, which stays raw
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include "aeration_test.h"

bool instructions;
module_param(instructions, bool, 0444);

static DEFINE_MUTEX(cycling_mutex);
static struct fake_driver cycling_driver;
static struct cycle cycling;

static int cycling_begin(bool everything)
{
	int err = fake_register(&cycling_driver);

	if (err)
		return err;
	cycling = (struct cycle){
		.treated = everything ? 0 : 8,
		.fills = everything ? 64 : 8,
		.slow = true,
	};
	err = cycle_start(&cycling);
	if (err)
		fake_unregister(&cycling_driver);
	return err;
}

static void cycling_end(void)
{
	cycle_stop(&cycling);
	fake_unregister(&cycling_driver);
}

static int cycling_set(const char *text, const struct kernel_param *param)
{
	unsigned int wanted;
	int err = kstrtouint(text, 0, &wanted);

	if (err)
		return err;
	mutex_lock(&cycling_mutex);
	if (wanted && !cycling.task)
		err = cycling_begin(wanted > 1);
	else if (!wanted && cycling.task)
		cycling_end();
	mutex_unlock(&cycling_mutex);
	return err;
}

static int cycling_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%d\n", !!READ_ONCE(cycling.task));
}

static const struct kernel_param_ops cycling_ops = {
	.set = cycling_set,
	.get = cycling_get,
};
module_param_cb(cycling, &cycling_ops, NULL, 0644);
module_param_named(batches, cycling.batches, ulong, 0444);

static int fixture_init(struct kunit *test)
{
	struct fixture *fixture = kunit_kzalloc(test, sizeof(*fixture), GFP_KERNEL);

	if (!fixture)
		return -ENOMEM;
	fixture->zone = largest_zone();
	INIT_LIST_HEAD(&fixture->held);
	INIT_LIST_HEAD(&fixture->batch);
	INIT_LIST_HEAD(&fixture->other);
	test->priv = fixture;
	return fake_register(&fixture->driver);
}

static void fixture_exit(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	if (!fixture)
		return;
	cycle_stop(&fixture->cycle);
	give_back(&fixture->batch, false);
	give_back(&fixture->other, false);
	release_all(&fixture->held);
	fake_unregister(&fixture->driver);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(test_register),
	KUNIT_CASE(test_notification),
	KUNIT_CASE(test_page_reporting),
	KUNIT_CASE(test_fill_and_drain),
	KUNIT_CASE(test_watermark),
	KUNIT_CASE(test_not_allocated),
	KUNIT_CASE(test_cold_end),
	KUNIT_CASE(test_merge),
	KUNIT_CASE(test_split),
	KUNIT_CASE(test_split_small),
	KUNIT_CASE(test_split_claimed),
	KUNIT_CASE(test_moved),
	KUNIT_CASE(test_raw_first),
	KUNIT_CASE(test_raw_first_huge),
	KUNIT_CASE(test_raw_first_small),
	KUNIT_CASE(test_isolation),
	KUNIT_CASE(test_drain_waits),
	KUNIT_CASE(test_counts),
	KUNIT_CASE(test_membrane),
	KUNIT_CASE(test_hold),
	{}
};

static struct kunit_suite suite = {
	.name = "aeration",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);

static void __exit aeration_test_exit(void)
{
	if (cycling.task)
		cycling_end();
}
module_exit(aeration_test_exit);

MODULE_DESCRIPTION("Tests of treated free pages");
MODULE_LICENSE("GPL");
