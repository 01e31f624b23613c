// SPDX-License-Identifier: GPL-2.0
/*
 * The guests of a libvirt. One job lists them, and then each guest has a job of its own: a
 * QEMU that hangs also makes libvirt hang, but only for the job of that guest.
 */

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/xpath.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "compiler.h"
#include "guest.h"
#include "job.h"
#include "process.h"
#include "source.h"

#define KIB 1024

struct request {
	const struct source *source;
	const char *uuid;
	const char *name;
};

/* libvirt would print errors itself; the job reports them. */
static void ignore_error(__always_unused void *data,
			 __always_unused virErrorPtr error)
{
}

__noreturn
static void fail(void)
{
	const char *reason = virGetLastErrorMessage();

	job_fail("libvirt: %s", reason ? reason : "an error without a name");
}

/* A connection that can only look is enough, unless the user wants something changed. */
static virConnectPtr connect_to(const struct source *source)
{
	virConnectPtr connection;

	virSetErrorFunc(NULL, ignore_error);
	job_step("libvirt");
	connection = source->poll ? virConnectOpen(source->uri) :
				    virConnectOpenReadOnly(source->uri);
	if (!connection)
		fail();
	return connection;
}

/* Guests of a host that is reached by a network have no processes here. */
static bool is_local(virConnectPtr connection)
{
	char *uri = virConnectGetURI(connection);
	char *server = uri ? strstr(uri, "://") : NULL;
	bool local = !server || server[3] == '/' || !server[3];

	free(uri);
	return local;
}

/* In the process of a job: send an array of {"uuid", "name"}. */
static void list(const void *argument)
{
	virConnectPtr connection = connect_to(argument);
	json_t *found = json_array();
	virDomainPtr *domains;
	int count, i;

	count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (count < 0)
		fail();
	for (i = 0; i < count; i++) {
		char uuid[VIR_UUID_STRING_BUFLEN];

		if (!virDomainGetUUIDString(domains[i], uuid))
			json_array_append_new(found, json_pack("{s:s, s:s}", "uuid", uuid, "name",
							       virDomainGetName(domains[i])));
	}
	job_send(found);
}

static bool attribute(xmlXPathContextPtr context, const char *path, char *text, size_t size)
{
	xmlXPathObjectPtr found = xmlXPathEvalExpression(BAD_CAST path, context);
	xmlChar *string = found ? xmlXPathCastToString(found) : NULL;

	snprintf(text, size, "%s", string ? (const char *)string : "");
	xmlFree(string);
	xmlXPathFreeObject(found);
	return *text;
}

/* What the definition of the running guest says; returns whether there is a balloon. */
static bool parse_definition(json_t *guest, const char *xml, struct statistics *found)
{
	xmlDocPtr document = xmlReadMemory(xml, strlen(xml), NULL, NULL, XML_PARSE_NONET);
	xmlXPathContextPtr context = document ? xmlXPathNewContext(document) : NULL;
	char text[32];
	bool balloon;

	if (!context)
		job_fail("libvirt: its definition is not XML");
	balloon = attribute(context, "/domain/devices/memballoon/@model", text, sizeof(text)) &&
		  strcmp(text, "none");
	attribute(context, "/domain/devices/memballoon/@freePageReporting", text, sizeof(text));
	json_object_set_new(guest, "reporting", json_boolean(balloon && !strcmp(text, "on")));
	if (attribute(context, "/domain/devices/memballoon/stats/@period", text, sizeof(text)))
		found->period = atoi(text);
	xmlXPathFreeContext(context);
	xmlFreeDoc(document);
	return balloon;
}

static void take_stats(json_t *guest, virDomainStatsRecordPtr record, struct statistics *found)
{
	unsigned long long value;

	if (virTypedParamsGetULLong(record->params, record->nparams, "balloon.maximum",
				    &value) == 1)
		guest_set(guest, CONFIGURED, value * KIB);
	if (virTypedParamsGetULLong(record->params, record->nparams, "balloon.current",
				    &value) == 1)
		guest_set(guest, ACTUAL, value * KIB);
	if (virTypedParamsGetULLong(record->params, record->nparams, "balloon.unused",
				    &value) == 1) {
		found->has_free = true;
		found->free = value * KIB;
	}
	if (virTypedParamsGetULLong(record->params, record->nparams, "balloon.last-update",
				    &value) == 1)
		found->update = value;
}

