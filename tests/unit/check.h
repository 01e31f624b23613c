/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_CHECK_H
#define UNIT_CHECK_H

#include <stdbool.h>
#include <stdio.h>

/**
 * struct check_case - a test
 * @name: its name in the results
 * @run: the test's function
 * @next: the test that was registered after it
 */
struct check_case {
	const char *name;
	void (*run)(void);
	struct check_case *next;
};

void check_register(struct check_case *c);

/* A test: TEST(name) { ... }. A constructor registers it if its file is linked in. */
#define TEST(_name)							\
static void _name(void);						\
static struct check_case case_##_name = { .name = #_name, .run = _name }; \
__attribute__((constructor)) static void register_##_name(void)		\
{									\
	check_register(&case_##_name);					\
}									\
static void _name(void)

#define ARRAY_LEN(_a)	(sizeof(_a) / sizeof((_a)[0]))

/* The position in a table or a long run; shown with a failure. */
#define CHECK_NOTE_SIZE	160

extern char check_text[CHECK_NOTE_SIZE];

#define check_note(...)							\
	((void)snprintf(check_text, CHECK_NOTE_SIZE, __VA_ARGS__))

bool check_true(const char *file, int line, const char *what, bool ok);
bool check_same(const char *file, int line, const char *what, long long got,
		const char *expected, long long want);

/* A failed check is printed, and fails the test, which goes on. */
#define check(_cond)							\
	check_true(__FILE__, __LINE__, #_cond, (_cond))
#define check_eq(_got, _want)						\
	check_same(__FILE__, __LINE__, #_got, (long long)(_got),	\
		   #_want, (long long)(_want))

/* A constant seed, so that a failure can be reproduced. */
#define CHECK_RANDOM_SEED	0x9e3779b97f4a7c15ULL

unsigned int check_random(unsigned long long *state, unsigned int below);

#endif /* UNIT_CHECK_H */
