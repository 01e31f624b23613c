/* SPDX-License-Identifier: GPL-2.0 */
/* The end of verbs that run until a signal. */
#ifndef STOP_H
#define STOP_H

#include <signal.h>

extern volatile sig_atomic_t stop_wanted;

void stop_on_signal(void);

#endif /* STOP_H */
