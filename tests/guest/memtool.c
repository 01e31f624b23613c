// SPDX-License-Identifier: GPL-2.0
/*
 * Memory workloads of the tests inside a guest: hold memory, churn it, check it.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "trace.h"

#define SLICE_WORDS	(SLICE_BYTES / sizeof(uint64_t))

static const char usage[] =
	"usage: memtool [--small] hold MIB [ORDER]\n"
	"         touch MIB, print \"touched SECONDS\"; a line on stdin frees it\n"
	"         (\"freed\"), or with ORDER every other block of 2^ORDER pages;\n"
	"         another line or the end of input ends the program\n"
	"       memtool [--small] [--each] churn MIB GAP_MS SECONDS [USE_MS]\n"
	"         touch MIB, use it for USE_MS, free it for GAP_MS, and so on;\n"
	"         print the time of a touch: mean and maximum of the rounds, and the\n"
	"         99th percentile of slices of 2 MiB; with --each also\n"
	"         \"round SECONDS ms T\" after each touch, which began after SECONDS\n"
	"       memtool [--small] faults MIB ROUNDS\n"
	"         touch each page of MIB once and free it, ROUNDS times; print the\n"
	"         time of a page in the median round: instructions with icount\n"
	"       memtool [--small] loop1 MIB SECONDS TASKS\n"
	"       memtool [--small] loop2 MIB SECONDS TASKS\n"
	"         map MIB, touch each page once, unmap it, again and again, in TASKS\n"
	"         processes at a time: loop1 anonymous memory, loop2 a file of tmpfs,\n"
	"         mapped privately (as page_fault1 and 2 of will-it-scale); print\n"
	"         \"faults N seconds S\" for all, and \"task I faults N seconds S\" for each\n"
	"       memtool [--small] release MIB SECONDS FILE [ORDER]\n"
	"         touch MIB and free it, or with ORDER every other block of 2^ORDER\n"
	"         pages, and write 1 to FILE; print how long the processor was busy\n"
	"         in the SECONDS after that, and in the next SECONDS\n"
	"       memtool [--small] pattern MIB SECONDS\n"
	"         keep MIB full of known words, drop and refill parts of it, and\n"
	"         check every word again and again, for SECONDS or until there is a\n"
	"         line on stdin; exit 1 if a word has changed\n"
	"       memtool [--small] turns MIB MS NODES TURNS\n"
	"         touch MIB on node 0, use it for MS, free it, do the same on the next\n"
	"         of NODES nodes, and so on, TURNS times\n"
	"       memtool [--small] follow FILE\n"
	"         FILE has lines \"MS MIB\": from MS on, MIB are free of the maximum of\n"
	"         all lines, and the rest is allocated; print such lines, with the time\n"
	"         at which each was reached\n"
	"       memtool --node N COMMAND [ARGUMENT...]\n"
	"         run a command whose memory, page cache included, is all of node N\n"
	"--small: 4 KiB pages instead of transparent huge pages\n";

static int page_advice = MADV_HUGEPAGE;
static bool say_each;

static bool wait_for_line(void)
{
	char line[128];

	return fgets(line, sizeof(line), stdin);
}

/* Whether there is a line on stdin. The end of input does not count as a line. */
static bool told_to_end(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[128];

	return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, line, sizeof(line)) > 0;
}

/*
 * A run has too few rounds for a percentile, so each slice is timed. Reading the clock twice
 * is cheap compared with touching 2 MiB, and storing the time is not counted.
 */
static double touch_slices(char *area, size_t bytes, struct times *slices)
{
	double before = slices->total;
	size_t at;

	for (at = 0; at < bytes; at += SLICE_BYTES) {
		size_t left = bytes - at;

		add_time(slices, touch(area + at, left < SLICE_BYTES ? left : SLICE_BYTES));
	}
	return slices->total - before;
}

static int churn(size_t bytes, unsigned long gap_ms, unsigned long seconds,
		 unsigned long use_ms)
{
	double start = now(), at;
	struct times rounds = {}, slices = {};

	if (!bytes)
		errx(2, "churn needs memory");
	do {
		char *area = map_memory(bytes, page_advice);

		at = now() - start;
		add_time(&rounds, touch_slices(area, bytes, &slices));
		sleep_ms(use_ms);
		munmap(area, bytes);
		if (say_each)
			printf("round %.3f ms %.3f\n", at,
			       rounds.took[rounds.count - 1] * 1000);
		sleep_ms(gap_ms);
	} while (now() < start + seconds);

	sort_times(&rounds);
	sort_times(&slices);
	printf("rounds %zu mean_ms %.3f slice_p99_ms %.4f max_ms %.3f\n", rounds.count,
	       rounds.total * 1000 / rounds.count, percentile(&slices, 99) * 1000,
	       rounds.took[rounds.count - 1] * 1000);
	return 0;
}

