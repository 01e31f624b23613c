/* SPDX-License-Identifier: GPL-2.0 */
/* A client of QEMU's monitor protocol (QMP), for the process of a job: errors end the job. */
#ifndef FLEET_QMP_H
#define FLEET_QMP_H

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

struct qmp {
	int fd;
	FILE *in;
	json_t *answer;		/* to the last command */
};

void qmp_connect(struct qmp *qmp, const char *path, pid_t *pid);
void qmp_greet(struct qmp *qmp);
json_t *qmp_try(struct qmp *qmp, const char *command, json_t *arguments);
json_t *qmp_ask(struct qmp *qmp, const char *command, json_t *arguments);
const char *qmp_refusal(const struct qmp *qmp);

#endif
