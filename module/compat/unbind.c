// SPDX-License-Identifier: GPL-2.0
/*
 * Kernels that crash when virtio_balloon lets go of its device.
 *
 * virtio_pci keeps something of each queue in an array. Since 89a1c435aec2
 * ("virtio_pci: pass vq info as an argument to vp_setup_vq()") (in v6.11) it is stored
 * at the queue's place among those that the driver named, and looked for at the
 * queue's number at the device, which counts none that the driver left out. They
 * differ behind the first that is left out, and vp_del_vqs() follows a NULL pointer.
 * virtio_balloon leaves out the queues of features that the host does not offer: with
 * the defaults of QEMU, which offers no free page hint, that is a queue before the
 * last. Mended by f7d380fb525c ("virtio_pci: fix vq info pointer lookup via wrong
 * index") (in v7.2, and in the stable releases below).
 *
 * Which of both a kernel does shows in no header: the function is virtio_pci's own.
 * Nor can it be tried: every call that looks a queue up follows the pointer, and one
 * of the two kinds of kernel does not survive any of them. So this is the one place
 * that asks for a release. It is the release that runs which counts, not that of the
 * headers: a module is loaded into others as well where a distribution keeps their
 * interface the same. A distribution that took the fix without the number that goes
 * with it is taken for a kernel without it: then the device is aerator's after a boot
 * in which aerator comes first, and nothing crashes.
 */
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_balloon.h>
#include "unbind.h"

/* From the first on, and until the first that is mended. */
static const struct {
	int first;
	int mended;
} unbind_faulty[] = {
	{ KERNEL_VERSION(6, 11, 0), KERNEL_VERSION(6, 12, 96) },
	{ KERNEL_VERSION(6, 13, 0), KERNEL_VERSION(6, 18, 39) },
	{ KERNEL_VERSION(6, 19, 0), KERNEL_VERSION(7, 1, 4) },
};

/* Queues that virtio_balloon may leave out, in its order, by their features. */
static const unsigned int unbind_optional[] = {
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_REPORTING,
};

static bool unbind_is_faulty(const char *release)
{
	unsigned int major, minor, patch = 0;
	unsigned int i;
	int version;

	/* 7.1-rc3 has but two numbers. What has none may be any kernel. */
	if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2)
		return true;
	version = KERNEL_VERSION(major, minor, min(patch, 255U));
	for (i = 0; i < ARRAY_SIZE(unbind_faulty); i++) {
		if (version >= unbind_faulty[i].first &&
		    version < unbind_faulty[i].mended)
			return true;
	}
	return false;
}

/* Is a queue left out before one that is there? */
static bool unbind_has_hole(struct virtio_device *vdev)
{
	bool left_out = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unbind_optional); i++) {
		if (!__virtio_test_bit(vdev, unbind_optional[i]))
			left_out = true;
		else if (left_out)
			return true;
	}
	return false;
}

/**
 * compat_unbind_crashes - must virtio_balloon not be unbound from its device?
 * @vdev: a balloon device, bound to virtio_balloon
 *
 * Context: under the device's lock.
 *
 * Return: true if the kernel that runs may not survive that.
 */
bool compat_unbind_crashes(struct virtio_device *vdev)
{
	return dev_is_pci(vdev->dev.parent) && unbind_has_hole(vdev) &&
	       unbind_is_faulty(init_utsname()->release);
}
