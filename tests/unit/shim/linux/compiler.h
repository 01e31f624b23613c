/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_COMPILER_H
#define SHIM_LINUX_COMPILER_H

/* The tests have one thread only. */
#define READ_ONCE(_x)		(_x)
#define WRITE_ONCE(_x, _val)	((_x) = (_val))

#endif /* SHIM_LINUX_COMPILER_H */
