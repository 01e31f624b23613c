// SPDX-License-Identifier: GPL-2.0
/*
 * Behaviours: how chains are answered, correctly or as by a faulty host. A reset makes the
 * device behave correctly again.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/string.h>
#include <uapi/linux/virtio_config.h>
#include "device.h"

unsigned int late_ms = 200;
module_param(late_ms, uint, 0644);
MODULE_PARM_DESC(late_ms, "delay of late answers, and time to collect answers for reordering, ms");

/* Larger than any buffer of a driver. */
#define WRONG_LENGTH	0xfffffff1U

static struct device_chain *oldest(struct device_queue *q)
{
	return list_first_entry_or_null(&q->held, struct device_chain, list);
}

static void serve_now(struct device_queue *q)
{
	struct device_chain *chain;

	while ((chain = oldest(q)))
		ring_answer(q, chain, 0);
}

static void serve_never(struct device_queue *q)
{
}

/* Set the time of the answer for each chain that has none yet. */
static void set_due(struct device_queue *q)
{
	struct device_chain *chain;

	list_for_each_entry(chain, &q->held, list)
		if (!chain->due)
			chain->due = (jiffies + msecs_to_jiffies(late_ms)) | 1;
}

/* Is the chain to be answered now? If not, queue the work for that time. */
static bool is_due(struct device_queue *q, struct device_chain *chain)
{
	if (time_after_eq(jiffies, chain->due))
		return true;
	queue_delayed_work(host.wq, &q->work, chain->due - jiffies);
	return false;
}

static void serve_late(struct device_queue *q)
{
	struct device_chain *chain;

	set_due(q);
	while ((chain = oldest(q)) && is_due(q, chain))
		ring_answer(q, chain, 0);
}

/* Collect chains for a while, then answer them in reverse order. */
static void serve_reorder(struct device_queue *q)
{
	struct device_chain *chain, *next;

	set_due(q);
	if (!oldest(q) || !is_due(q, oldest(q)))
		return;
	list_for_each_entry_safe_reverse(chain, next, &q->held, list)
		ring_answer(q, chain, 0);
}

static void serve_twice(struct device_queue *q)
{
	struct device_chain *chain;
	u16 head;

	while ((chain = oldest(q))) {
		head = chain->head;
		ring_answer(q, chain, 0);
		ring_complete(q, head, 0);
	}
}

static void serve_length(struct device_queue *q)
{
	struct device_chain *chain;

	while ((chain = oldest(q)))
		ring_answer(q, chain, WRONG_LENGTH);
}

/* A valid index of the ring that is not the head of a chain. */
static u16 no_head(struct device_queue *q)
{
	struct device_chain *chain;
	u16 head = 0;

again:
	list_for_each_entry(chain, &q->held, list) {
		if (chain->head == head) {
			head++;
			goto again;
		}
	}
	return head;
}

/* Alternate between an index beyond the ring and one that is not in use. */
static void serve_id(struct device_queue *q)
{
	static unsigned int turn;
	struct device_chain *chain = oldest(q);

	if (!chain || chain->spoilt)
		return;
	chain->spoilt = true;
	ring_complete(q, turn++ % 2 ? no_head(q) : q->ring.vring.num + 3, 0);
}

static void serve_break(struct device_queue *q)
{
	if (oldest(q))
		virtio_break_device(host.vdev);
}

static void serve_reset(struct device_queue *q)
{
	if (!oldest(q))
		return;
	host.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	transport_config_changed();
}

/* Unplug in another work: the driver's remove waits for this one. */
static void serve_disappear(struct device_queue *q)
{
	if (oldest(q))
		schedule_work(&host.leave);
}

/* Change the configuration before the answer, while the batch is in flight. */
static void serve_config(struct device_queue *q)
{
	if (!oldest(q))
		return;
	host.swing = 20;
	transport_swing();
	serve_late(q);
}

const struct device_behaviour behaviours[] = {
	{ "now", serve_now },
	{ "never", serve_never },
	{ "late", serve_late },
	{ "reorder", serve_reorder },
	{ "twice", serve_twice },
	{ "length", serve_length },
	{ "id", serve_id },
	{ "break", serve_break },
	{ "reset", serve_reset },
	{ "disappear", serve_disappear },
	{ "config", serve_config },
};

/**
 * behaviour_of - find a behaviour by its name
 * @name: the text that was written to the file
 *
 * Return: the behaviour, or NULL.
 */
const struct device_behaviour *behaviour_of(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(behaviours); i++)
		if (sysfs_streq(name, behaviours[i].name))
			return &behaviours[i];
	return NULL;
}
