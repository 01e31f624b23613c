/* SPDX-License-Identifier: GPL-2.0 */
#ifndef AERATOR_COMPAT_UNBIND_H
#define AERATOR_COMPAT_UNBIND_H

#include <linux/virtio.h>

bool compat_unbind_crashes(struct virtio_device *vdev);

#endif /* AERATOR_COMPAT_UNBIND_H */
