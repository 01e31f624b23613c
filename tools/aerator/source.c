// SPDX-License-Identifier: GPL-2.0
/*
 * Reading files of the kernel.
 *
 * A read of such a file can hang, and a process in such a read cannot be killed. Files are
 * therefore read by a child, and the parent waits for each answer for a limited time. A child
 * that hangs is left behind: it has closed the files of the user.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "source.h"
#include "source_child.h"
#include "tool.h"

/* All answers of one call have to come within this time; a longer text is an error. */
#define SOURCE_MS	4000

/**
 * source_set - name a file to read
 * @source: the source
 * @kind: what the file is
 * @format: its path, without the sysroot
 */
void source_set(struct source *source, enum source_kind kind, const char *format, ...)
{
	va_list args;

	memset(source, 0, sizeof(*source));
	source->kind = kind;
	va_start(args, format);
	vsnprintf(source->path, sizeof(source->path), format, args);
	va_end(args);
}

/* Start a child with a pipe from it; returns the end to read from, or -errno. */
static int source_start(const struct source *sources, unsigned int nr, pid_t *child)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	*child = fork();
	if (*child < 0) {
		close(ends[0]);
		close(ends[1]);
		return -EAGAIN;
	}
	if (!*child) {
		close(ends[0]);
		source_child_detach(ends[1]);
		source_child_answer(ends[1], sources, nr);
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

/* Read @length bytes until @deadline. */
static int source_receive(int from, void *data, size_t length, long long deadline)
{
	struct pollfd input = { .fd = from, .events = POLLIN };
	ssize_t got;

	while (length) {
		long long left = deadline - source_child_now();

		if (left <= 0)
			return -ETIMEDOUT;
		got = poll(&input, 1, left);
		/* A signal ends the caller's loop, and not this answer. */
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -ETIMEDOUT;
		got = read(from, data, length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		data = (char *)data + got;
		length -= got;
	}
	return 0;
}

static int source_receive_one(int from, struct source *source, long long deadline)
{
	struct source_answer answer;
	int err = source_receive(from, &answer, sizeof(answer), deadline);

	if (err)
		return err;
	source->err = answer.err;
	if (answer.err)
		return 0;
	source->text = tool_memory(NULL, answer.length + 1, 1);
	source->length = answer.length;
	source->text[answer.length] = 0;
	return source_receive(from, source->text, answer.length, deadline);
}

/* A child that hangs is not waited for. */
static void source_end(int from, pid_t child, int err)
{
	close(from);
	if (err)
		kill(child, SIGKILL);
	waitpid(child, NULL, err ? WNOHANG : 0);
}

/**
 * source_fetch - read files
 * @sources: the files; the text or the error of each is set
 * @nr: number of files
 *
 * Takes 4 s at most. A file at which that time is over has the error -ETIMEDOUT, and so have
 * those after it.
 */
void source_fetch(struct source *sources, unsigned int nr)
{
	long long deadline = source_child_now() + SOURCE_MS;
	pid_t child = 0;
	int from = source_start(sources, nr, &child);
	int err = from < 0 ? from : 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!err)
			err = source_receive_one(from, &sources[i], deadline);
		if (err) {
			free(sources[i].text);
			sources[i].text = NULL;
			sources[i].err = err;
		}
	}
	if (from >= 0)
		source_end(from, child, err);
}

/**
 * source_free - free the texts of files
 * @sources: the files
 * @nr: number of files
 */
void source_free(struct source *sources, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		free(sources[i].text);
		sources[i].text = NULL;
	}
}

/**
 * source_error - say why a file could not be read
 * @source: the file
 *
 * Return: TOOL_FAILED.
 */
int source_error(const struct source *source)
{
	const char *hint = "";

	if (source->err == -EACCES)
		hint = " (is it for root only?)";
	if (source->err == -ETIMEDOUT)
		return tool_error("%s%s: no answer within %u s", tool_options.sysroot,
				  source->path, SOURCE_MS / 1000);
	return tool_error("%s%s: %s%s", tool_options.sysroot, source->path,
			  strerror(-source->err), hint);
}

/**
 * source_call - call a function that may hang, with a time limit
 * @work: the function; returns 0 or a negative error
 * @path: its first argument
 * @text: its second argument
 * @seconds: the limit
 *
 * A call that takes longer goes on, in a process of its own.
 *
 * Return: what @work returns; -ETIMEDOUT also after the time limit.
 */
int source_call(int (*work)(const char *path, const char *text), const char *path,
		const char *text, unsigned int seconds)
{
	long long deadline = source_child_now() + seconds * 1000LL;
	int ends[2], err = 0, failed;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return -EAGAIN;
	}
	if (!child) {
		close(ends[0]);
		source_child_detach(ends[1]);
		err = work(path, text);
		_exit(write(ends[1], &err, sizeof(err)) != sizeof(err));
	}
	close(ends[1]);
	failed = source_receive(ends[0], &err, sizeof(err), deadline);
	close(ends[0]);
	waitpid(child, NULL, failed ? WNOHANG : 0);
	return failed ?: err;
}

/**
 * source_write - write a file of the kernel, with a time limit
 * @path: its path, without the sysroot
 * @text: what is written, in one write
 * @seconds: the limit
 *
 * Return: 0, or a negative error; -ETIMEDOUT also after the time limit.
 */
int source_write(const char *path, const char *text, unsigned int seconds)
{
	return source_call(source_child_write, path, text, seconds);
}

/**
 * source_digits - parse a decimal number
 * @text: where it begins; afterwards where it ends
 * @number: the number
 *
 * Return: false if there is none, or it is too large for 64 bits.
 */
bool source_digits(const char **text, uint64_t *number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*number = strtoull(*text, &end, 10);
	*text = end;
	return !errno;
}

/**
 * source_within - parse a text that is a decimal number within bounds
 * @text: the text
 * @least: the smallest value
 * @most: the largest value
 * @number: the number
 *
 * Return: false if the text is no number, or out of bounds.
 */
bool source_within(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	return source_digits(&text, number) && !*text && *number >= least && *number <= most;
}

/* The file is not as it should be: show the begin of its first line. */
static int source_refuse(const struct source *source, const char *wanted)
{
	int length = strcspn(source->text, "\n");

	return tool_error("%s%s: '%.*s' is no %s", tool_options.sysroot, source->path,
			  length < 32 ? length : 32, source->text, wanted);
}

/**
 * source_number - the number that is all of a file
 * @source: the file, read
 * @most: the largest value that it can have
 * @number: the number
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int source_number(const struct source *source, uint64_t most, uint64_t *number)
{
	const char *at = source->text;

	if (!source->text)
		return source_error(source);
	/* The kernel ends each value with a newline: without one, a part of it is missing. */
	if (!source_digits(&at, number) || strcmp(at, "\n") || *number > most)
		return source_refuse(source, "whole number and newline, or too large");
	return TOOL_FINE;
}

/**
 * source_word - the word that is all of a file
 * @source: the file, read
 * @word: where it goes
 * @size: size of @word
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int source_word(const struct source *source, char *word, size_t size)
{
	size_t length;

	if (!source->text)
		return source_error(source);
	length = strspn(source->text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	if (!length || length >= size || strcmp(source->text + length, "\n"))
		return source_refuse(source, "word and newline");
	memcpy(word, source->text, length);
	word[length] = 0;
	return TOOL_FINE;
}
