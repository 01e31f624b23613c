// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is the device's for a while: each page gets a word of its own in every
 * cache line, and whoever else fills the page is found out. No checker of the kernel's
 * looks at this file: to the guest's allocator these pages are free.
 */
#include <linux/cache.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include "device.h"

#define WORDS	(PAGE_SIZE / sizeof(u64))
/* All of them would take an emulated guest too long. */
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
 * pages_fill - take pages
 * @pfn: the first
 * @nr: how many
 * @mark: tells this taking from others of the same page
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
 * pages_check - has nobody written to pages since they were filled?
 * @pfn: the first
 * @nr: how many
 * @mark: as they were filled with
 * @bad: gets the first that was written to
 *
 * Return: true if they are all as they were.
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
