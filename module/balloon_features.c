// SPDX-License-Identifier: GPL-2.0
/* Feature negotiation: which devices are refused, and which features are left out. */
#include <linux/mm.h>
#include <linux/poison.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_balloon.h>
#include <uapi/linux/virtio_ring.h>
#include "balloon.h"
#include "compat/compat.h"

/* Does the guest depend on the content of free pages? */
static bool features_content_matters(void)
{
	return want_init_on_free() || compat_page_poisoning();
}

/**
 * balloon_features_poison - the pattern of free pages, if the guest depends on it
 *
 * Context: any.
 *
 * Return: four bytes of the pattern.
 */
u32 balloon_features_poison(void)
{
	return want_init_on_free() ? 0 : PAGE_POISON * 0x01010101U;
}

/**
 * balloon_features_refusal - reason not to bind a device
 * @vdev: a balloon device, bound to any driver or none
 *
 * Context: under the device lock; may sleep.
 *
 * Return: the reason, as text for the log, or NULL.
 */
const char *balloon_features_refusal(struct virtio_device *vdev)
{
	u64 offered = compat_offered_features(vdev);

	if (!vdev->config->get)
		return "the configuration of the device cannot be read";
	if (!(offered & BIT_ULL(VIRTIO_BALLOON_F_REPORTING)))
		return "the host does not offer free page reporting (free-page-reporting=on)";
	if (features_content_matters() &&
	    !(offered & BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON)))
		return "free pages are poisoned, the host does not preserve this (page-poison=on)";
	return NULL;
}

/**
 * balloon_features_validate - clear features that are of no use
 * @vdev: the device, with the features that both the device and the driver support
 *
 * Page poison: free pages that were poisoned or zeroed must have this content again when
 * they are allocated; without poisoning or zeroing the host need not know. Indirect
 * descriptors: their tables are allocated while memory is returned, when memory may be
 * short. They are useful only for batches of several chains, which the kernel's page
 * reporting does not make. Access platform: the device always gets guest physical
 * addresses; translating addresses of free pages for a device makes no sense.
 *
 * Context: before probe, under the device lock.
 *
 * Return: 0.
 */
int balloon_features_validate(struct virtio_device *vdev)
{
	if (!features_content_matters())
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
	if (INTAKE_KINDS == 1)
		__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);
	return 0;
}
