// SPDX-License-Identifier: GPL-2.0
/* Printing JSON. */
#include <stdio.h>
#include "json.h"
#include "tool.h"

#define JSON_DEPTH	8

/* The brackets that are open, and whether something is in the innermost one already. */
static char json_brackets[JSON_DEPTH];
static unsigned int json_depth;
static bool json_filled;

static void json_indent(void)
{
	printf("%s\n%*s", json_filled ? "," : "", (int)json_depth * 2, "");
	json_filled = true;
}

static void json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void json_key(const char *key)
{
	json_indent();
	if (!key)
		return;
	json_text(key);
	fputs(": ", stdout);
}

static void json_open(char bracket)
{
	putchar(bracket);
	json_brackets[json_depth++] = bracket;
	json_filled = false;
}

/**
 * json_begin - begin the object that is all of the output, with the key "schema"
 */
void json_begin(void)
{
	json_open('{');
	json_number("schema", TOOL_SCHEMA);
}

/**
 * json_end - end the object that is all of the output
 */
void json_end(void)
{
	json_close();
	putchar('\n');
}

/**
 * json_object - begin an object; json_close() ends it
 * @key: its key
 */
void json_object(const char *key)
{
	json_key(key);
	json_open('{');
}

/**
 * json_array - begin an array; json_close() ends it
 * @key: its key
 */
void json_array(const char *key)
{
	json_key(key);
	json_open('[');
}

/**
 * json_close - end the innermost object or array
 */
void json_close(void)
{
	char bracket = json_brackets[--json_depth];

	if (json_filled)
		printf("\n%*s", (int)json_depth * 2, "");
	putchar(bracket == '{' ? '}' : ']');
	json_filled = true;
}

/**
 * json_string - print a string
 * @key: its key
 * @text: the string; NULL for null
 */
void json_string(const char *key, const char *text)
{
	json_key(key);
	if (text)
		json_text(text);
	else
		fputs("null", stdout);
}

/**
 * json_number - print a whole number
 * @key: its key
 * @number: the number
 */
void json_number(const char *key, int64_t number)
{
	json_key(key);
	printf("%lld", (long long)number);
}

/**
 * json_real - print a number with three digits after the point
 * @key: its key
 * @number: the number
 */
void json_real(const char *key, double number)
{
	json_key(key);
	printf("%.3f", number);
}

/**
 * json_bool - print true or false
 * @key: its key
 * @truth: which of them
 */
void json_bool(const char *key, bool truth)
{
	json_key(key);
	fputs(truth ? "true" : "false", stdout);
}
