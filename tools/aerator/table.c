// SPDX-License-Identifier: GPL-2.0
/* Tables, with libsmartcols. */
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "table.h"
#include "tool.h"

/**
 * struct table - a table that is being filled
 * @scols: libsmartcols' table
 * @line: the current line
 * @next: number of the next cell of that line
 * @place: for each cell, in which column it is printed; -1 if not
 */
struct table {
	struct libscols_table *scols;
	struct libscols_line *line;
	unsigned int next;
	int place[TABLE_COLUMNS];
};

static void table_check(bool good)
{
	if (!good)
		exit(tool_error("out of memory"));
}

/* The number of a column by its name, of any case; @nr if there is none. */
static unsigned int table_find(const struct table_column *columns, unsigned int nr,
			       const char *name, size_t length)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (strlen(columns[i].name) == length &&
		    !strncasecmp(columns[i].name, name, length))
			break;
	return i;
}

static void table_add(struct table *table, const struct table_column *column, int *place)
{
	int flags = column->right ? SCOLS_FL_RIGHT : 0;

	if (*place >= 0)
		return;
	*place = scols_table_get_ncols(table->scols);
	table_check(scols_table_new_column(table->scols, column->name, 0, flags));
}

/* The columns that --output lists, in its order; all without it. */
static void table_choose(struct table *table, const struct table_column *columns,
			 unsigned int nr)
{
	const char *name = tool_options.columns;
	unsigned int i;

	for (i = 0; i < nr && !name; i++)
		table_add(table, &columns[i], &table->place[i]);
	while (name) {
		size_t length = strcspn(name, ",");

		i = table_find(columns, nr, name, length);
		if (i == nr)
			exit(tool_usage("column '%.*s' is unknown", (int)length, name));
		table_add(table, &columns[i], &table->place[i]);
		name = name[length] ? name + length + 1 : NULL;
	}
}

/**
 * table_new - begin a table
 * @columns: its columns
 * @nr: number of columns, TABLE_COLUMNS at most
 *
 * Return: the table. The program ends if --output names a column that there is not.
 */
struct table *table_new(const struct table_column *columns, unsigned int nr)
{
	struct table *table = tool_memory(NULL, 1, sizeof(*table));
	unsigned int i;

	scols_init_debug(0);
	memset(table, 0, sizeof(*table));
	for (i = 0; i < TABLE_COLUMNS; i++)
		table->place[i] = -1;
	table->scols = scols_new_table();
	table_check(table->scols);
	scols_table_enable_raw(table->scols, tool_options.raw);
	scols_table_enable_noheadings(table->scols, tool_options.noheadings);
	table_choose(table, columns, nr);
	return table;
}

/**
 * table_line - begin a line
 * @table: the table
 */
void table_line(struct table *table)
{
	table->line = scols_table_new_line(table->scols, NULL);
	table->next = 0;
	table_check(table->line);
}

/**
 * table_text - fill the next cell of the current line
 * @table: the table
 * @format: its text
 */
void table_text(struct table *table, const char *format, ...)
{
	int place = table->place[table->next++];
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (place >= 0)
		table_check(!scols_line_set_data(table->line, place, text));
}

/**
 * table_size_text - write a size as people read it, or in bytes with --bytes or --raw
 * @text: where it goes, TABLE_SIZE bytes
 * @bytes: the size
 *
 * Return: @text.
 */
const char *table_size_text(char *text, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double size = bytes;
	unsigned int unit = 0;

	if (tool_options.bytes || tool_options.raw) {
		snprintf(text, TABLE_SIZE, "%llu", (unsigned long long)bytes);
		return text;
	}
	for (; size >= 1000 && unit < sizeof(units) - 2; unit++)
		size /= 1024;
	snprintf(text, TABLE_SIZE, unit && size < 9.95 ? "%.1f%c" : "%.0f%c", size, units[unit]);
	return text;
}

/**
 * table_size - fill the next cell of the current line with a size
 * @table: the table
 * @bytes: the size
 */
void table_size(struct table *table, uint64_t bytes)
{
	char text[TABLE_SIZE];

	table_text(table, "%s", table_size_text(text, bytes));
}

/**
 * table_end - print a table, and free it
 * @table: the table
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int table_end(struct table *table)
{
	int err = scols_print_table(table->scols);

	scols_unref_table(table->scols);
	free(table);
	return err ? tool_error("the table cannot be printed") : TOOL_FINE;
}