static size_t fault_step(void)
{
	return page_advice == MADV_HUGEPAGE ? SLICE_BYTES : PAGE_BYTES;
}

/* The time from the fault for a page until it is unmapped, in ns. */
static double fault_round(size_t bytes, size_t step)
{
	char *area = map_memory(bytes, page_advice);
	double start = now();
	size_t at;

	for (at = 0; at < bytes; at += step)
		*(volatile char *)(area + at) = 1;
	munmap(area, bytes);
	return (now() - start) * 1e9 / (bytes / step);
}

static int faults(size_t bytes, unsigned long rounds)
{
	size_t step = fault_step();
	struct times times = {};

	if (!rounds || bytes < step)
		errx(2, "faults needs a round and a page");
	fault_round(bytes, step);	/* not counted: the per-CPU lists are empty */
	while (times.count < rounds)
		add_time(&times, fault_round(bytes, step));
	sort_times(&times);
	printf("fault_ns %.2f min %.2f max %.2f\n", times.took[rounds / 2],
	       times.took[0], times.took[rounds - 1]);
	return 0;
}

struct loop {
	pthread_barrier_t ready;
	struct {
		size_t faults;
		double seconds;
	} tasks[];
};

/* In a private file mapping, each page is copied when it is written. */
static size_t loop_round(int file, size_t bytes)
{
	size_t step = file < 0 ? fault_step() : PAGE_BYTES, at;
	char *area;

	if (file < 0)
		area = map_memory(bytes, page_advice);
	else
		area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	if (area == MAP_FAILED)
		err(1, "mmap of a file");
	for (at = 0; at < bytes; at += step)
		*(volatile char *)(area + at) = 1;
	munmap(area, bytes);
	return bytes / step;
}

/* The first round is not counted: it fills the file and the per-CPU lists. */
static void loop_task(struct loop *loop, size_t task, bool of_file, size_t bytes,
		      unsigned long seconds)
{
	/* A file of tmpfs, independent of mounts. */
	int file = of_file ? memfd_create("loop", 0) : -1;
	double start;

	if (of_file && (file < 0 || ftruncate(file, bytes)))
		err(1, "file of %zu MiB", bytes / MIB);
	loop_round(file, bytes);
	pthread_barrier_wait(&loop->ready);
	start = now();
	do {
		loop->tasks[task].faults += loop_round(file, bytes);
		loop->tasks[task].seconds = now() - start;
	} while (loop->tasks[task].seconds < seconds);
}

/* Shared by all tasks, which are processes: each has page tables of its own. */
static struct loop *new_loop(size_t tasks)
{
	struct loop *loop = mmap(NULL, sizeof(*loop) + tasks * sizeof(loop->tasks[0]),
				 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t shared;

	if (loop == MAP_FAILED)
		err(1, "%zu tasks", tasks);
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	if (pthread_barrier_init(&loop->ready, &shared, tasks))
		errx(1, "no barrier for %zu tasks", tasks);
	return loop;
}

static void start_tasks(struct loop *loop, size_t tasks, bool of_file, size_t bytes,
			unsigned long seconds)
{
	size_t i;

	for (i = 0; i < tasks; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			loop_task(loop, i, of_file, bytes, seconds);
			_exit(0);
		}
	}
}

static int loop(bool of_file, size_t bytes, unsigned long seconds, size_t tasks)
{
	struct loop *loop = new_loop(tasks);
	double longest = 0;
	size_t all = 0, i;
	int status;

	start_tasks(loop, tasks, of_file, bytes, seconds);
	for (i = 0; i < tasks; i++)
		if (wait(&status) < 0 || status)
			errx(1, "a task failed");
	for (i = 0; i < tasks; i++) {
		all += loop->tasks[i].faults;
		if (loop->tasks[i].seconds > longest)
			longest = loop->tasks[i].seconds;
	}
	printf("faults %zu seconds %.6f\n", all, longest);
	for (i = 0; i < tasks; i++)
		printf("task %zu faults %zu seconds %.6f\n", i + 1,
		       loop->tasks[i].faults, loop->tasks[i].seconds);
	return 0;
}

/*
 * Free pages whose number has bit ORDER set: of two buddies, one is freed. Contiguous pages
 * are freed by one call. Returns the freed bytes.
 */
