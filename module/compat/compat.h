/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One interface for APIs that differ between kernels. COMPAT_HAS_* come from the probes
 * in Kbuild.include; no file outside of compat/ checks the kernel's version.
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

/* MAX_ORDER was exclusive, inclusive from v6.4 on, and renamed in v6.8. */
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
 * compat_offered_features - features that the device offers, negotiated or not
 * @vdev: the device
 *
 * Transports of newer kernels may have more than 64 features, and have no get_features().
 *
 * Return: the first 64 feature bits.
 */
static inline u64 compat_offered_features(struct virtio_device *vdev)
{
#ifdef COMPAT_HAS_EXTENDED_FEATURES
	/* ARRAY_SIZE(): the constant for the size had three names. */
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
 * @nr: number of queues, numbered from 0 without gaps
 * @vqs: array for the queues
 * @callbacks: one for each queue, may be NULL
 * @names: one for each queue
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
 * Return: true if they are, and the pattern is checked at allocation.
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
 * The smallest order of the blocks that page reporting takes. At first it was
 * pageblock_order for every device. Since v5.14 the device sets it at its registration, 0
 * meaning none. Since v6.2 it is an exported variable, which keeps its value and accepts
 * every order.
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

/* The order is not set, or cannot be read. The same value as in the kernel. */
#define COMPAT_REPORTING_ORDER_UNSET	UINT_MAX

/*
 * The order that an earlier device leaves if it requested none. Large where pages are:
 * 32 MiB with pages of 16 KiB on arm64. Where pageblock_order is a variable, modules
 * cannot read it.
 */
#ifdef CONFIG_HUGETLB_PAGE_SIZE_VARIABLE
#define COMPAT_REPORTING_ORDER_LEFT	COMPAT_REPORTING_ORDER_UNSET
#else
#define COMPAT_REPORTING_ORDER_LEFT	pageblock_order
#endif

/**
 * compat_reporting_order_own - the kernel's own order
 *
 * Return: log2 of pages: the value of the kernel's command line, a value that was written
 * to page_reporting_order later, or the value that an earlier device left there; or
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
 * compat_reporting_order_prepare - request an order, before registration
 * @prdev: the device to be registered
 * @order: smallest order of the blocks to report
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
 * compat_reporting_order_set - set the kernel's order, on kernels that export it
 * @order: log2 of pages
 *
 * Only while a device of this driver is registered: otherwise the order belongs to
 * another device, or to one that will be registered.
 */
static inline void compat_reporting_order_set(unsigned int order)
{
#ifdef COMPAT_HAS_REPORTING_ORDER_EXPORT
	WRITE_ONCE(page_reporting_order, order);
#endif
}

/**
 * compat_reporting_order_restore - put back the kernel's own order
 * @ours: argument of compat_reporting_order_set()
 * @own: the order before that call
 *
 * Only while a device of this driver is registered.
 *
 * Return: false if another value was written since; this value stays.
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
 * compat_reporting_order_seen - derive the order in force from a reported block
 * @asked: order that the registered device requested, or last return value
 * @order: order of the block
 *
 * On kernels before the export the module parameter of the variable could be written at
 * run time, and had an effect: blocks smaller than requested show this.
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
 * @asked: order that the registered device requested, or the return value of
 *	compat_reporting_order_seen()
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
 * compat_reporting_capacity - number of blocks in a batch of the kernel
 * @blocks: number of blocks that the device wants
 *
 * Return: number of blocks that the kernel hands over at once. A kernel with configurable
 * capacity accepts a smaller number than PAGE_REPORTING_CAPACITY; none accepts more.
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
 * compat_reporting_capacity_set - request a capacity, before registration
 * @prdev: the device to be registered
 * @blocks: return value of compat_reporting_capacity()
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
