/* SPDX-License-Identifier: GPL-2.0 */
/* Printing one JSON object on standard output. A key is NULL within an array. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stdint.h>

void json_begin(void);
void json_end(void);
void json_object(const char *key);
void json_array(const char *key);
void json_close(void);
void json_string(const char *key, const char *text);
void json_number(const char *key, int64_t number);
void json_real(const char *key, double number);
void json_bool(const char *key, bool truth);

#endif /* JSON_H */