static size_t free_every_other(char *area, size_t bytes, unsigned int order)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t pages = bytes / page, first = 0, freed = 0, i;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t *map = calloc(pages, sizeof(*map));

	if (fd < 0 || !map || pread(fd, map, pages * sizeof(*map), (uintptr_t)area /
				    page * sizeof(*map)) != (ssize_t)(pages * sizeof(*map)))
		err(1, "pagemap");
	for (i = 0; i <= pages; i++) {
		if (i < pages && map[i] >> order & 1)
			continue;
		if (i > first && madvise(area + first * page, (i - first) * page,
					 MADV_DONTNEED))
			err(1, "madvise(MADV_DONTNEED)");
		freed += i - first;
		first = i + 1;
	}
	free(map);
	close(fd);
	return freed * page;
}

static int hold(size_t bytes, int order)
{
	char *area = map_memory(bytes, page_advice);

	printf("touched %.3f\n", touch(area, bytes));
	if (!wait_for_line())
		return 0;
	if (order < 0)
		munmap(area, bytes);
	else
		free_every_other(area, bytes, order);
	printf("freed\n");
	wait_for_line();
	return 0;
}

/* The idle time of the only processor, in ns, without interrupts. */
static uint64_t idle_ns(void)
{
	static char text[1 << 20];
	FILE *list = fopen("/proc/timer_list", "r");
	char *found;

	if (!list)
		err(1, "timer_list");
	text[fread(text, 1, sizeof(text) - 1, list)] = '\0';
	fclose(list);
	found = strstr(text, ".idle_sleeptime");
	if (!found)
		errx(1, "no idle time in timer_list");
	return strtoull(found + strcspn(found, ":") + 1, NULL, 10);
}

static double busy_ns(unsigned long seconds, int fd)
{
	uint64_t idle = idle_ns();
	double start = now();

	if (fd >= 0 && write(fd, "1", 1) != 1)
		err(1, "write of 1");
	sleep_ms(seconds * 1000);
	return (now() - start) * 1e9 - (idle_ns() - idle);
}

static int release(size_t bytes, unsigned long seconds, const char *file, int order)
{
	char *area = map_memory(bytes, page_advice);
	int fd = open(file, O_WRONLY);
	double busy;

	if (fd < 0)
		err(1, "%s", file);
	touch(area, bytes);
	if (order < 0)
		munmap(area, bytes);
	else
		bytes = free_every_other(area, bytes, order);
	busy = busy_ns(seconds, fd);
	printf("freed %zu busy_ns %.0f then %.0f\n", bytes, busy, busy_ns(seconds, -1));
	return 0;
}

/*
 * The pattern: each slice has a key, and a word is the key plus STEP times the
 * word's index in the whole area. A page at a wrong place, with content of an
 * earlier time or of another process, or with lost content does not match. The
 * pattern costs one addition per word, as emulated guests are slow.
 */
#define STEP	0x9e3779b97f4a7c15ULL

struct pattern {
	uint64_t *words;
	uint64_t *keys;		/* of each slice; 0: dropped, without content */
	size_t slices;
	uint64_t seed;
	unsigned long dropped;
	unsigned long checked;	/* slices */
};

/* splitmix64: keys of neighbouring slices are unrelated. */
static uint64_t new_key(struct pattern *p)
{
	uint64_t z = p->seed += STEP;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) | 1;
}

static void fill_slice(struct pattern *p, size_t slice)
{
	size_t first = slice * SLICE_WORDS, i;
	uint64_t value;

	p->keys[slice] = new_key(p);
	value = p->keys[slice] + first * STEP;
	for (i = 0; i < SLICE_WORDS; i++, value += STEP)
		p->words[first + i] = value;
}

static void drop_slice(struct pattern *p, size_t slice)
{
	if (madvise(p->words + slice * SLICE_WORDS, SLICE_BYTES, MADV_DONTNEED))
		err(1, "madvise(MADV_DONTNEED)");
	p->keys[slice] = 0;
	p->dropped++;
}

static void check_slice(struct pattern *p, size_t slice)
{
	size_t first = slice * SLICE_WORDS, i;
	uint64_t value = p->keys[slice] + first * STEP;

	for (i = 0; i < SLICE_WORDS; i++, value += STEP) {
		uint64_t found = p->words[first + i];

		if (found == value)
			continue;
		printf("mismatch at offset %#zx: expected %#018llx, found %#018llx\n",
		       (first + i) * sizeof(uint64_t),
		       (unsigned long long)value, (unsigned long long)found);
		exit(1);
	}
	p->checked++;
}

