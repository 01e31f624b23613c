/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_BUG_H
#define SHIM_LINUX_BUG_H

#include <stdbool.h>

/* Counted each time: a test says which calls have to be warned of. */
extern unsigned int shim_warnings;

#define WARN_ON_ONCE(_cond)						\
({									\
	bool _warn = (_cond);						\
									\
	shim_warnings += _warn;						\
	_warn;								\
})

#endif /* SHIM_LINUX_BUG_H */
