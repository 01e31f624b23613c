/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Jobs: each asks one source, in a process of its own. A source that hangs, or a library that
 * crashes with it, is then an error of that job only, and the time limit is in one place.
 */
#ifndef FLEET_JOB_H
#define FLEET_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "compiler.h"

struct job {
	/* Set by the caller. */
	void (*work)(const void *argument);	/* runs in the process of the job */
	const void *argument;

	/* What the job has sent last, or NULL; both belong to the caller. */
	json_t *result;
	char *error;

	/* Internal. */
	pid_t pid;
	int fd;
	char *step;
	char *text;
	size_t length;
};

/* Called in the process of a job. */
void job_step(const char *step);
void job_send(json_t *result);
__noreturn __printf(1, 2)
void job_fail(const char *format, ...);

long long now_ms(void);
void jobs_run(struct job *jobs, size_t count, long long deadline_ms, int timeout);

#endif
