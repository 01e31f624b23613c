// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is the device's for a while: the device writes a word that is different for each
 * page to every cache line, so that any other write is detected. The kernel's memory checkers
 * are off in this file, as these pages are free for the guest's allocator.
 */
#include <linux/cache.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include "device.h"

#define WORDS	(PAGE_SIZE / sizeof(u64))
/* Only one word of each cache line: all words would take an emulated guest too long. */
#define STEP	(SMP_CACHE_BYTES / sizeof(u64))

static u64 pages_word(unsigned long pfn, u64 mark)
{
	return (pfn * 0x9e3779b97f4a7c15ULL) ^ mark;
}

static u64 *pages_at(unsigned long pfn)
{
	return phys_to_virt(PFN_PHYS(pfn));
}

/**
 * pages_fill - write the pattern to pages
 * @pfn: the first page
 * @nr: number of pages
 * @mark: makes this pattern differ from earlier ones of the same page
 */
void pages_fill(unsigned long pfn, unsigned long nr, u64 mark)
{
	unsigned long end = pfn + nr;
	unsigned int i;

	for (; pfn < end; pfn++) {
		u64 word = pages_word(pfn, mark);
		u64 *page = pages_at(pfn);

		for (i = 0; i < WORDS; i += STEP)
			page[i] = word;
		cond_resched();
	}
}

static bool pages_intact(unsigned long pfn, u64 mark)
{
	u64 word = pages_word(pfn, mark), differs = 0;
	const u64 *page = pages_at(pfn);
	unsigned int i;

	for (i = 0; i < WORDS; i += STEP)
		differs |= page[i] ^ word;
	return !differs;
}

/**
 * pages_check - do pages still have their pattern?
 * @pfn: the first page
 * @nr: number of pages
 * @mark: the mark that pages_fill() had
 * @bad: set to the first page whose pattern has changed
 *
 * Return: true if no pattern has changed.
 */
bool pages_check(unsigned long pfn, unsigned long nr, u64 mark, unsigned long *bad)
{
	unsigned long end = pfn + nr;

	for (; pfn < end; pfn++) {
		if (!pages_intact(pfn, mark)) {
			*bad = pfn;
			return false;
		}
		cond_resched();
	}
	return true;
}