static void ask_stats(virDomainPtr domain, json_t *guest, struct statistics *found)
{
	virDomainPtr domains[] = { domain, NULL };
	virDomainStatsRecordPtr *records;
	int count;

	job_step("libvirt for its statistics: its QEMU may hang");
	count = virDomainListGetStats(domains, VIR_DOMAIN_STATS_BALLOON, &records, 0);
	if (count < 0)
		fail();
	if (!count)
		job_fail("it has just ended");
	take_stats(guest, records[0], found);
	virDomainStatsRecordListFree(records);
}

static void measure(virConnectPtr connection, const char *uuid, json_t *guest)
{
	pid_t pid;

	if (!is_local(connection)) {
		guest_note(guest, "what the host holds is known on that host only");
		return;
	}
	pid = process_with_uuid(uuid);
	if (pid)
		cgroup_measure(guest, pid);
	else
		guest_note(guest, "no process here has its UUID: its QEMU is not visible");
}

/* In the process of a job: send the guest. What needs no answer of QEMU comes first. */
static void look(const void *argument)
{
	const struct request *request = argument;
	json_t *guest = guest_new(request->name, "libvirt");
	virConnectPtr connection = connect_to(request->source);
	virDomainPtr domain = virDomainLookupByUUIDString(connection, request->uuid);
	struct statistics found = { 0 };
	bool balloon;
	char *xml;

	if (!domain)
		fail();
	measure(connection, request->uuid, guest);
	job_send(guest);
	if (request->source->poll &&
	    virDomainSetMemoryStatsPeriod(domain, request->source->poll, VIR_DOMAIN_AFFECT_LIVE))
		fail();
	job_step("libvirt for its definition");
	xml = virDomainGetXMLDesc(domain, 0);
	if (!xml)
		fail();
	balloon = parse_definition(guest, xml, &found);
	job_send(guest);
	ask_stats(domain, guest, &found);
	if (balloon)
		guest_statistics(guest, &found);
	else
		guest_note(guest, "it has no balloon device, and no statistics");
	job_send(guest);
}

static json_t *list_guests(const struct source *source, long long deadline, char **error)
{
	struct job job = { .work = list, .argument = source };

	jobs_run(&job, 1, deadline, source->timeout);
	if (job.error && asprintf(error, "%s%s%s", source->uri ? source->uri : "",
				  source->uri ? ": " : "", job.error) < 0)
		abort();
	free(job.error);
	return job.result;
}

static json_t *guest_of(struct job *job, const char *name)
{
	json_t *guest = job->result ? job->result : guest_new(name, "libvirt");

	if (job->error)
		guest_error(guest, "%s", job->error);
	free(job->error);
	return guest;
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/**
 * source_libvirt() - Ask a libvirt for its running guests.
 * @source: the URI, and the time limit
 * @error: where the error of libvirt itself is stored, if there is one
 *
 * Return: an array of guests, also of those for which libvirt does not answer.
 */
json_t *source_libvirt(const struct source *source, char **error)
{
	long long deadline = now_ms() + source->timeout * 1000LL;
	json_t *listed = list_guests(source, deadline, error), *guests = json_array();
	size_t count = json_array_size(listed), i;
	struct request *requests = calloc(count + 1, sizeof(*requests));
	struct job *jobs = calloc(count + 1, sizeof(*jobs));

	if (!requests || !jobs)
		abort();
	for (i = 0; i < count; i++) {
		const json_t *domain = json_array_get(listed, i);

		requests[i] = (struct request){
			source, string_of(domain, "uuid"), string_of(domain, "name"),
		};
		jobs[i] = (struct job){ .work = look, .argument = &requests[i] };
	}
	jobs_run(jobs, count, deadline, source->timeout);
	for (i = 0; i < count; i++)
		json_array_append_new(guests, guest_of(&jobs[i], requests[i].name));
	free(jobs);
	free(requests);
	json_decref(listed);
	return guests;
}
