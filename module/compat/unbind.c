// SPDX-License-Identifier: GPL-2.0
/*
 * Detects kernels that crash when virtio_balloon is unbound from its device.
 *
 * virtio_pci has an array of per-queue information. Since 89a1c435aec2 ("virtio_pci: pass
 * vq info as an argument to vp_setup_vq()") (in v6.11) an entry is stored at the queue's
 * index in the driver's list of names, and looked up at the queue's number on the device,
 * which does not count the queues that the driver leaves out. The two numbers differ
 * behind the first such queue, and vp_del_vqs() dereferences a NULL pointer.
 * virtio_balloon leaves out the queues of features that the host does not offer: with the
 * defaults of QEMU, without free page hint, this is a queue before the last one. Fixed by
 * f7d380fb525c ("virtio_pci: fix vq info pointer lookup via wrong index") (in v7.2, and
 * in the stable releases below).
 *
 * No header shows whether a kernel has the fix: the function is local to virtio_pci. A
 * test at run time is not possible either: every call that looks up a queue dereferences
 * the pointer, and would crash a kernel of one of the two kinds. This is therefore the
 * only file with a check of the release. It checks the running kernel and not the
 * headers: with a stable kernel ABI a module may be loaded into other releases than the
 * one it was built for. A distribution kernel that has the fix but an older release
 * number counts as one without the fix: aerator then gets the device only after a boot in
 * which it is loaded first, and no kernel crashes.
 */
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_balloon.h>
#include "unbind.h"

/* The first faulty release of a range, and the first release with the fix. */
static const struct {
	int first;
	int mended;
} unbind_faulty[] = {
	{ KERNEL_VERSION(6, 11, 0), KERNEL_VERSION(6, 12, 96) },
	{ KERNEL_VERSION(6, 13, 0), KERNEL_VERSION(6, 18, 39) },
	{ KERNEL_VERSION(6, 19, 0), KERNEL_VERSION(7, 1, 4) },
};

/* Features whose queues virtio_balloon may leave out, in the order of the queues. */
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

	/* 7.1-rc3 has only two numbers. A release without numbers counts as faulty. */
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

/* Is a queue left out that comes before an existing one? */
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
 * compat_unbind_crashes - would an unbind of virtio_balloon crash the kernel?
 * @vdev: a balloon device, bound to virtio_balloon
 *
 * Context: under the device lock.
 *
 * Return: true if the running kernel may crash.
 */
bool compat_unbind_crashes(struct virtio_device *vdev)
{
	return dev_is_pci(vdev->dev.parent) && unbind_has_hole(vdev) &&
	       unbind_is_faulty(init_utsname()->release);
}
