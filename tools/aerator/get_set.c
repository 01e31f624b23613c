// SPDX-License-Identifier: GPL-2.0
/* get and set: the module's parameters. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "modprobe_file.h"
#include "settings.h"
#include "source.h"
#include "table.h"
#include "tool.h"

/* A write that restarts the intake waits for batches: settle_timeout_ms and a reset. */
#define SET_SECONDS	20

static const struct table_column get_columns[] = {
	{ "NAME", false }, { "VALUE", true }, { "DEFAULT", true }, { "ALLOWED", false },
};

/* Whether a parameter is among the names; all are if there are none. */
static bool get_is_selected(const struct setting *setting, char **names)
{
	char **name;

	for (name = names; *name; name++)
		if (!strcmp(setting->name, *name))
			return true;
	return !*names;
}

static int get_table(const struct settings *settings, char **names)
{
	struct table *table = table_new(get_columns, ARRAY_SIZE(get_columns));
	unsigned int i;

	for (i = 0; i < SETTINGS; i++) {
		if (!get_is_selected(&settings_known[i], names))
			continue;
		table_line(table);
		table_text(table, "%s", settings_known[i].name);
		table_text(table, "%s", settings->text[i]);
		table_text(table, "%s", settings_known[i].initial);
		table_text(table, "%s", settings_known[i].allowed);
	}
	return table_end(table);
}

static int get_json(const struct settings *settings, char **names)
{
	unsigned int i;

	json_begin();
	json_object("parameters");
	for (i = 0; i < SETTINGS; i++) {
		const char *text = settings->text[i];

		if (!get_is_selected(&settings_known[i], names))
			continue;
		if (settings_known[i].numeric && *text >= '0' && *text <= '9')
			json_number(settings_known[i].name, settings_number(settings, i));
		else
			json_string(settings_known[i].name, text);
	}
	json_close();
	json_end();
	return TOOL_FINE;
}

static int get_settings(struct settings *settings)
{
	struct source folder;
	bool loaded;

	source_set(&folder, SOURCE_FOLDER, SETTINGS_FOLDER);
	source_fetch(&folder, 1);
	loaded = folder.err != -ENOENT;
	source_free(&folder, 1);
	if (!loaded)
		return tool_error("the module aerator is not loaded: see aerator doctor");
	return settings_read(settings);
}

/**
 * get_run - print parameters
 * @argc: number of arguments, with the verb
 * @argv: the arguments: names, or none for all
 *
 * Return: an exit status.
 */
int get_run(int argc, char **argv)
{
	int status = tool_parse(argc, argv, NULL, NULL);
	struct settings settings;
	int i;

	if (status)
		return status;
	for (i = optind; i < argc; i++)
		if (!settings_find(argv[i], strlen(argv[i])))
			return tool_usage("parameter '%s' is unknown", argv[i]);
	if (get_settings(&settings))
		return TOOL_FAILED;
	return tool_options.json ? get_json(&settings, argv + optind) :
				   get_table(&settings, argv + optind);
}

static bool set_saves;

static int set_option(int option, const char *value)
{
	(void)option;
	(void)value;
	set_saves = true;
	return TOOL_FINE;
}

/* Parse NAME=VALUE. */
static int set_parse(const char *text, struct modprobe_value *value)
{
	const char *equals = strchr(text, '=');
	const struct setting *setting;

	if (!equals)
		return tool_usage("'%s' is not NAME=VALUE", text);
	setting = settings_find(text, equals - text);
	if (!setting)
		return tool_usage("parameter '%.*s' is unknown", (int)(equals - text), text);
	if (!settings_allow(setting, equals + 1))
		return tool_usage("%s refused: allowed are %s", text, setting->allowed);
	value->number = setting - settings_known;
	snprintf(value->text, sizeof(value->text), "%s", equals + 1);
	return TOOL_FINE;
}

static int set_write(unsigned int number, const char *text)
{
	char path[SOURCE_PATH], line[SETTINGS_WORD + 1];

	snprintf(path, sizeof(path), SETTINGS_FOLDER "/%s", settings_known[number].name);
	snprintf(line, sizeof(line), "%s\n", text);
	return source_write(path, line, SET_SECONDS);
}

static int set_refused(const struct modprobe_value *value, int err)
{
	const struct setting *setting = &settings_known[value->number];

	if (err == -EINVAL)
		return tool_error("%s=%s: this kernel refuses it; allowed are %s (see dmesg)",
				  setting->name, value->text, setting->allowed);
	if (err == -EACCES || err == -EPERM)
		return tool_error("%s=%s: only root can set it", setting->name, value->text);
	if (err == -EBUSY)
		return tool_error("%s=%s: the device does not answer", setting->name, value->text);
	return tool_error("%s=%s: %s", setting->name, value->text, strerror(-err));
}

/* Write all values. If one is refused, the ones before it get their old values back. */
static int set_apply(const struct modprobe_value *values, unsigned int nr,
		     const struct settings *old)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = set_write(values[i].number, values[i].text);
	if (!err)
		return TOOL_FINE;
	set_refused(&values[i - 1], err);
	for (i--; i--;)
		set_write(values[i].number, old->text[values[i].number]);
	return TOOL_FAILED;
}

static int set_values(const struct modprobe_value *values, unsigned int nr)
{
	struct settings old;

	if (get_settings(&old) || set_apply(values, nr, &old))
		return TOOL_FAILED;
	return set_saves ? modprobe_save(values, nr) : TOOL_FINE;
}

/**
 * set_run - change parameters
 * @argc: number of arguments, with the verb
 * @argv: the arguments: --save, and NAME=VALUE of each
 *
 * Return: an exit status.
 */
int set_run(int argc, char **argv)
{
	static const struct option own[] = { { "save", no_argument, NULL, 's' }, {} };
	struct modprobe_value values[SETTINGS];
	int status = tool_parse(argc, argv, own, set_option);
	unsigned int nr = 0;

	if (status)
		return status;
	if (optind == argc || argc - optind > SETTINGS)
		return tool_usage("set: %s", optind == argc ? "no NAME=VALUE" : "too many");
	for (; optind < argc; optind++) {
		status = set_parse(argv[optind], &values[nr++]);
		if (status)
			return status;
	}
	return set_values(values, nr);
}
