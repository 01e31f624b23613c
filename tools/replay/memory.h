/* SPDX-License-Identifier: GPL-2.0 */
#ifndef REPLAY_MEMORY_H
#define REPLAY_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

/**
 * memory_resize - an array of another length
 * @array: the array, NULL for a new one
 * @nr: elements
 * @size: of each, bytes
 *
 * Return: the array. Without memory for it the program ends.
 */
static inline void *memory_resize(void *array, size_t nr, size_t size)
{
	array = reallocarray(array, nr, size);
	if (!array) {
		fputs("replay: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return array;
}

#endif /* REPLAY_MEMORY_H */
