/* SPDX-License-Identifier: GPL-2.0 */
/* Sources of guests. */
#ifndef FLEET_SOURCE_H
#define FLEET_SOURCE_H

#include <jansson.h>

/* What the user asked for. */
struct source {
	const char **sockets;	/* of QMP, if the guests are not libvirt's */
	size_t count;
	const char *uri;	/* of libvirt, or NULL: libvirt's default */
	int poll;		/* seconds; 0: leave the statistics as they are */
	int timeout;		/* seconds */
};

/* Each returns an array of guests. */
json_t *source_qmp(const struct source *source);
json_t *source_libvirt(const struct source *source, char **error);

#endif
