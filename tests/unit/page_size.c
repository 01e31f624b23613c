// SPDX-License-Identifier: GPL-2.0
/*
 * Limits in bytes, with pages of PAGE_SHIFT: a descriptor has less than 2^32 bytes, and a
 * chain at most 2^32 (virtio 1.2, 2.7.5.1). A batch of page reporting has 32 blocks, each up
 * to the largest order of the kernel: 16 GiB with pages of 64 KiB.
 */
#include "check.h"
#include "reactor.h"

#define PAGE_TEST_OF(_name, _shift)	TEST(_name##_##_shift)
#define PAGE_TEST_WITH(_name, _shift)	PAGE_TEST_OF(_name, _shift)
#define PAGE_TEST(_name)		PAGE_TEST_WITH(_name, PAGE_SHIFT)

#define BLOCKS		32
#define MIB		0x100000ULL
/* The largest blocks of arm64: orders 10, 11 and 13. */
#define BLOCK_BYTES	(MIB * (PAGE_SHIFT == 12 ? 4 : PAGE_SHIFT == 14 ? 32 : 512))
#define BLOCK_PAGES	(BLOCK_BYTES >> PAGE_SHIFT)
#define DEFAULT_PAGES	(2 * MIB >> PAGE_SHIFT)

#define RUN_BYTES_MAX	0xffffffffULL
#define CHAIN_BYTES_MAX	0x100000000ULL

static struct reactor_run runs[BLOCKS];
static struct reactor reactor;

/* A batch of blocks of @pages, each @step pages behind the one before. */
static void fill(u64 pages, u64 step)
{
	unsigned int i;

	reactor_init(&reactor, 0, RUN_BYTES_MAX >> PAGE_SHIFT, NULL);
	reactor_set_runs(&reactor, runs, BLOCKS);
	reactor_fill(&reactor, 1);
	for (i = 0; i < BLOCKS; i++)
		check(reactor_add(&reactor, i * step, pages));
	check(reactor_react(&reactor, 2));
}

/* Send all chains. Returns their number, and adds up the pages. */
static unsigned int send_all(u64 *pages)
{
	unsigned int chains = 0;

	for (*pages = 0; reactor_unsent(&reactor); chains++) {
		unsigned int nr = reactor_chain(&reactor, BLOCKS, CHAIN_BYTES_MAX >> PAGE_SHIFT);
		u64 before = *pages;
		unsigned int i;

		for (i = 0; i < nr; i++) {
			check(runs[reactor.sent + i].pages << PAGE_SHIFT <= RUN_BYTES_MAX);
			*pages += runs[reactor.sent + i].pages;
		}
		check((*pages - before) << PAGE_SHIFT <= CHAIN_BYTES_MAX);
		reactor_sent(&reactor, nr);
	}
	return chains;
}

/* As few chains as the limit allows, whatever the size of a block. */
PAGE_TEST(page_size_scattered_blocks)
{
	u64 all = BLOCKS * BLOCK_BYTES;
	u64 pages;

	fill(BLOCK_PAGES, 2 * BLOCK_PAGES);
	check_eq(reactor.nr_runs, BLOCKS);
	check_eq(send_all(&pages), (all + CHAIN_BYTES_MAX - 1) / CHAIN_BYTES_MAX);
	check_eq(pages, BLOCKS * BLOCK_PAGES);
}

/* Neighbours become entries below 2^32 bytes: of seven blocks of 512 MiB. */
PAGE_TEST(page_size_neighbours)
{
	unsigned int in_run = RUN_BYTES_MAX / BLOCK_BYTES;
	u64 pages;

	fill(BLOCK_PAGES, BLOCK_PAGES);
	check_eq(reactor.nr_runs, (BLOCKS + in_run - 1) / in_run);
	send_all(&pages);
	check_eq(pages, BLOCKS * BLOCK_PAGES);
}

/* A batch of the default order is 64 MiB, in one chain. */
PAGE_TEST(page_size_default_order)
{
	u64 pages;

	fill(DEFAULT_PAGES, 2 * DEFAULT_PAGES);
	check_eq(send_all(&pages), 1);
	check_eq(pages << PAGE_SHIFT, 64 * MIB);
}
