// SPDX-License-Identifier: GPL-2.0
/* Files of /proc and /sys, or of a folder with prepared ones. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

static const char *top = "";

/**
 * files_set_root() - Read all files of /proc and /sys below a folder, for tests.
 * @root: the folder; the string has to stay
 */
void files_set_root(const char *root)
{
	top = root;
}

/**
 * files_path() - Make a path, below the folder of tests if there is one.
 * @format: the path, which begins with /
 *
 * Return: the path, which the caller frees.
 */
char *files_path(const char *format, ...)
{
	char *path, *whole;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&path, format, arguments) < 0)
		abort();
	va_end(arguments);
	if (asprintf(&whole, "%s%s", top, path) < 0)
		abort();
	free(path);
	return whole;
}

static char *read_all(FILE *file)
{
	size_t size = 0, length = 0;
	char *text = NULL;

	do {
		if (length + 1 >= size) {
			size = size ? size * 2 : 4096;
			text = realloc(text, size);
			if (!text)
				abort();
		}
		length += fread(text + length, 1, size - length - 1, file);
	} while (!feof(file) && !ferror(file));
	text[length] = '\0';
	return text;
}

/**
 * files_read() - Read a file of text.
 * @path: its path
 *
 * The kernel ends each of these files with a newline: without it, the last number may lack
 * digits.
 *
 * Return: the text, which the caller frees; NULL with errno set, ENODATA if it is empty or cut.
 */
char *files_read(const char *path)
{
	FILE *file = fopen(path, "re");
	int error = 0;
	char *text;

	if (!file)
		return NULL;
	text = read_all(file);
	if (ferror(file))
		error = errno;
	else if (!*text || text[strlen(text) - 1] != '\n')
		error = ENODATA;
	fclose(file);
	if (!error)
		return text;
	free(text);
	errno = error;
	return NULL;
}

/**
 * files_number() - The number that is all of a text, or the first word of it.
 * @text: the text
 * @value: where the number is stored
 *
 * Return: whether there is a number that is not less than 0.
 */
bool files_number(const char *text, long long *value)
{
	char *end;

	errno = 0;
	*value = strtoll(text, &end, 10);
	return end != text && !errno && *value >= 0 && (*end == '\n' || *end == ' ');
}

/**
 * files_field() - The number of a line such as "key 12" or "key:	12 kB".
 * @text: the lines
 * @key: the key of the line
 * @value: where the number is stored
 *
 * Return: whether there is such a line.
 */
bool files_field(const char *text, const char *key, long long *value)
{
	size_t length = strlen(key);

	while (text) {
		if (!strncmp(text, key, length) && strchr(" :", text[length]))
			return files_number(text + length + 1, value);
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return false;
}
