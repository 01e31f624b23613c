// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's end of the test runner: runs commands for the host.
 *
 * usage: agent PORT
 *
 * PORT is a virtio-serial port. The agent says "ready\n" once. A request is
 * "LENGTH\n" and LENGTH bytes of shell; its answer is "STATUS LENGTH\n" and
 * LENGTH bytes, all output of the command. A command that was killed has the
 * status 128 plus the signal, as in a shell.
 *
 * Output is collected in a memfd, not a pipe: the answer is sent when the command
 * ends, even if it has left background jobs, and such a job is neither blocked nor
 * killed by SIGPIPE when it writes.
 *
 * The agent is PID 1: if it dies, the kernel panics, which the host notices.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER_MAX	32
#define COMMAND_MAX	(1 << 20)

/* Returns false if the host has closed the port. */
static bool read_full(int fd, char *buf, size_t len)
{
	while (len) {
		ssize_t got = read(fd, buf, len);

		if (got < 0)
			err(1, "read from the host");
		if (!got)
			return false;
		buf += got;
		len -= got;
	}
	return true;
}

static void write_full(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t done = write(fd, buf, len);

		if (done < 0)
			err(1, "write to the host");
		buf += done;
		len -= done;
	}
}

static bool read_length(int port, size_t *len)
{
	char header[HEADER_MAX];
	size_t i;

	for (i = 0; i < sizeof(header); i++) {
		if (!read_full(port, &header[i], 1))
			return false;
		if (header[i] == '\n')
			break;
	}
	if (i == sizeof(header))
		errx(1, "request header without an end");

	header[i] = '\0';
	*len = strtoul(header, NULL, 10);
	if (*len > COMMAND_MAX)
		errx(1, "request of %zu bytes", *len);
	return true;
}

static char *read_request(int port)
{
	char *command;
	size_t len;

	if (!read_length(port, &len))
		return NULL;
	command = malloc(len + 1);
	if (!command)
		err(1, "request of %zu bytes", len);
	if (!read_full(port, command, len)) {
		free(command);
		return NULL;
	}
	command[len] = '\0';
	return command;
}

static void exec_command(const char *command, int output)
{
	int input = open("/dev/null", O_RDONLY);

	setsid();
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	if (input > STDERR_FILENO)
		close(input);
	execl("/bin/sh", "sh", "-c", command, NULL);
	err(127, "/bin/sh");
}

/* Also reaps orphans of earlier requests. */
static int wait_for(pid_t child)
{
	int status;
	pid_t pid;

	do {
		pid = wait(&status);
		if (pid < 0)
			err(1, "wait");
	} while (pid != child);

	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

static int run(const char *command, int output)
{
	pid_t child = fork();

	if (child < 0) {
		dprintf(output, "agent: cannot fork: %m\n");
		return 126;
	}
	if (!child)
		exec_command(command, output);
	return wait_for(child);
}

static void send_answer(int port, int status, int output)
{
	off_t left = lseek(output, 0, SEEK_END);
	static char buf[32768];
	off_t at = 0;

	dprintf(port, "%d %lld\n", status, (long long)left);
	while (left) {
		off_t want = left < (off_t)sizeof(buf) ? left : (off_t)sizeof(buf);
		ssize_t got = pread(output, buf, want, at);

		/* A job has truncated the file, but its length was sent already. */
		if (got <= 0) {
			memset(buf, 0, want);
			got = want;
		}
		write_full(port, buf, got);
		at += got;
		left -= got;
	}
}

static void serve(int port)
{
	char *command;

	while ((command = read_request(port))) {
		int output = memfd_create("output", MFD_CLOEXEC);

		if (output < 0)
			err(1, "memfd_create");
		send_answer(port, run(command, output), output);
		close(output);
		free(command);
	}
}

int main(int argc, char **argv)
{
	int port;

	if (argc != 2)
		errx(2, "usage: agent PORT");
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0)
		err(1, "%s", argv[1]);

	/* Blocks until the host has opened the port: from here on, no data is a hang-up. */
	write_full(port, "ready\n", 6);
	serve(port);

	/* The host has closed the port: there will be no more requests. */
	reboot(RB_POWER_OFF);
	err(1, "power off");
}
