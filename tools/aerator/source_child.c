// SPDX-License-Identifier: GPL-2.0
/* Functions of the child process that reads files for source.c, and may hang. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "source_child.h"
#include "tool.h"

/* No file that is read here is longer: the log is at most 1 MiB in most kernels. */
#define CHILD_MOST	(8 << 20)
#define CHILD_STEP	65536

/* A text that grows. */
struct child_text {
	char *data;
	size_t length;
};

/**
 * source_child_now - time that never jumps
 *
 * Return: milliseconds.
 */
long long source_child_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/**
 * source_child_detach - close the user's files
 * @to: a file that stays open
 *
 * A child that hangs must not keep a pipe of the user open.
 */
void source_child_detach(int to)
{
	int file;

	for (file = 0; file < 3; file++)
		if (file != to)
			close(file);
}

static void child_path(char *path, const char *name)
{
	snprintf(path, PATH_MAX, "%s%s", tool_options.sysroot, name);
}

static int child_room(struct child_text *text, size_t length)
{
	if (text->length + length > CHILD_MOST)
		return -EFBIG;
	text->data = realloc(text->data, text->length + length);
	return text->data ? 0 : -ENOMEM;
}

static int child_read_file(int file, struct child_text *text, bool log)
{
	ssize_t got;
	int err;

	for (;;) {
		err = child_room(text, CHILD_STEP);
		if (err)
			return err;
		got = read(file, text->data + text->length, CHILD_STEP);
		if (got > 0)
			text->length += got;
		else if (!got || (log && errno == EAGAIN))
			return 0;
		else if (!log || errno != EPIPE)	/* EPIPE: records were overwritten */
			return -errno;
	}
}

static int child_file(const char *path, struct child_text *text, bool log)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | (log ? O_NONBLOCK : 0));
	int err;

	if (file < 0)
		return -errno;
	err = child_read_file(file, text, log);
	close(file);
	return err;
}

static int child_add(struct child_text *text, const char *name)
{
	size_t length = strlen(name);
	int err = child_room(text, length + 1);

	if (err)
		return err;
	memcpy(text->data + text->length, name, length);
	text->data[text->length + length] = '\n';
	text->length += length + 1;
	return 0;
}

static int child_folder(const char *path, struct child_text *text)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int err = 0;

	if (!folder)
		return -errno;
	while (!err && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			err = child_add(text, entry->d_name);
	closedir(folder);
	return err;
}

static int child_link(const char *path, struct child_text *text)
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (length < 0)
		return -errno;
	target[length] = 0;
	slash = strrchr(target, '/');
	return child_add(text, slash ? slash + 1 : target);
}

static int child_one(const struct source *source, struct child_text *text)
{
	char path[PATH_MAX];

	child_path(path, source->path);
	switch (source->kind) {
	case SOURCE_FOLDER:
		return child_folder(path, text);
	case SOURCE_LINK:
		return child_link(path, text);
	default:
		return child_file(path, text, source->kind == SOURCE_LOG);
	}
}

static void child_send(int to, const void *data, size_t length)
{
	ssize_t sent;

	for (; length; length -= sent) {
		sent = write(to, data, length);
		if (sent <= 0)
			_exit(1);
		data = (const char *)data + sent;
	}
}

/**
 * source_child_answer - read files, and send what they contain
 * @to: the pipe to the parent
 * @sources: the files
 * @nr: number of files
 */
void source_child_answer(int to, const struct source *sources, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct child_text text = {};
		struct source_answer answer = { .err = child_one(&sources[i], &text) };

		answer.length = answer.err ? 0 : text.length;
		child_send(to, &answer, sizeof(answer));
		child_send(to, text.data, answer.length);
		free(text.data);
	}
}

/**
 * source_child_write - write a file
 * @path: its path, without the sysroot
 * @text: what is written
 *
 * Return: 0, or a negative error.
 */
int source_child_write(const char *path, const char *text)
{
	char full[PATH_MAX];
	size_t length = strlen(text);
	ssize_t sent;
	int file;

	child_path(full, path);
	/* A plain file of a prepared tree is replaced; files of sysfs have no length. */
	file = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (file < 0)
		return -errno;
	sent = write(file, text, length);
	if (sent < 0) {
		int err = -errno;

		close(file);
		return err;
	}
	close(file);
	return (size_t)sent == length ? 0 : -EIO;
}
