/* SPDX-License-Identifier: GPL-2.0 */
/* Files of sysfs and procfs: read with a time limit, and without a wrong number. */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tool.h"

#define SOURCE_PATH	256

enum source_kind {
	SOURCE_FILE,
	SOURCE_FOLDER,		/* its text: the names, a line each */
	SOURCE_LINK,		/* its text: the last part of what it points to */
	SOURCE_LOG,		/* records of /dev/kmsg */
};

/**
 * struct source - a file to read
 * @kind: what it is
 * @path: its path, without the sysroot
 * @text: its content, with a NUL after it; NULL if it could not be read
 * @length: bytes of @text
 * @err: 0, or a negative error
 */
struct source {
	enum source_kind kind;
	char path[SOURCE_PATH];
	char *text;
	size_t length;
	int err;
};

__printf(3, 4)
void source_set(struct source *source, enum source_kind kind, const char *format, ...);
void source_fetch(struct source *sources, unsigned int nr);
void source_free(struct source *sources, unsigned int nr);
int source_error(const struct source *source);
int source_call(int (*work)(const char *path, const char *text), const char *path,
		const char *text, unsigned int seconds);
int source_write(const char *path, const char *text, unsigned int seconds);
int source_number(const struct source *source, uint64_t most, uint64_t *number);
int source_word(const struct source *source, char *word, size_t size);
bool source_digits(const char **text, uint64_t *number);
bool source_within(const char *text, uint64_t least, uint64_t most, uint64_t *number);

#endif /* SOURCE_H */
