/* SPDX-License-Identifier: GPL-2.0 */
/* The side of a child process that reads files for source.c. */
#ifndef SOURCE_CHILD_H
#define SOURCE_CHILD_H

#include <stddef.h>
#include "source.h"

/**
 * struct source_answer - what the child writes before each text
 * @err: 0, or a negative error: no text follows
 * @length: bytes of the text
 */
struct source_answer {
	int err;
	size_t length;
};

void source_child_detach(int to);
void source_child_answer(int to, const struct source *sources, unsigned int nr);
int source_child_write(const char *path, const char *text);
long long source_child_now(void);

#endif /* SOURCE_CHILD_H */
