/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_LIMITS_H
#define SHIM_LINUX_LIMITS_H

#include_next <linux/limits.h>

#ifndef U32_MAX
#define U32_MAX		(~0U)
#define U64_MAX		(~0ULL)
#endif

#endif /* SHIM_LINUX_LIMITS_H */
