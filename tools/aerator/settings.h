/* SPDX-License-Identifier: GPL-2.0 */
/* The module's parameters. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_FOLDER	"/sys/module/aerator/parameters"
#define SETTINGS_WORD	24

enum setting_number {
	SETTING_ENABLED,
	SETTING_TAKEOVER,
	SETTING_INTAKE,
	SETTING_WINDOW_MS,
	SETTING_REFAULT_MS,
	SETTING_RESERVE_MB,
	SETTING_SHARE_PCT,
	SETTING_RATE_MB,
	SETTING_ORDER,
	SETTING_REACTOR_SIZE,
	SETTING_REACTORS,
	SETTING_SETTLE_TIMEOUT_MS,
	SETTINGS,
};

/**
 * struct setting - a parameter
 * @name: its name
 * @initial: its default
 * @allowed: what is allowed, for people
 * @words: words that are allowed, separated by blanks; NULL if there are none
 * @numeric: numbers are allowed
 * @least: smallest number
 * @most: largest number, on any kernel
 */
struct setting {
	const char *name;
	const char *initial;
	const char *allowed;
	const char *words;
	bool numeric;
	uint64_t least;
	uint64_t most;
};

extern const struct setting settings_known[SETTINGS];

/**
 * struct settings - the values of all parameters
 * @text: each as the kernel shows it
 */
struct settings {
	char text[SETTINGS][SETTINGS_WORD];
};

int settings_read(struct settings *settings);
uint64_t settings_number(const struct settings *settings, enum setting_number number);
const struct setting *settings_find(const char *name, unsigned int length);
bool settings_allow(const struct setting *setting, const char *value);

#endif /* SETTINGS_H */
