/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C library's errno.h includes this name as well; both find the numbers
 * that the kernel has.
 */
#include_next <linux/errno.h>
