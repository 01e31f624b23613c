/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C library's errno.h includes this name as well: both get the system's header with the
 * kernel's numbers.
 */
#include_next <linux/errno.h>
