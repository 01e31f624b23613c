/* SPDX-License-Identifier: GPL-2.0 */
/* The command line. */
#ifndef FLEET_OPTIONS_H
#define FLEET_OPTIONS_H

#include <stdbool.h>

#include "source.h"

struct options {
	struct source source;
	bool json;
	bool prometheus;
	bool bytes;
	const char *textfile;
	int watch;		/* seconds; 0: one round */
};

void options_parse(struct options *options, int argc, char **argv);

#endif
