// SPDX-License-Identifier: GPL-2.0
/* The sliding-window minimum, compared with one that keeps all samples. */
#include "policy_fixture.h"
#include "window_min.h"

#define SAMPLES		600U
#define SPAN_MAX	(4 * WINDOW_MAX)

static struct window_min window;
static u64 times[SAMPLES + 1], values[SAMPLES + 1];
static unsigned int nr;

static void setup_window(void)
{
	memset(&window, 0xa5, sizeof(window));
	window_min_reset(&window, T0);
	times[0] = T0;
	values[0] = 0;
	nr = 1;
}

static void add(u64 now, u64 value)
{
	window_min_add(&window, now, value, SPAN_MAX);
	times[nr] = now;
	values[nr++] = value;
}

static u64 minimum_since(u64 now, u64 span)
{
	u64 least = U64_MAX;

	for (unsigned int i = 0; i < nr; i++)
		if (now - times[i] < span)
			least = min(least, values[i]);
	return least;
}

/* Between the exact minimum and that of a window that is longer by a quarter. */
static void check_window(u64 now, u64 span)
{
	u64 found = window_min_since(&window, now, span);

	check_note("%llu ms, window %llu: %llu", now - T0, span, found);
	check(found <= minimum_since(now, span));
	check(found >= minimum_since(now, span + span / WINDOW_MIN_GRAIN + 1));
}

static void random_walk(u64 *random, unsigned int step_max, unsigned int rise_max)
{
	u64 now = T0, value = 100000, fall;

	setup_window();
	while (nr <= SAMPLES) {
		now += check_random(random, step_max);
		value += check_random(random, rise_max);
		fall = check_random(random, 8) ? 0 : check_random(random, 20000);
		value -= min(value, fall);
		add(now, value);
		for (unsigned int span = 75; span <= SPAN_MAX; span = span * 5 / 3)
			check_window(now, span);
	}
}

TEST(window_min_of_random_histories)
{
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int i = 0; i < 30; i++) {
		random_walk(&random, 5, 1000);
		random_walk(&random, 150, 100);
		random_walk(&random, 150, 3000);
		random_walk(&random, 3000, 1000);
	}
}

/* Free memory that only rises needs the most samples. */
TEST(window_min_of_a_long_rise)
{
	u64 random = CHECK_RANDOM_SEED;

	for (unsigned int step = 2; step < 200; step += 30) {
		random_walk(&random, step, 1);
		check(window.nr <= WINDOW_MIN_SAMPLES);
	}
}

/* The minimum does not rise before the time that the function gives. */
TEST(window_min_says_when_it_can_rise)
{
	setup_window();
	add(T0 + 10, 500);
	check_eq(window_min_next(&window, T0 + 10, 1200), 1190);
	check_eq(window_min_since(&window, T0 + 1199, 1200), 0);
	check_eq(window_min_since(&window, T0 + 1200, 1200), 500);
	check_eq(window_min_next(&window, T0 + 5000, 1200), U64_MAX);
	check_eq(window_min_since(&window, T0 + 5000, 1200), U64_MAX);
}

TEST(window_min_is_forgotten)
{
	setup_window();
	add(T0 + 5000, 500);
	window_min_reset(&window, T0 + 6000);
	check_eq(window_min_since(&window, T0 + 6000, 60000), 0);
	add(T0 + 7100, 700);
	check_eq(window_min_since(&window, T0 + 7100, 1200), 0);
	check_eq(window_min_since(&window, T0 + 7100, 1000), 700);
}
