/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's names for what the compiler offers. */
#ifndef FLEET_COMPILER_H
#define FLEET_COMPILER_H

#define __printf(text, first) __attribute((format(printf, text, first)))
#define __noreturn __attribute((noreturn))
#define __always_unused __attribute((unused))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
