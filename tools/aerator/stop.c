// SPDX-License-Identifier: GPL-2.0
/* The end of verbs that run until a signal: a sleep ends early, and the verb finishes. */
#include "stop.h"

/* SIGINT or SIGTERM came; the verb may also set it. */
volatile sig_atomic_t stop_wanted;

static void stop_handler(int signal)
{
	(void)signal;
	stop_wanted = 1;
}

/**
 * stop_on_signal - from here on SIGINT and SIGTERM set @stop_wanted
 */
void stop_on_signal(void)
{
	signal(SIGINT, stop_handler);
	signal(SIGTERM, stop_handler);
}
