/* SPDX-License-Identifier: GPL-2.0 */
/* Files of /proc and /sys: each is read whole, or not at all. */
#ifndef FLEET_FILES_H
#define FLEET_FILES_H

#include <stdbool.h>

#include "compiler.h"

void files_set_root(const char *root);
__printf(1, 2)
char *files_path(const char *format, ...);
char *files_read(const char *path);

bool files_number(const char *text, long long *value);
bool files_field(const char *text, const char *key, long long *value);

#endif
