// SPDX-License-Identifier: GPL-2.0
/* The table for people: a line a guest, a total, and the notes. */

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "compiler.h"
#include "guest.h"
#include "output.h"

#define WIDTH 80

enum kind { NAME, BYTES, SECONDS, REPORTING };

struct column {
	const char *title;
	const char *key;
	enum kind kind;
};

static const struct column columns[] = {
	{ "GUEST", "name", NAME },
	{ "CONFIG", CONFIGURED, BYTES },
	{ "ACTUAL", ACTUAL, BYTES },
	{ "USED", GUEST_USED, BYTES },
	{ "HELD", HOST, BYTES },
	{ "CACHE", HOST_CACHE, BYTES },
	{ "WASTE", WASTE, BYTES },
	{ "SINCE", WASTE_SECONDS, SECONDS },
	{ "REPORTING", "reporting", REPORTING },
	{ "AGE", STATISTICS_AGE, SECONDS },
};

static char *print(const char *format, double value, const char *unit)
{
	char *text;

	if (asprintf(&text, format, value, unit) < 0)
		abort();
	return text;
}

/* Three digits or four, and a unit. */
static char *size(long long bytes)
{
	static const char *const units[] = { "B", "K", "M", "G", "T", "P", "E" };
	double value = bytes;
	size_t unit = 0;

	while ((value >= 999.5 || value <= -999.5) && unit < 6) {
		value /= 1024;
		unit++;
	}
	if (unit && value < 9.95 && value > -9.95)
		return print("%.1f%s", value, units[unit]);
	return print("%.0f%s", value, units[unit]);
}

static char *duration(long long seconds)
{
	if (seconds < 120)
		return print("%.0f%s", seconds, "s");
	if (seconds < 120 * 60)
		return print("%.0f%s", seconds / 60, "m");
	if (seconds < 48 * 60 * 60)
		return print("%.0f%s", seconds / (60 * 60), "h");
	return print("%.0f%s", seconds / (24 * 60 * 60), "d");
}

static char *reporting(const json_t *guest)
{
	static const char *const words[] = { "-", "off", "on" };

	return strdup(words[guest_reporting(guest) + 1]);
}

static char *cell(const json_t *guest, const struct column *column, const struct table_style *style)
{
	long long value;

	if (column->kind == NAME)
		return strdup(guest_name(guest));
	if (column->kind == REPORTING)
		return reporting(guest);
	if (!guest_get(guest, column->key, &value))
		return strdup("-");
	if (column->kind == SECONDS)
		return duration(value);
	return style->bytes ? print("%.0f%s", value, "") : size(value);
}

static bool shown(const struct column *column, const struct table_style *style)
{
	return style->since || strcmp(column->key, WASTE_SECONDS);
}

static int add_line(struct libscols_table *table, const json_t *guest,
		    const struct table_style *style, bool total)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t i, number = 0;

	for (i = 0; line && i < ARRAY_SIZE(columns); i++) {
		bool empty = total && columns[i].kind != BYTES && columns[i].kind != NAME;

		if (!shown(&columns[i], style))
			continue;
		if (scols_line_refer_data(line, number++, empty ? strdup("") :
					  cell(guest, &columns[i], style)))
			return -1;
	}
	return line ? 0 : -1;
}

static int width(void)
{
	struct winsize window;

	if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) && window.ws_col)
		return window.ws_col;
	return WIDTH;
}

static int add_columns(struct libscols_table *table, const struct table_style *style)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		int flags = columns[i].kind == NAME ? SCOLS_FL_TRUNC : SCOLS_FL_RIGHT;

		if (shown(&columns[i], style) &&
		    !scols_table_new_column(table, columns[i].title, 0, flags))
			return -1;
	}
	return 0;
}

/* The sum, with the name of a guest. */
static json_t *total_of(const json_t *answer)
{
	json_t *total = json_deep_copy(json_object_get(answer, "total"));
	long long incomplete = 0;

	guest_get(total, "incomplete", &incomplete);
	json_object_set_new(total, "name", json_string(incomplete ? "total known" : "total"));
	return total;
}

static int print_lines(const json_t *answer, const struct table_style *style)
{
	struct libscols_table *table = scols_new_table();
	json_t *total = total_of(answer), *guest;
	int failed = !table || add_columns(table, style);
	size_t index;

	if (table && !style->bytes)
		scols_table_set_termwidth(table, width());
	if (table)
		scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
	json_array_foreach(json_object_get(answer, "guests"), index, guest)
		failed = failed || add_line(table, guest, style, false);
	failed = failed || add_line(table, total, style, true) || scols_print_table(table);
	scols_unref_table(table);
	json_decref(total);
	return failed ? -1 : 0;
}

/* Words of a note, with breaks where a line would be too long. */
static void print_wrapped(const char *name, const char *text)
{
	size_t column = printf("%s:", name);

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column + 1 + length > WIDTH)
			column = printf("\n ") - 1;
		column += printf(" %.*s", (int)length, text);
		text += length;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_notes(const json_t *guests)
{
	json_t *guest, *note;
	size_t index, number;

	json_array_foreach(guests, index, guest) {
		json_array_foreach(json_object_get(guest, "notes"), number, note)
			print_wrapped(guest_name(guest), json_string_value(note));
	}
}

/**
 * table_print() - Print the answer of a round as a table.
 * @answer: the answer
 * @style: the style
 *
 * Return: 0, or -1 if it could not be printed.
 */
int table_print(const json_t *answer, const struct table_style *style)
{
	const json_t *guests = json_object_get(answer, "guests");

	scols_init_debug(0);
	if (style->redraw)
		fputs("\033[H\033[J", stdout);
	if (!json_array_size(guests) && !json_array_size(json_object_get(answer, "errors")))
		puts("no running guests");
	else if (json_array_size(guests) && print_lines(answer, style))
		return -1;
	print_notes(guests);
	return fflush(stdout) || ferror(stdout) ? -1 : 0;
}
