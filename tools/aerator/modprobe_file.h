/* SPDX-License-Identifier: GPL-2.0 */
/* /etc/modprobe.d/aerator.conf: parameters at the next load. */
#ifndef MODPROBE_FILE_H
#define MODPROBE_FILE_H

#include "settings.h"

/**
 * struct modprobe_value - a value to write there
 * @number: which parameter
 * @text: its value
 */
struct modprobe_value {
	enum setting_number number;
	char text[SETTINGS_WORD];
};

int modprobe_save(const struct modprobe_value *values, unsigned int nr);

#endif /* MODPROBE_FILE_H */
