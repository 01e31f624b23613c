// SPDX-License-Identifier: GPL-2.0
/* Guests by the QMP sockets of their QEMU. */

#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "guest.h"
#include "job.h"
#include "qmp.h"
#include "source.h"

/* From this on, a statistic is no number of bytes, but says that there is none. */
#define NO_STATISTIC 0x1p63

#define PERIOD "guest-stats-polling-interval"

struct request {
	const char *path;
	int poll;
};

static long long integer(const json_t *object, const char *key)
{
	return (long long)(json_number_value(json_object_get(object, key)));
}

/* Where QEMU has the balloon in its tree of objects; NULL without one. */
static char *find_balloon(struct qmp *qmp)
{
	static const char *const folders[] = {
		"/machine/peripheral", "/machine/peripheral-anon", NULL,
	};
	static const char type[] = "child<virtio-balloon";
	const char *const *folder;
	json_t *entry;
	size_t index;

	for (folder = folders; *folder; folder++) {
		json_t *list = qmp_ask(qmp, "qom-list", json_pack("{s:s}", "path", *folder));

		json_array_foreach(list, index, entry) {
			const char *kind = json_string_value(json_object_get(entry, "type"));
			const char *name = json_string_value(json_object_get(entry, "name"));
			char *path;

			if (!kind || !name || strncmp(kind, type, strlen(type)))
				continue;
			if (asprintf(&path, "%s/%s", *folder, name) < 0)
				abort();
			return path;
		}
	}
	return NULL;
}

static json_t *get_property(struct qmp *qmp, const char *path, const char *name)
{
	return qmp_try(qmp, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", name));
}

static void ask_statistics(struct qmp *qmp, const char *path, json_t *guest)
{
	struct statistics found = { 0 };
	const json_t *answer = get_property(qmp, path, PERIOD), *list;
	double unused;

	found.period = (long long)(json_number_value(answer));
	answer = get_property(qmp, path, "guest-stats");
	if (!answer) {
		guest_error(guest, "statistics: %s", qmp_refusal(qmp));
		return;
	}
	list = json_object_get(answer, "stats");
	unused = json_number_value(json_object_get(list, "stat-free-memory"));
	found.has_free = json_object_get(list, "stat-free-memory") && unused < NO_STATISTIC;
	if (found.has_free)
		found.free = (long long)(unused);
	found.update = integer(answer, "last-update");
	guest_statistics(guest, &found);
}

static void ask_reporting(struct qmp *qmp, const char *path, json_t *guest)
{
	const json_t *answer = get_property(qmp, path, "free-page-reporting");

	if (json_is_boolean(answer))
		json_object_set_new(guest, "reporting", json_boolean(json_is_true(answer)));
	else
		guest_note(guest, "QEMU has no free-page-reporting: it is older than 5.1");
}

static void set_period(struct qmp *qmp, const char *path, int seconds)
{
	qmp_ask(qmp, "qom-set", json_pack("{s:s, s:s, s:i}", "path", path, "property", PERIOD,
					  "value", seconds));
}

static void ask_balloon(struct qmp *qmp, json_t *guest, int poll)
{
	char *path = find_balloon(qmp);
	long long configured;

	if (!path) {
		if (guest_get(guest, CONFIGURED, &configured))
			guest_set(guest, ACTUAL, configured);
		json_object_set_new(guest, "reporting", json_false());
		guest_note(guest, "it has no balloon device, and no statistics");
		return;
	}
	guest_set(guest, ACTUAL, integer(qmp_ask(qmp, "query-balloon", NULL), "actual"));
	if (poll)
		set_period(qmp, path, poll);
	ask_statistics(qmp, path, guest);
	ask_reporting(qmp, path, guest);
	free(path);
}

static void ask_name(struct qmp *qmp, json_t *guest)
{
	const json_t *name = json_object_get(qmp_ask(qmp, "query-name", NULL), "name");

	if (json_is_string(name))
		json_object_set(guest, "name", (json_t *)name);
}

static void ask_size(struct qmp *qmp, json_t *guest)
{
	const json_t *size = qmp_ask(qmp, "query-memory-size-summary", NULL);
	long long bytes = integer(size, "base-memory") + integer(size, "plugged-memory");

	guest_set(guest, CONFIGURED, bytes);
}

/* In the process of the job. What the host holds is known even if QEMU is silent. */
static void work(const void *argument)
{
	const struct request *request = argument;
	json_t *guest = guest_new(request->path, "qmp");
	struct qmp qmp = { 0 };
	pid_t pid;

	json_object_set_new(guest, "socket", json_string(request->path));
	qmp_connect(&qmp, request->path, &pid);
	if (pid > 0)
		cgroup_measure(guest, pid);
	else
		guest_note(guest, "its QEMU is in a pid namespace that is not visible here");
	job_send(guest);
	qmp_greet(&qmp);
	ask_name(&qmp, guest);
	ask_size(&qmp, guest);
	ask_balloon(&qmp, guest, request->poll);
	job_send(guest);
	json_decref(guest);
}

static json_t *guest_of(struct job *job, const char *path)
{
	json_t *guest = job->result ? job->result : guest_new(path, "qmp");

	if (job->error)
		guest_error(guest, "%s", job->error);
	free(job->error);
	return guest;
}

/**
 * source_qmp() - Ask the guests of QMP sockets, all at the same time.
 * @source: the sockets, and the time limit
 *
 * Return: an array of guests, one for each socket, also for those that do not answer.
 */
json_t *source_qmp(const struct source *source)
{
	struct request *requests = calloc(source->count, sizeof(*requests));
	struct job *jobs = calloc(source->count, sizeof(*jobs));
	json_t *guests = json_array();
	size_t i;

	if (!requests || !jobs)
		abort();
	for (i = 0; i < source->count; i++) {
		requests[i] = (struct request){ source->sockets[i], source->poll };
		jobs[i] = (struct job){ .work = work, .argument = &requests[i] };
	}
	jobs_run(jobs, source->count, now_ms() + source->timeout * 1000LL, source->timeout);
	for (i = 0; i < source->count; i++)
		json_array_append_new(guests, guest_of(&jobs[i], source->sockets[i]));
	free(jobs);
	free(requests);
	return guests;
}