/*
 * A dropped slice stays free for one pass over all others: long enough to be
 * reported, so that the slice is then refilled with memory that the host had
 * dropped. In each pass, one of eight slices is dropped, and one gets a new key.
 */
static void pattern_pass(struct pattern *p, unsigned long pass)
{
	size_t slice;

	for (slice = 0; slice < p->slices; slice++) {
		if (!p->keys[slice]) {
			fill_slice(p, slice);
			continue;
		}
		check_slice(p, slice);
		if ((slice + pass) % 8 == 0)
			drop_slice(p, slice);
		else if ((slice + pass) % 8 == 4)
			fill_slice(p, slice);
	}
}

static int pattern(size_t bytes, unsigned long seconds)
{
	struct pattern p = {
		.slices = bytes / SLICE_BYTES,
		.seed = (uint64_t)getpid() << 32 ^ (uint64_t)(now() * 1e9),
	};
	double end = now() + seconds;
	unsigned long passes = 0;

	if (!p.slices)
		errx(2, "pattern needs at least %lu MiB", SLICE_BYTES / MIB);
	p.words = map_memory(p.slices * SLICE_BYTES, page_advice);
	p.keys = calloc(p.slices, sizeof(*p.keys));
	if (!p.keys)
		err(1, "keys of %zu slices", p.slices);

	/* The first pass only fills slices, as none has a key yet. */
	do {
		pattern_pass(&p, passes++);
	} while (passes < 2 || (now() < end && !told_to_end()));

	printf("verified %.2f GiB in %lu passes, dropped %.2f GiB\n",
	       (double)p.checked * SLICE_BYTES / GIB, passes - 1,
	       (double)p.dropped * SLICE_BYTES / GIB);
	return 0;
}

/* MPOL_BIND of linux/mempolicy.h, a header that may not be installed. */
#define MPOL_BIND	2

/* From here on, memory is allocated from one node. */
static void use_node(unsigned long node)
{
	unsigned long mask = 1UL << node;

	if (syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 8 * sizeof(mask)))
		err(1, "node %lu", node);
}

static int turns(size_t bytes, unsigned long ms, unsigned long nodes, unsigned long turns)
{
	unsigned long turn;
	char *area;

	for (turn = 0; turn < turns; turn++) {
		use_node(turn % nodes);
		area = map_memory(bytes, page_advice);
		printf("turn %lu %.3f\n", turn, touch(area, bytes));
		usleep(ms * 1000);
		munmap(area, bytes);
	}
	return 0;
}

static int run_on_node(unsigned long node, char **command)
{
	use_node(node);
	execvp(command[0], command);
	err(127, "%s", command[0]);
}

static bool is(char **argv, const char *name)
{
	return argv[0] && !strcmp(argv[0], name);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	argc--;
	argv++;

	for (; is(argv, "--small") || is(argv, "--each"); argc--, argv++) {
		if (is(argv, "--small"))
			page_advice = MADV_NOHUGEPAGE;
		else
			say_each = true;
	}
	if (is(argv, "hold") && (argc == 2 || argc == 3))
		return hold(number(argv[1]) * MIB,
			    argc == 3 ? (int)number(argv[2]) : -1);
	if (is(argv, "churn") && (argc == 4 || argc == 5))
		return churn(number(argv[1]) * MIB, number(argv[2]),
			     number(argv[3]), argc == 5 ? number(argv[4]) : 0);
	if (is(argv, "faults") && argc == 3)
		return faults(number(argv[1]) * MIB, number(argv[2]));
	if ((is(argv, "loop1") || is(argv, "loop2")) && argc == 4 && number(argv[3]))
		return loop(is(argv, "loop2"), number(argv[1]) * MIB, number(argv[2]),
			    number(argv[3]));
	if (is(argv, "release") && (argc == 4 || argc == 5))
		return release(number(argv[1]) * MIB, number(argv[2]), argv[3],
			       argc == 5 ? (int)number(argv[4]) : -1);
	if (is(argv, "pattern") && argc == 3)
		return pattern(number(argv[1]) * MIB, number(argv[2]));

	if (is(argv, "turns") && argc == 5 && number(argv[3]))
		return turns(number(argv[1]) * MIB, number(argv[2]), number(argv[3]),
			     number(argv[4]));
	if (is(argv, "follow") && argc == 2)
		return follow(argv[1], page_advice);
	if (is(argv, "--node") && argc >= 3)
		return run_on_node(number(argv[1]), argv + 2);

	fputs(usage, stderr);
	return 2;
}
