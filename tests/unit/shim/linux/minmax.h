/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_LINUX_MINMAX_H
#define SHIM_LINUX_MINMAX_H

/*
 * As strict as the oldest supported kernel: different types are an error, by a comparison
 * of pointers.
 */
#define shim_pick(_x, _op, _y) ({					\
	__typeof__(_x) shim_x = (_x);					\
	__typeof__(_y) shim_y = (_y);					\
	(void)(&shim_x == &shim_y);					\
	shim_x _op shim_y ? shim_x : shim_y; })

#define min(_x, _y)		shim_pick(_x, <, _y)
#define max(_x, _y)		shim_pick(_x, >, _y)
#define min3(_x, _y, _z)	min(min(_x, _y), _z)
#define min_t(_type, _x, _y)	min((_type)(_x), (_type)(_y))
#define max_t(_type, _x, _y)	max((_type)(_x), (_type)(_y))
#define clamp_t(_type, _x, _low, _high)					\
	min_t(_type, max_t(_type, _x, _low), _high)

#endif /* SHIM_LINUX_MINMAX_H */
