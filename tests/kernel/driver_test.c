// SPDX-License-Identifier: GPL-2.0
/* Registration of a driver, and notifications to it. */
#include <linux/delay.h>
#include "aeration_test.h"

/* Tries, as other tasks may free memory during a check. */
#define TRIES	5

static int report_nothing(struct page_reporting_dev_info *prdev,
			  struct scatterlist *sgl, unsigned int nents)
{
	return 0;
}

/* Only one device can be registered at a time, of either kind. */
void test_register(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page_reporting_dev_info other = fixture->driver.prdev;
	struct page_reporting_dev_info proper = {
		.report = report_nothing,
		.order = pageblock_order,
	};

	KUNIT_EXPECT_EQ(test, page_reporting_register(&proper), -EBUSY);
	KUNIT_EXPECT_EQ(test, page_reporting_register(&other), -EBUSY);
	fake_unregister(&fixture->driver);

	KUNIT_ASSERT_EQ(test, page_reporting_register(&proper), 0);
	KUNIT_EXPECT_EQ(test, page_reporting_register(&other), -EBUSY);
	page_reporting_unregister(&proper);

	KUNIT_EXPECT_EQ(test, fake_register(&fixture->driver), 0);
}

/* Wait for a pending call, and reset the driver's state. */
static bool settle(struct fixture *fixture)
{
	struct fake_driver *driver = &fixture->driver;
	unsigned int ms;

	for (ms = 0; delayed_work_pending(&driver->prdev.work) && ms < 1000; ms++)
		usleep_range(1000, 2000);
	flush_delayed_work(&driver->prdev.work);
	atomic_set(&driver->calls, 0);
	atomic_set(&driver->prdev.state, 0);
	clear_bit(ZONE_RAW, &fixture->zone->flags);
	return ms < 1000;
}

static bool marked(struct fixture *fixture)
{
	return test_bit(ZONE_RAW, &fixture->zone->flags);
}

/* Does freeing this page notify no driver? No, if another task frees a large block meanwhile. */
static bool free_is_silent(struct fixture *fixture, struct page *page)
{
	settle(fixture);
	release(page);
	if (marked(fixture))
		return false;
	msleep(150);
	return !marked(fixture) && atomic_read(&fixture->driver.calls) == 0;
}

static void expect_silence(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	bool silent = false;
	unsigned int tries;

	for (tries = 0; tries < TRIES && !silent; tries++) {
		struct page *page = hold(&fixture->held, TAKE_MOVABLE, DIRECT_ORDER + 1);

		/* Its buddy stays allocated, so that it does not merge into a large block. */
		KUNIT_ASSERT_NOT_NULL(test, page);
		divide(page, DIRECT_ORDER + 1, DIRECT_ORDER);
		hold_page(&fixture->held, page + (1 << DIRECT_ORDER), DIRECT_ORDER);
		silent = free_is_silent(fixture, page);
	}
	KUNIT_EXPECT_TRUE(test, silent);
	release_all(&fixture->held);
}

static void expect_one_call(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct fake_driver *driver = &fixture->driver;
	unsigned long freed;
	unsigned int nr;

	for (nr = 0; nr < 16; nr++)
		KUNIT_ASSERT_NOT_NULL(test, hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER));
	KUNIT_ASSERT_TRUE(test, settle(fixture));
	freed = jiffies;
	release(list_first_entry(&fixture->held, struct page, lru));
	KUNIT_EXPECT_TRUE(test, marked(fixture));
	KUNIT_EXPECT_EQ(test, atomic_read(&driver->calls), 0);
	release_all(&fixture->held);

	msleep(300);
	KUNIT_EXPECT_EQ(test, atomic_read(&driver->calls), 1);
	KUNIT_EXPECT_GE(test, (long)(driver->called - freed), (long)driver->prdev.delay);
	KUNIT_EXPECT_LE(test, (long)(driver->called - freed), (long)driver->prdev.delay * 2);
}

/* There is no second call before the state is cleared, and one after that. */
static void expect_no_other_call(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page *page = hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, page);
	clear_bit(ZONE_RAW, &fixture->zone->flags);
	release(page);
	KUNIT_EXPECT_TRUE(test, marked(fixture));
	msleep(300);
	KUNIT_EXPECT_EQ(test, atomic_read(&fixture->driver.calls), 1);

	page = hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	atomic_set(&fixture->driver.prdev.state, 0);
	release(page);
	msleep(300);
	KUNIT_EXPECT_EQ(test, atomic_read(&fixture->driver.calls), 2);
}

void test_notification(struct kunit *test)
{
	expect_silence(test);
	expect_one_call(test);
	expect_no_other_call(test);
}

/* Blocks that mm/page_reporting.c has reported are treated, too. */
void test_page_reporting(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct page_reporting_dev_info proper = {
		.report = report_nothing,
		.order = pageblock_order,
	};
	struct allocation *seen = kunit_kzalloc(test, sizeof(*seen), GFP_KERNEL);
	unsigned long treated = 0, raw, counted;
	unsigned int order;

	KUNIT_ASSERT_NOT_NULL(test, seen);
	KUNIT_ASSERT_NOT_NULL(test, hold(&fixture->held, TAKE_MOVABLE, TOP_ORDER));
	release_all(&fixture->held);
	fake_unregister(&fixture->driver);
	KUNIT_ASSERT_EQ(test, page_reporting_register(&proper), 0);
	/* Page reporting begins after two seconds. */
	msleep(2500);
	page_reporting_unregister(&proper);

	for (order = pageblock_order; order < NR_PAGE_ORDERS; order++) {
		memory_aeration_count(fixture->zone, order, &raw, &counted);
		treated += counted;
	}
	KUNIT_EXPECT_GE(test, treated, 32UL);
	KUNIT_ASSERT_EQ(test, fake_register(&fixture->driver), 0);
	seen->gfp = TAKE_MOVABLE;
	seen->order = TOP_ORDER;
	allocate_alone(fixture->zone, seen);
	if (seen->page)
		hold_page(&fixture->held, seen->page, TOP_ORDER);
	KUNIT_EXPECT_EQ(test, seen->before.wrong + seen->after.wrong, 0U);
	kunit_info(test, "figure: %lu blocks treated by page reporting proper", treated);
}
