// SPDX-License-Identifier: GPL-2.0
/* Features: what a device has to offer, and what is made of it. */
#include <linux/mm.h>
#include <linux/poison.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_balloon.h>
#include <uapi/linux/virtio_ring.h>
#include "balloon.h"
#include "compat/compat.h"

/* Would the guest notice that the content of a free page changed? */
static bool features_content_matters(void)
{
	return want_init_on_free() || compat_page_poisoning();
}

/**
 * balloon_features_poison - what free pages are filled with, if their content matters
 *
 * Context: any.
 *
 * Return: four bytes of it.
 */
u32 balloon_features_poison(void)
{
	return want_init_on_free() ? 0 : PAGE_POISON * 0x01010101U;
}

/**
 * balloon_features_refusal - why this driver would not bind a device
 * @vdev: a balloon device, bound to anyone or no one
 *
 * Context: under the device's lock; may sleep.
 *
 * Return: the reason, in words for the log, or NULL.
 */
const char *balloon_features_refusal(struct virtio_device *vdev)
{
	u64 offered = compat_offered_features(vdev);

	if (!vdev->config->get)
		return "its configuration cannot be read";
	if (!(offered & BIT_ULL(VIRTIO_BALLOON_F_REPORTING)))
		return "the host does not offer free page reporting (free-page-reporting=on)";
	if (features_content_matters() &&
	    !(offered & BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON)))
		return "free pages are poisoned, the host does not keep that (page-poison=on)";
	return NULL;
}

/**
 * balloon_features_validate - leave out features that do not help
 * @vdev: the device, with those that it offers and the driver knows
 *
 * Free pages that were poisoned or zeroed must be found so again; if they are
 * neither then the host need not know. Indirect descriptors are allocated when
 * memory is returned, that is when it is short, and gain something for batches
 * of several chains only, which the kernel's page reporting does not make. And
 * the device gets guest physical addresses, whatever stands between it and memory:
 * to translate them for a device that is told of free pages makes no sense.
 *
 * Context: before probe, under the device's lock.
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
