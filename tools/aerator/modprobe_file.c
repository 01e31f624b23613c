// SPDX-License-Identifier: GPL-2.0
/*
 * Writing /etc/modprobe.d/aerator.conf. Lines of other parameters and comments stay. A value
 * follows the commented line with the default of its parameter, if there is one.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "modprobe_file.h"
#include "tool.h"

#define MODPROBE_FILE	"/etc/modprobe.d/aerator.conf"
#define MODPROBE_SET	"options aerator "

/**
 * struct modprobe_edit - a rewrite of the file
 * @values: the values
 * @nr: number of values
 * @out: the new file
 * @written: for each value, whether it is in @out
 */
struct modprobe_edit {
	const struct modprobe_value *values;
	unsigned int nr;
	FILE *out;
	bool written[SETTINGS];
};

/* The value for a word NAME=...; -1 if there is none. */
static int modprobe_match(const struct modprobe_edit *edit, const char *word)
{
	size_t length = strcspn(word, "=");
	unsigned int i;

	for (i = 0; i < edit->nr; i++) {
		const char *name = settings_known[edit->values[i].number].name;

		if (strlen(name) == length && !strncmp(name, word, length))
			return i;
	}
	return -1;
}

static void modprobe_value(struct modprobe_edit *edit, unsigned int i)
{
	if (edit->written[i])
		return;
	fprintf(edit->out, MODPROBE_SET "%s=%s\n",
		settings_known[edit->values[i].number].name, edit->values[i].text);
	edit->written[i] = true;
}

/* A line with options: those that get another value are left out. */
static void modprobe_options(struct modprobe_edit *edit, char *words)
{
	bool any = false;
	char *word;

	while ((word = strsep(&words, " \t\n"))) {
		int i = *word ? modprobe_match(edit, word) : -1;

		if (i >= 0)
			modprobe_value(edit, i);
		else if (*word)
			any = fprintf(edit->out, "%s%s", any ? " " : MODPROBE_SET, word);
	}
	if (any)
		fputc('\n', edit->out);
}

static void modprobe_line(struct modprobe_edit *edit, char *line)
{
	size_t length = strlen(MODPROBE_SET);
	int i;

	if (!strncmp(line, MODPROBE_SET, length)) {
		modprobe_options(edit, line + length);
		return;
	}
	fputs(line, edit->out);
	if (!line[0] || line[strlen(line) - 1] != '\n')
		fputc('\n', edit->out);
	if (line[0] != '#' || strncmp(line + 1, MODPROBE_SET, length))
		return;
	i = modprobe_match(edit, line + 1 + length);
	if (i >= 0)
		modprobe_value(edit, i);
}

static int modprobe_copy(struct modprobe_edit *edit, const char *path)
{
	FILE *in = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	unsigned int i;
	int err = 0;

	if (!in && errno != ENOENT)
		return -errno;
	while (in && getline(&line, &size, in) > 0)
		modprobe_line(edit, line);
	free(line);
	/* A file that cannot be read to its end stays as it is. */
	if (in && (ferror(in) || fchmod(fileno(edit->out), 0644)))
		err = -EIO;
	if (in)
		fclose(in);
	if (err)
		return err;
	for (i = 0; i < edit->nr; i++)
		modprobe_value(edit, i);
	return 0;
}

static int modprobe_rewrite(struct modprobe_edit *edit, const char *path, const char *new)
{
	int err;

	edit->out = fopen(new, "w");
	if (!edit->out)
		return -errno;
	err = modprobe_copy(edit, path);
	if (!err && (ferror(edit->out) || fflush(edit->out) || fsync(fileno(edit->out))))
		err = -EIO;
	fclose(edit->out);
	if (!err && rename(new, path))
		err = -errno;
	if (err)
		unlink(new);
	return err;
}

/**
 * modprobe_save - write values to /etc/modprobe.d/aerator.conf
 * @values: the values, which the running kernel has accepted
 * @nr: number of values
 *
 * The file is replaced by a complete new one, or stays as it is.
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int modprobe_save(const struct modprobe_value *values, unsigned int nr)
{
	struct modprobe_edit edit = { .values = values, .nr = nr };
	char path[PATH_MAX], new[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "%s" MODPROBE_FILE, tool_options.sysroot);
	snprintf(new, sizeof(new), "%s" MODPROBE_FILE ".new", tool_options.sysroot);
	err = modprobe_rewrite(&edit, path, new);
	if (err)
		return tool_error("%s: %s; the values hold until aerator is loaded again", path,
				  strerror(-err));
	return TOOL_FINE;
}
