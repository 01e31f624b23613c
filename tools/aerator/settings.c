// SPDX-License-Identifier: GPL-2.0
/* Reading the module's parameters, and what each of them allows. */
#include <stdlib.h>
#include <string.h>
#include "settings.h"
#include "source.h"
#include "tool.h"

const struct setting settings_known[SETTINGS] = {
	[SETTING_ENABLED] = { "enabled", "1", "0, 1", NULL, true, 0, 1 },
	[SETTING_TAKEOVER] = { "takeover", "1", "0, 1", NULL, true, 0, 1 },
	[SETTING_INTAKE] = { "intake", "auto", "auto, reporting; patched also treated",
			     "auto reporting treated", false, 0, 0 },
	[SETTING_WINDOW_MS] = { "window_ms", "auto", "0 to 60000, or auto",
				"auto", true, 0, 60000 },
	[SETTING_REFAULT_MS] = { "refault_ms", "2000", "0 to 60000", NULL, true, 0, 60000 },
	[SETTING_RESERVE_MB] = { "reserve_mb", "0", "0 to 16777216", NULL, true, 0, 16777216 },
	[SETTING_SHARE_PCT] = { "share_pct", "100", "0 to 100", NULL, true, 0, 100 },
	[SETTING_RATE_MB] = { "rate_mb", "0", "0 to 1048576", NULL, true, 0, 1048576 },
	/* Kernels with larger pages have larger orders, and another default. */
	[SETTING_ORDER] = { "order", "9", "0 to 10", NULL, true, 0, 31 },
	[SETTING_REACTOR_SIZE] = { "reactor_size", "32", "1 to 32; patched 1 to 1024",
				   NULL, true, 1, 1024 },
	[SETTING_REACTORS] = { "reactors", "1", "1; patched 1 to 8", NULL, true, 1, 8 },
	[SETTING_SETTLE_TIMEOUT_MS] = { "settle_timeout_ms", "10000", "100 to 15000",
					NULL, true, 100, 15000 },
};

/**
 * settings_find - a parameter by its name
 * @name: where the name begins
 * @length: its length
 *
 * Return: the parameter, or NULL.
 */
const struct setting *settings_find(const char *name, unsigned int length)
{
	unsigned int i;

	for (i = 0; i < SETTINGS; i++)
		if (strlen(settings_known[i].name) == length &&
		    !strncmp(settings_known[i].name, name, length))
			return &settings_known[i];
	return NULL;
}

static bool settings_has_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	if (!length || strchr(word, ' '))
		return false;
	while (words) {
		if (!strncmp(words, word, length) && strchr(" ", words[length]))
			return true;
		words = strchr(words, ' ');
		words = words ? words + 1 : NULL;
	}
	return false;
}

/**
 * settings_allow - whether a parameter can have a value, on any kernel
 * @setting: the parameter
 * @value: the value
 *
 * Return: true if it can.
 */
bool settings_allow(const struct setting *setting, const char *value)
{
	uint64_t number;

	if (settings_has_word(setting->words, value))
		return true;
	return setting->numeric &&
	       source_within(value, setting->least, setting->most, &number);
}

static int settings_check(struct settings *settings, unsigned int i,
			  const struct source *source)
{
	char *text = settings->text[i];

	if (source_word(source, text, SETTINGS_WORD))
		return TOOL_FAILED;
	if (!settings_allow(&settings_known[i], text))
		return tool_error("%s%s: '%s' is not allowed there", tool_options.sysroot,
				  source->path, text);
	return TOOL_FINE;
}

/**
 * settings_read - read all parameters
 * @settings: the result
 *
 * Return: TOOL_FINE, or TOOL_FAILED after a message.
 */
int settings_read(struct settings *settings)
{
	struct source sources[SETTINGS];
	int status = TOOL_FINE;
	unsigned int i;

	memset(settings, 0, sizeof(*settings));
	for (i = 0; i < SETTINGS; i++)
		source_set(&sources[i], SOURCE_FILE, SETTINGS_FOLDER "/%s",
			   settings_known[i].name);
	source_fetch(sources, SETTINGS);
	for (i = 0; i < SETTINGS && !status; i++)
		status = settings_check(settings, i, &sources[i]);
	source_free(sources, SETTINGS);
	return status;
}

/**
 * settings_number - the value of a parameter
 * @settings: all parameters, read
 * @number: which of them
 *
 * Return: the value; 0 for a word.
 */
uint64_t settings_number(const struct settings *settings, enum setting_number number)
{
	return strtoull(settings->text[number], NULL, 10);
}
