// SPDX-License-Identifier: GPL-2.0
/*
 * A client of QMP. It reads without a time limit of its own: that of the job is enough, and
 * its message has the step.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "job.h"
#include "qmp.h"

/* QEMU prints a statistic that the guest lacks as 2^64 - 1, which no long long can hold. */
#define FLAGS (JSON_DISABLE_EOF_CHECK | JSON_DECODE_INT_AS_REAL)

/**
 * qmp_connect() - Connect to a socket.
 * @qmp: the connection
 * @path: the path of the socket
 * @pid: where the process is stored that made the socket; 0 if it is not visible from here
 *
 * Context: The process of a job, which ends if this fails.
 */
void qmp_connect(struct qmp *qmp, const char *path, pid_t *pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (strlen(path) >= sizeof(address.sun_path))
		job_fail("the path is longer than a socket's may be");
	memcpy(address.sun_path, path, strlen(path) + 1);
	job_step("its socket, which is full of clients");
	qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (qmp->fd < 0 ||
	    connect(qmp->fd, (struct sockaddr *)&address, sizeof(address)))
		job_fail("%s", strerror(errno));
	if (getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		job_fail("SO_PEERCRED: %s", strerror(errno));
	*pid = peer.pid;
	qmp->in = fdopen(qmp->fd, "r");
	if (!qmp->in)
		job_fail("%s", strerror(errno));
}

static json_t *receive(struct qmp *qmp)
{
	json_error_t error;
	json_t *message = json_loadf(qmp->in, FLAGS, &error);

	if (!message && (feof(qmp->in) || ferror(qmp->in)))
		job_fail("the connection was closed");
	if (!json_is_object(message))
		job_fail("this is not QMP: %s", message ? "not an object" : error.text);
	return message;
}

static void transmit(struct qmp *qmp, json_t *request)
{
	char *line = json_dumps(request, JSON_COMPACT), *text;
	size_t length, sent = 0;

	if (asprintf(&text, "%s\n", line) < 0)
		abort();
	length = strlen(text);
	while (sent < length) {
		ssize_t part = send(qmp->fd, text + sent, length - sent, MSG_NOSIGNAL);

		if (part < 0 && errno != EINTR)
			job_fail("the connection was closed");
		sent += part > 0 ? part : 0;
	}
	free(text);
	free(line);
	json_decref(request);
}

/**
 * qmp_try() - Run a command that QEMU may refuse.
 * @qmp: the connection
 * @command: the command
 * @arguments: its arguments, which this function takes, or NULL
 *
 * Context: The process of a job, which ends if the connection fails.
 *
 * Return: the result, which lives until the next command; NULL if QEMU refuses.
 */
json_t *qmp_try(struct qmp *qmp, const char *command, json_t *arguments)
{
	job_step(command);
	transmit(qmp, json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments));
	do {
		json_decref(qmp->answer);
		qmp->answer = receive(qmp);
	} while (json_object_get(qmp->answer, "event"));
	return json_object_get(qmp->answer, "return");
}

/**
 * qmp_refusal() - Why QEMU refused the last command.
 * @qmp: the connection
 *
 * Return: QEMU's words, which live until the next command.
 */
const char *qmp_refusal(const struct qmp *qmp)
{
	const json_t *error = json_object_get(qmp->answer, "error");
	const char *words = json_string_value(json_object_get(error, "desc"));

	return words ? words : "an answer that is not of QMP";
}

/**
 * qmp_ask() - Run a command that QEMU has to answer.
 * @qmp: the connection
 * @command: the command
 * @arguments: its arguments, which this function takes, or NULL
 *
 * Context: The process of a job, which ends if this fails.
 *
 * Return: the result, which lives until the next command.
 */
json_t *qmp_ask(struct qmp *qmp, const char *command, json_t *arguments)
{
	json_t *result = qmp_try(qmp, command, arguments);

	if (!result)
		job_fail("%s: %s", command, qmp_refusal(qmp));
	return result;
}

/**
 * qmp_greet() - Wait for QEMU's greeting, and begin to send commands.
 * @qmp: the connection
 *
 * QEMU has one client at a time for a socket; another one waits for the greeting.
 *
 * Context: The process of a job, which ends if this fails.
 */
void qmp_greet(struct qmp *qmp)
{
	json_t *greeting;

	job_step("QEMU, which has not greeted: another client may use the socket");
	greeting = receive(qmp);
	if (!json_object_get(greeting, "QMP"))
		job_fail("this is not QMP: no greeting");
	json_decref(greeting);
	qmp_ask(qmp, "qmp_capabilities", NULL);
}
