// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/bus/virtio/devices/virtioN/aerator/: one value per file.
 *
 * The driver core creates the files after probe and removes them before remove. The
 * removal waits for running reads and writes: the device stays bound meanwhile.
 */
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/sysfs.h>
#include <linux/time64.h>
#include "balloon.h"
#include "intake.h"
#include "policy.h"

static struct aerator *to_aerator(struct device *dev)
{
	return dev_to_virtio(dev)->priv;
}

/* Stage of the most advanced batch; idle if all reactors are idle. */
static ssize_t stage_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	const struct aerator *a = to_aerator(dev);
	enum reactor_stage stage = REACTOR_IDLE;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(a->reporting.reactors); i++)
		stage = max(stage, READ_ONCE(a->reporting.reactors[i].stage));
	return sysfs_emit(buf, "%s\n", reactor_stage_name(stage));
}
static DEVICE_ATTR_RO(stage);

/* The intake may change at any time, but all intakes exist as long as the device. */
static struct intake *sysfs_intake(struct device *dev)
{
	return READ_ONCE(to_aerator(dev)->intake);
}

static ssize_t intake_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", sysfs_intake(dev)->ops->name);
}
static DEVICE_ATTR_RO(intake);

#define SYSFS_COUNTER(_name)						\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%lld\n",				\
			  (s64)atomic64_read(&to_aerator(dev)->stats._name)); \
}									\
static DEVICE_ATTR_RO(_name)

SYSFS_COUNTER(cycles);
SYSFS_COUNTER(reported_bytes);
SYSFS_COUNTER(reported_blocks);
SYSFS_COUNTER(chains);
SYSFS_COUNTER(kicks);
SYSFS_COUNTER(interrupts);
SYSFS_COUNTER(settle_timeouts);
SYSFS_COUNTER(errors);
SYSFS_COUNTER(last_report);

/* One line per reason: its name, and the number of refusals. */
static ssize_t refusals_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	static const char * const names[] = {
		[STATS_WINDOW] = "window", [STATS_LIMIT] = "limit", [STATS_RATE] = "rate",
	};
	const struct aerator_stats *stats = &to_aerator(dev)->stats;
	unsigned int i;
	int len = 0;

	for (i = 0; i < STATS_REFUSALS; i++)
		len += sysfs_emit_at(buf, len, "%s %lld\n", names[i],
				     (s64)atomic64_read(&stats->refusals[i]));
	return len;
}
static DEVICE_ATTR_RO(refusals);

/* One line per stage: its name, the number of batches, and microseconds. */
static ssize_t stages_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct balloon_stage_time *times = to_aerator(dev)->reporting.times;
	unsigned int i;
	int len = 0;

	for (i = REACTOR_FILL; i < REACTOR_STAGES; i++)
		len += sysfs_emit_at(buf, len, "%s %lld %llu\n", reactor_stage_name(i),
				     (s64)atomic64_read(&times[i].batches),
				     div_u64(atomic64_read(&times[i].ns), NSEC_PER_USEC));
	return len;
}
static DEVICE_ATTR_RO(stages);

/*
 * Free memory, treated or raw. These files, surplus_bytes and reused_bytes are for root only:
 * on a stock kernel a scan takes zone->lock again and again, on a patched kernel each count
 * takes it once, and allocations wait for this lock.
 */
static ssize_t sysfs_count(struct device *dev, char *buf, bool treated)
{
	u64 pages[2];

	sysfs_intake(dev)->ops->counts(&pages[false], &pages[true]);
	return sysfs_emit(buf, "%llu\n", pages[treated] << PAGE_SHIFT);
}

static ssize_t treated_bytes_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	return sysfs_count(dev, buf, true);
}
static DEVICE_ATTR_ADMIN_RO(treated_bytes);

static ssize_t raw_bytes_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_count(dev, buf, false);
}
static DEVICE_ATTR_ADMIN_RO(raw_bytes);

static ssize_t surplus_bytes_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", intake_pacing_surplus(&sysfs_intake(dev)->pacing));
}
static DEVICE_ATTR_ADMIN_RO(surplus_bytes);

static ssize_t reused_bytes_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	s64 bytes = intake_pacing_reused(&sysfs_intake(dev)->pacing);

	return bytes < 0 ? sysfs_emit(buf, "unknown\n") : sysfs_emit(buf, "%lld\n", bytes);
}
static DEVICE_ATTR_ADMIN_RO(reused_bytes);

/* One line per window: length in ms, cost in MiB * s, and an asterisk if it is in use. */
static ssize_t windows_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct intake_pacing *p = &sysfs_intake(dev)->pacing;
	unsigned int i;
	int len = 0;
	u64 cost;

	for (i = 0; i < POLICY_WINDOWS; i++) {
		bool used = intake_nodes_window(p, i, &cost);

		cost = div_u64(cost, MSEC_PER_SEC) >> (20 - PAGE_SHIFT);
		len += sysfs_emit_at(buf, len, "%u %llu%s\n", policy_window(i), cost,
				     used ? " *" : "");
	}
	return len;
}
static DEVICE_ATTR_ADMIN_RO(windows);

static ssize_t inflated_bytes_show(struct device *dev,
				   struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  (u64)balloon_inflate_size(to_aerator(dev)) << PAGE_SHIFT);
}
static DEVICE_ATTR_RO(inflated_bytes);

static ssize_t host_discards_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", balloon_trial_name(to_aerator(dev)));
}
static DEVICE_ATTR_RO(host_discards);

static ssize_t flush_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	unsigned int one;
	int err;

	if (kstrtouint(buf, 0, &one) || one != 1) {
		dev_err(dev, "flush: only 1 can be written\n");
		return -EINVAL;
	}
	err = balloon_flush(to_aerator(dev));
	return err ?: count;
}
static DEVICE_ATTR_WO(flush);

static struct attribute *sysfs_attrs[] = {
	&dev_attr_stage.attr,
	&dev_attr_intake.attr,
	&dev_attr_cycles.attr,
	&dev_attr_reported_bytes.attr,
	&dev_attr_reported_blocks.attr,
	&dev_attr_chains.attr,
	&dev_attr_kicks.attr,
	&dev_attr_interrupts.attr,
	&dev_attr_settle_timeouts.attr,
	&dev_attr_errors.attr,
	&dev_attr_last_report.attr,
	&dev_attr_refusals.attr,
	&dev_attr_stages.attr,
	&dev_attr_treated_bytes.attr,
	&dev_attr_raw_bytes.attr,
	&dev_attr_surplus_bytes.attr,
	&dev_attr_reused_bytes.attr,
	&dev_attr_windows.attr,
	&dev_attr_inflated_bytes.attr,
	&dev_attr_host_discards.attr,
	&dev_attr_flush.attr,
	NULL
};

static const struct attribute_group sysfs_group = {
	.name = "aerator",
	.attrs = sysfs_attrs,
};

const struct attribute_group *sysfs_groups[] = { &sysfs_group, NULL };
