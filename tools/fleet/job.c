// SPDX-License-Identifier: GPL-2.0
/*
 * Jobs in processes. A job writes lines of JSON to a pipe: {"step": what it waits for},
 * {"result": what it has found so far}, {"error": why it failed}, and {"done": true}.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "job.h"

#define LINE_FLAGS JSON_COMPACT

/* The pipe of the job that this process is. */
static int out = -1;

static void send_line(json_t *line)
{
	char *text = line ? json_dumps(line, LINE_FLAGS) : NULL;

	if (!text || dprintf(out, "%s\n", text) < 0)
		_exit(1);
	free(text);
	json_decref(line);
}

/**
 * job_step() - Say what the job waits for from now on, for the message of the time limit.
 * @step: what follows "while it waited for"
 *
 * Context: The process of a job.
 */
void job_step(const char *step)
{
	send_line(json_pack("{s:s}", "step", step));
}

/**
 * job_send() - Send what is known so far; it replaces what was sent before.
 * @result: an object or an array, which stays the caller's
 *
 * Context: The process of a job.
 */
void job_send(json_t *result)
{
	send_line(json_pack("{s:O}", "result", result));
}

/**
 * job_fail() - End the job with an error; what was sent before stays.
 * @format: the error
 *
 * Context: The process of a job. Does not return.
 */
void job_fail(const char *format, ...)
{
	char text[512];
	va_list arguments;
	json_t *line;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	line = json_pack("{s:s}", "error", text);
	send_line(line ? line : json_pack("{s:s}", "error", "an error that is not UTF-8"));
	_exit(1);
}

/**
 * now_ms() - The time of a clock that is never set.
 *
 * Return: milliseconds.
 */
long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void run(const struct job *job, int fd, pid_t parent)
{
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	out = fd;
	job->work(job->argument);
	send_line(json_pack("{s:b}", "done", 1));
	_exit(0);
}

static void fail(struct job *job, const char *format, ...)
{
	va_list arguments;

	free(job->error);
	va_start(arguments, format);
	if (vasprintf(&job->error, format, arguments) < 0)
		job->error = NULL;
	va_end(arguments);
}

static void start(struct job *job)
{
	pid_t parent = getpid();
	int ends[2];

	job->fd = -1;
	if (pipe2(ends, O_CLOEXEC)) {
		fail(job, "pipe: %s", strerror(errno));
		return;
	}
	job->pid = fork();
	if (!job->pid)
		run(job, ends[1], parent);
	close(ends[1]);
	if (job->pid < 0) {
		fail(job, "fork: %s", strerror(errno));
		close(ends[0]);
		return;
	}
	/* Until the job says that it is done, or why not. */
	fail(job, "ended unexpectedly");
	job->fd = ends[0];
}

/* Take one line of a job. */
static void take(struct job *job, const char *text)
{
	json_t *line = json_loads(text, 0, NULL);
	json_t *result = json_object_get(line, "result");
	const char *error = json_string_value(json_object_get(line, "error"));
	const char *step = json_string_value(json_object_get(line, "step"));

	if (result) {
		json_decref(job->result);
		job->result = json_incref(result);
	}
	if (step) {
		free(job->step);
		job->step = strdup(step);
	}
	if (error)
		fail(job, "%s", error);
	if (json_is_true(json_object_get(line, "done"))) {
		free(job->error);
		job->error = NULL;
	}
	json_decref(line);
}

static void take_lines(struct job *job)
{
	char *end, *line = job->text;

	while ((end = memchr(line, '\n', job->length - (line - job->text)))) {
		*end = '\0';
		take(job, line);
		line = end + 1;
	}
	job->length -= line - job->text;
	memmove(job->text, line, job->length);
}

static void finish(struct job *job)
{
	close(job->fd);
	job->fd = -1;
	kill(job->pid, SIGKILL);
	/* A process in an uninterruptible read cannot be killed: it is not waited for. */
	waitpid(job->pid, NULL, WNOHANG);
	free(job->text);
	free(job->step);
	job->text = NULL;
	job->step = NULL;
}

/* Read what a job has written; the end of its pipe is the end of the job. */
static void receive(struct job *job)
{
	char part[4096];
	ssize_t length = read(job->fd, part, sizeof(part));
	char *text;

	if (length < 0 && errno == EINTR)
		return;
	if (length <= 0) {
		finish(job);
		return;
	}
	text = realloc(job->text, job->length + length);
	if (!text) {
		finish(job);
		return;
	}
	job->text = text;
	memcpy(text + job->length, part, length);
	job->length += length;
	take_lines(job);
}

/* Wait for any job that still runs; returns false if none does, or at the time limit. */
static bool wait_some(struct job *jobs, size_t count, struct pollfd *polled, long long deadline)
{
	long long left = deadline - now_ms();
	size_t i, running = 0;

	for (i = 0; i < count; i++) {
		polled[i] = (struct pollfd){ .fd = jobs[i].fd, .events = POLLIN };
		running += jobs[i].fd >= 0;
	}
	if (!running || left <= 0)
		return false;
	if (poll(polled, count, left) < 0)
		return errno == EINTR;
	for (i = 0; i < count; i++) {
		if (polled[i].revents)
			receive(&jobs[i]);
	}
	return true;
}

/**
 * jobs_run() - Run jobs at the same time, each until it ends, or until the time limit.
 * @jobs: the jobs; result and error of each are set
 * @count: their number
 * @deadline_ms: the time limit, as now_ms() counts
 * @timeout: the time limit in seconds, for the message
 */
void jobs_run(struct job *jobs, size_t count, long long deadline_ms, int timeout)
{
	struct pollfd *polled = calloc(count + 1, sizeof(*polled));
	size_t i;

	/* Those that finish() did not wait for. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	fflush(NULL);
	for (i = 0; i < count; i++)
		start(&jobs[i]);
	while (polled && wait_some(jobs, count, polled, deadline_ms))
		;
	for (i = 0; i < count; i++) {
		if (jobs[i].fd < 0)
			continue;
		fail(&jobs[i], "no answer within %d s from %s", timeout,
		     jobs[i].step ? jobs[i].step : "its process");
		finish(&jobs[i]);
	}
	free(polled);
}
