/* SPDX-License-Identifier: GPL-2.0 */
/* What doctor looks at, and its checks. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>
#include "source.h"
#include "why.h"

/* Files beside those of why; each may be missing. */
enum doctor_source {
	DOCTOR_LOG,
	DOCTOR_RELEASE,
	DOCTOR_MODULES,
	DOCTOR_ORDER,
	DOCTOR_SOURCES,
};

enum doctor_result {
	DOCTOR_OK,
	DOCTOR_WARN,
	DOCTOR_UNKNOWN,
};

/**
 * struct doctor - what is known of this guest
 * @why: its memory and devices
 * @sources: files beside those
 * @text: result of the check that runs, for people
 */
struct doctor {
	struct why why;
	struct source sources[DOCTOR_SOURCES];
	char text[256];
};

/**
 * struct doctor_check - a check
 * @name: its name
 * @advice: what to do after a warning
 * @needs_aerator: it is left out where aerator drives no device
 * @run: sets the text, and returns the result
 */
struct doctor_check {
	const char *name;
	const char *advice;
	bool needs_aerator;
	enum doctor_result (*run)(struct doctor *doctor);
};

extern const struct doctor_check doctor_checks[];
extern const unsigned int doctor_nr_checks;

__printf(3, 4)
enum doctor_result doctor_say(struct doctor *doctor, enum doctor_result result,
			      const char *format, ...);

#endif /* DOCTOR_H */
