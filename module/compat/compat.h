/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One shape for what differs between kernels. COMPAT_HAS_* come from the
 * probes in Kbuild.include; no other file asks which kernel this is.
 */
#ifndef AERATOR_COMPAT_H
#define AERATOR_COMPAT_H

#include <linux/atomic.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_reporting.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#ifndef CONFIG_PAGE_REPORTING
#error "aerator needs a kernel with CONFIG_PAGE_REPORTING (select VIRTIO_BALLOON)"
#endif

#ifdef COMPAT_EXPORTS_UNKNOWN
#error "aerator needs the kernel's Module.symvers (build the kernel, or install its headers)"
#endif

/* MAX_ORDER was exclusive, then inclusive (v6.4), then renamed (v6.8). */
#ifndef MAX_PAGE_ORDER
#define MAX_PAGE_ORDER	ilog2(MAX_ORDER_NR_PAGES)
#endif

#ifndef COMPAT_HAS_RESET_DEVICE
static inline void virtio_reset_device(struct virtio_device *vdev)
{
	vdev->config->reset(vdev);
}
#endif

/**
 * compat_offered_features - what the device offers, negotiated or not
 * @vdev: the device
 *
 * Transports of newer kernels have more features than fit, and one function
 * less.
 *
 * Return: the first 64 feature bits.
 */
static inline u64 compat_offered_features(struct virtio_device *vdev)
{
#ifdef COMPAT_HAS_EXTENDED_FEATURES
	/* Their number has had three names. */
	u64 features[ARRAY_SIZE(vdev->features_array)];

	virtio_get_features(vdev, features);
	return features[0];
#else
	return vdev->config->get_features(vdev);
#endif
}

/**
 * compat_find_vqs - set up the queues of a virtio device
 * @vdev: the device
 * @nr: how many there are, numbered from 0 without holes
 * @vqs: where to put them
 * @callbacks: one each, may be NULL
 * @names: one each
 *
 * Return: 0 or a negative errno.
 */
static inline int compat_find_vqs(struct virtio_device *vdev, unsigned int nr,
				  struct virtqueue *vqs[],
				  vq_callback_t *callbacks[],
				  const char * const names[])
{
#ifdef COMPAT_HAS_VIRTQUEUE_INFO
	struct virtqueue_info info[8] = {};
	unsigned int i;

	if (WARN_ON_ONCE(nr > ARRAY_SIZE(info)))
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		info[i].name = names[i];
		info[i].callback = callbacks[i];
	}
	return virtio_find_vqs(vdev, nr, vqs, info, NULL);
#else
	return virtio_find_vqs(vdev, nr, vqs, callbacks, names, NULL);
#endif
}

/**
 * compat_page_poisoning - are free pages filled with a pattern?
 *
 * Return: true if so, and the pattern is checked when they are allocated.
 */
static inline bool compat_page_poisoning(void)
{
#ifdef COMPAT_HAS_POISONING_STATIC
	return page_poisoning_enabled_static();
#else
	return page_poisoning_enabled();
#endif
}

/*
 * The order from which page reporting takes blocks. It was pageblock_order for
 * all; then the device's choice at each registration, 0 meaning none; then a
 * variable that is exported, keeps its value, and takes every order.
 */
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
extern unsigned int page_reporting_order;
#define COMPAT_REPORTING_ORDER_MIN	0
#define COMPAT_REPORTING_ORDER_MAX	MAX_PAGE_ORDER
#elif defined(COMPAT_HAS_REPORTING_ORDER)
#define COMPAT_REPORTING_ORDER_MIN	1
#define COMPAT_REPORTING_ORDER_MAX	MAX_PAGE_ORDER
#elif defined(CONFIG_HUGETLB_PAGE_SIZE_VARIABLE)
#error "aerator needs Linux 5.14 or newer here: pageblock_order is no constant, and not for modules"
#else
#define COMPAT_REPORTING_ORDER_MIN	pageblock_order
#define COMPAT_REPORTING_ORDER_MAX	pageblock_order
#endif

/* No order was set, or none that can be known. As the kernel has it. */
#define COMPAT_REPORTING_ORDER_UNSET	UINT_MAX

/**
 * compat_reporting_order_own - the kernel's own order
 *
 * Return: log2 of pages: what stands on the kernel's command line, what was written to
 * page_reporting_order since, or what a device that was registered left there; or
 * COMPAT_REPORTING_ORDER_UNSET.
 */
static inline unsigned int compat_reporting_order_own(void)
{
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
	return READ_ONCE(page_reporting_order);
#else
	return COMPAT_REPORTING_ORDER_UNSET;
#endif
}

/**
 * compat_reporting_order_prepare - ask for an order, before registration
 * @prdev: the device to be registered
 * @order: smallest order of the blocks that it is to get
 */
static inline void
compat_reporting_order_prepare(struct page_reporting_dev_info *prdev,
			       unsigned int order)
{
#ifdef COMPAT_HAS_REPORTING_ORDER
	prdev->order = order;
#endif
}

/**
 * compat_reporting_order_set - set the kernel's order where it can be
 * @order: log2 of pages
 *
 * Only while a device of ours is registered: with another's, or none and
 * another's coming, it is not ours to change.
 */
static inline void compat_reporting_order_set(unsigned int order)
{
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
	WRITE_ONCE(page_reporting_order, order);
#endif
}

/**
 * compat_reporting_order_restore - put back the kernel's own order
 * @ours: what compat_reporting_order_set() set
 * @own: what it was before
 *
 * As long as a device of ours is registered.
 *
 * Return: false if another value was written since, which stays.
 */
static inline bool compat_reporting_order_restore(unsigned int ours, unsigned int own)
{
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
	return cmpxchg(&page_reporting_order, ours, own) == ours;
#else
	return true;
#endif
}

/**
 * compat_reporting_order_seen - a block was handed over
 * @asked: what the registered device asked for, or was lately found in force
 * @order: of the block
 *
 * Before the variable was exported its parameter could be written, and took effect:
 * smaller blocks than were asked for show that.
 *
 * Return: log2 of pages, for compat_reporting_order().
 */
static inline unsigned int compat_reporting_order_seen(unsigned int asked,
						       unsigned int order)
{
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
	return asked;
#else
	return min(asked, order);
#endif
}

/**
 * compat_reporting_order - the order in force
 * @asked: what the registered device asked for, or compat_reporting_order_seen()
 *
 * Return: log2 of pages.
 */
static inline unsigned int compat_reporting_order(unsigned int asked)
{
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
	return READ_ONCE(page_reporting_order);
#else
	return asked;
#endif
}

/**
 * compat_reporting_capacity - how many blocks a device gets at once
 * @blocks: as many as it wants
 *
 * Return: as many as the kernel hands over: it can be asked for less than its own
 * number, if it has the probe, and never for more.
 */
static inline unsigned int compat_reporting_capacity(unsigned int blocks)
{
#ifdef COMPAT_HAS_REPORTING_CAPACITY
	return min_t(unsigned int, blocks, PAGE_REPORTING_CAPACITY);
#else
	return PAGE_REPORTING_CAPACITY;
#endif
}

/**
 * compat_reporting_capacity_set - ask for that
 * @prdev: the device to be registered
 * @blocks: what compat_reporting_capacity() returned
 */
static inline void
compat_reporting_capacity_set(struct page_reporting_dev_info *prdev,
			      unsigned int blocks)
{
#ifdef COMPAT_HAS_REPORTING_CAPACITY
	prdev->capacity = blocks;
#endif
}

#endif /* AERATOR_COMPAT_H */
