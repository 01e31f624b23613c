/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_TYPES_H
#define SHIM_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include_next <linux/types.h>

/* As in the kernel: long long on every architecture. */
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#endif /* SHIM_LINUX_TYPES_H */
