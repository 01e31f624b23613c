/* SPDX-License-Identifier: GPL-2.0 */
/* Tables on standard output, for people (aligned) and for scripts (--raw). */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "tool.h"

#define TABLE_COLUMNS	16
#define TABLE_SIZE	32

/**
 * struct table_column - a column
 * @name: its header
 * @right: align to the right: for numbers
 */
struct table_column {
	const char *name;
	bool right;
};

struct table;

struct table *table_new(const struct table_column *columns, unsigned int nr);
void table_line(struct table *table);
__printf(2, 3)
void table_text(struct table *table, const char *format, ...);
void table_size(struct table *table, uint64_t bytes);
int table_end(struct table *table);
const char *table_size_text(char *text, uint64_t bytes);

#endif /* TABLE_H */
