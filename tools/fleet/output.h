/* SPDX-License-Identifier: GPL-2.0 */
/* Forms of output. */
#ifndef FLEET_OUTPUT_H
#define FLEET_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Each takes the answer of one round, an object with "guests", "total" and "errors". */

struct table_style {
	bool bytes;		/* whole numbers, not 1.5G */
	bool since;		/* how long the waste has been there */
	bool redraw;		/* clear the terminal first */
};

int table_print(const json_t *answer, const struct table_style *style);
int prometheus_print(const json_t *answer, FILE *file);
int prometheus_replace(const json_t *answer, const char *path);

#endif
