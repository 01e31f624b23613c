// SPDX-License-Identifier: GPL-2.0
/* why: where the memory is that the host still holds. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "json.h"
#include "table.h"
#include "tool.h"
#include "why.h"

#define WHY_WIDTH	79
#define WHY_TEXT	2048

static const struct table_column why_columns[] = {
	{ "MEMORY", false }, { "SIZE", true }, { "HOST", false },
};

static const char *const why_hosts[] = {
	[WHY_GONE] = "need not hold it",
	[WHY_BLOCKED] = "holds it",
	[WHY_FREEABLE] = "holds it",
	[WHY_USED] = "holds it",
	[WHY_UNSURE] = "may hold it",
};

/* A text that grows, and is cut at its end. */
struct why_text {
	char data[WHY_TEXT];
	size_t length;
};

__printf(2, 3)
static void why_say(struct why_text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text->data + text->length, WHY_TEXT - text->length, format, args);
	va_end(args);
	text->length = strlen(text->data);
}

static const char *why_size(int64_t bytes)
{
	static char text[TABLE_SIZE];

	return table_size_text(text, bytes < 0 ? 0 : bytes);
}

static int64_t why_held(const struct why *why)
{
	int64_t held = 0;
	unsigned int i;

	for (i = 0; i < WHY_PARTS; i++)
		if (why_kinds[i].class != WHY_GONE)
			held += why->bytes[i];
	return held;
}

static void why_say_part(struct why_text *text, const struct why *why, enum why_part part)
{
	const struct why_kind *kind = &why_kinds[part];

	why_say(text, " %s", kind->reason);
	if (why->detail[part][0])
		why_say(text, " %s", why->detail[part]);
	if (kind->advice[0])
		why_say(text, " What to do: %s", kind->advice);
}

/* One paragraph: how much, the first reason with what to do, and the next two by name. */
static void why_paragraph(const struct why *why, struct why_text *text)
{
	enum why_part order[WHY_PARTS];
	unsigned int nr = why_rank(why, order), i;

	text->length = 0;
	why_say(text, "This guest has %s.", why_size(why->memory.line[MEMORY_TOTAL]));
	if (why->bytes[WHY_REPORTED])
		why_say(text, " The host was told of %s that are free.",
			why_size(why->bytes[WHY_REPORTED]));
	why_say(text, " It may hold the other %s.", why_size(why_held(why)));
	if (!nr)
		return;
	if ((uint64_t)why->bytes[order[0]] < why->memory.line[MEMORY_TOTAL] / 32)
		why_say(text, " No part of that is large.");
	why_say(text, " First, %s:", why_kinds[order[0]].label);
	why_say(text, " %s.", why_size(why->bytes[order[0]]));
	why_say_part(text, why, order[0]);
	for (i = 1; i < nr && i < 3; i++)
		why_say(text, "%s%s: %s", i == 1 ? " Then " : "; ", why_kinds[order[i]].label,
			why_size(why->bytes[order[i]]));
	why_say(text, "%s", nr > 1 ? "." : "");
}

/**
 * why_wrap - print a text, with its lines broken at blanks
 * @head: what stands before the first line
 * @text: the text
 * @indent: number of blanks before each line, or of the columns of @head
 */
void why_wrap(const char *head, const char *text, int indent)
{
	size_t column = printf("%-*s", indent, head);
	bool first = true;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (!first && column + 1 + length > WHY_WIDTH) {
			putchar('\n');
			column = printf("%*s", indent, "");
			first = true;
		}
		column += printf("%s%.*s", first ? "" : " ", (int)length, text);
		first = false;
		text += length + (text[length] == ' ');
	}
	putchar('\n');
}

static void why_table_line(struct table *table, const struct why *why, enum why_part part)
{
	table_line(table);
	table_text(table, "%s", why_kinds[part].label);
	if (why->bytes[part] < 0)
		table_text(table, "-%s", why_size(-why->bytes[part]));
	else
		table_text(table, "%s", why_size(why->bytes[part]));
	table_text(table, "%s", why_hosts[why_kinds[part].class]);
}

static int why_table(const struct why *why)
{
	struct table *table = table_new(why_columns, ARRAY_SIZE(why_columns));
	enum why_part order[WHY_PARTS];
	unsigned int nr = why_rank(why, order), i;

	for (i = 0; i < WHY_PARTS; i++)
		if (why_kinds[i].class == WHY_GONE && why->bytes[i])
			why_table_line(table, why, i);
	for (i = 0; i < nr; i++)
		why_table_line(table, why, order[i]);
	if (why->bytes[WHY_OTHER] < 0)
		why_table_line(table, why, WHY_OTHER);
	return table_end(table);
}

/**
 * why_print - print the parts as a table, and a paragraph for people
 * @why: the parts
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int why_print(const struct why *why)
{
	struct why_text text;
	int status = why_table(why);

	why_paragraph(why, &text);
	if (status || tool_options.raw)
		return status;
	putchar('\n');
	why_wrap("", text.data, 0);
	return TOOL_FINE;
}

static void why_json_reason(const struct why *why, enum why_part part)
{
	json_object(NULL);
	json_string("name", why_kinds[part].name);
	json_number("bytes", why->bytes[part]);
	json_string("reason", why_kinds[part].reason);
	json_string("detail", why->detail[part]);
	json_string("advice", why_kinds[part].advice);
	json_close();
}

/**
 * why_json - print the parts as keys of the object that is open
 * @why: the parts
 */
void why_json(const struct why *why)
{
	enum why_part order[WHY_PARTS];
	unsigned int nr = why_rank(why, order), i;
	struct why_text text;

	json_string("device", why->device ? why->device->name : NULL);
	json_string("driver", why->device && why->device->driver[0] ? why->device->driver : NULL);
	json_number("order", why->order);
	json_number("total_bytes", why->memory.line[MEMORY_TOTAL]);
	json_number("held_bytes", why_held(why));
	json_object("parts");
	for (i = 0; i < WHY_PARTS; i++)
		json_number(why_kinds[i].name, why->bytes[i]);
	json_close();
	json_array("reasons");
	for (i = 0; i < nr; i++)
		why_json_reason(why, order[i]);
	json_close();
	why_paragraph(why, &text);
	json_string("text", text.data);
}

/**
 * why_run - print where the memory is that the host still holds
 * @argc: number of arguments, with the verb
 * @argv: the arguments
 *
 * Return: an exit status.
 */
int why_run(int argc, char **argv)
{
	int status = tool_no_arguments(argc, argv);
	struct why why;

	if (status)
		return status;
	if (why_read(&why))
		return TOOL_FAILED;
	why_divide(&why);
	if (tool_options.json) {
		json_begin();
		why_json(&why);
		json_end();
	} else {
		status = why_print(&why);
	}
	devices_free(&why.devices);
	return status;
}
