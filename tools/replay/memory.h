/* SPDX-License-Identifier: GPL-2.0 */
#ifndef REPLAY_MEMORY_H
#define REPLAY_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

/**
 * memory_resize - change the length of an array
 * @array: the array, NULL for a new one
 * @nr: number of elements
 * @size: size of an element, bytes
 *
 * Return: the array. The program ends if there is no memory.
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
