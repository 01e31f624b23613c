// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the registered tests and prints their results in KTAP, version 1.
 *
 * usage: unit [PART-OF-A-NAME ...]
 */
#include <stdlib.h>
#include <string.h>
#include "check.h"

/* A loop that fails once fails often: later failures of a test are only counted. */
#define CHECK_SHOWN_MAX	10

static struct check_case *cases;
static struct check_case **cases_end = &cases;

/* The number of failures of the running test. */
static unsigned int failures;
char check_text[CHECK_NOTE_SIZE];

void check_register(struct check_case *c)
{
	*cases_end = c;
	cases_end = &c->next;
}

/* Counts a failure. Returns true if the failure is to be shown. */
static bool check_failed(const char *file, int line)
{
	if (++failures > CHECK_SHOWN_MAX)
		return false;
	printf("# %s:%d: ", file, line);
	if (check_text[0])
		printf("[%s] ", check_text);
	return true;
}

bool check_true(const char *file, int line, const char *what, bool ok)
{
	if (!ok && check_failed(file, line))
		printf("not true: %s\n", what);
	return ok;
}

bool check_same(const char *file, int line, const char *what, long long got,
		const char *expected, long long want)
{
	if (got != want && check_failed(file, line))
		printf("%s is %lld, expected %s, which is %lld\n",
		       what, got, expected, want);
	return got == want;
}

/* xorshift64 */
unsigned int check_random(unsigned long long *state, unsigned int below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 33) % below;
}

static bool wanted(const struct check_case *c, char **filters)
{
	if (!*filters)
		return true;
	for (; *filters; filters++)
		if (strstr(c->name, *filters))
			return true;
	return false;
}

static unsigned int count(char **filters)
{
	unsigned int n = 0;

	for (struct check_case *c = cases; c; c = c->next)
		n += wanted(c, filters);
	return n;
}

static bool run(const struct check_case *c, unsigned int number)
{
	failures = 0;
	check_text[0] = '\0';
	c->run();
	if (failures > CHECK_SHOWN_MAX)
		printf("# and %u more\n", failures - CHECK_SHOWN_MAX);
	printf("%sok %u %s\n", failures ? "not " : "", number, c->name);
	return !failures;
}

int main(int argc, char **argv)
{
	char **filters = argv + (argc > 0);
	unsigned int total = count(filters);
	unsigned int number = 0;
	unsigned int passed = 0;

	/* Line buffered, so that no output is lost when a sanitizer ends the program. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%u\n", total);
	for (struct check_case *c = cases; c; c = c->next)
		if (wanted(c, filters))
			passed += run(c, ++number);
	printf("# Totals: pass:%u fail:%u\n", passed, total - passed);
	return total && passed == total ? EXIT_SUCCESS : EXIT_FAILURE;
}
