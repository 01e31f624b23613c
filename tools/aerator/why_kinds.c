// SPDX-License-Identifier: GPL-2.0
/* What is said of each part of the guest's memory. */
#include "why.h"

const struct why_kind why_kinds[WHY_PARTS] = {
	[WHY_REPORTED] = {
		"reported", "free, the host was told", WHY_GONE,
		"The host was told that it need not keep this memory.", "",
	},
	[WHY_IGNORED] = {
		"ignored", "free, the host was told and keeps it", WHY_BLOCKED,
		"The host acknowledges reports and keeps the memory: a device is passed through (VFIO), its memory is locked or shared, or its pages are larger than the blocks that are reported.",
		"Change that at the host, or raise the parameter order where only the host's pages are larger.",
	},
	[WHY_POISONED] = {
		"poisoned", "free, but free pages are poisoned", WHY_BLOCKED,
		"This kernel fills free pages (init_on_free=1 or page_poison=1), and the host does not keep that content, so nothing is reported.",
		"Start the guest with page-poison=on at the host, or without init_on_free and page_poison.",
	},
	[WHY_NOT_OFFERED] = {
		"not_offered", "free, the host does not ask for it", WHY_BLOCKED,
		"The host does not offer free page reporting.",
		"Set free-page-reporting=on (libvirt: freePageReporting='on') at the host, and start the guest anew.",
	},
	[WHY_NO_DRIVER] = {
		"no_driver", "free, no driver reports it", WHY_BLOCKED,
		"No driver tells the host of free memory.",
		"Load one (modprobe aerator); aerator doctor says what is missing.",
	},
	[WHY_PAUSED] = {
		"paused", "free, reporting is paused", WHY_BLOCKED,
		"Reporting is paused (enabled=0).",
		"Resume it with aerator resume, or aerator set enabled=1.",
	},
	[WHY_PRESSURE] = {
		"pressure", "free, the guest is short of memory", WHY_FREEABLE,
		"The guest is short of memory: what is free is left to it.",
		"Give the guest more memory, or run less in it.",
	},
	[WHY_WINDOW] = {
		"window", "free, but not for long enough", WHY_FREEABLE,
		"This memory was in use a moment ago, and goes back once it was free for a whole window of time.",
		"Wait; aerator flush sends it at once; a lower refault_ms shortens the window.",
	},
	[WHY_RESERVE] = {
		"reserve", "free, kept by reserve_mb", WHY_FREEABLE,
		"The parameter reserve_mb keeps so much free memory in the guest.",
		"Lower it: aerator set reserve_mb=0.",
	},
	[WHY_SHARE] = {
		"share", "free, kept by share_pct", WHY_FREEABLE,
		"The parameter share_pct limits how much of the guest's memory is given back at a time.",
		"Raise it: aerator set share_pct=100.",
	},
	[WHY_RATE] = {
		"rate", "free, waits for rate_mb", WHY_FREEABLE,
		"The parameter rate_mb limits how much is reported in a second.",
		"Wait, or raise it: aerator set rate_mb=0 sets no limit.",
	},
	[WHY_GOING] = {
		"going", "free, on its way to the host", WHY_FREEABLE,
		"This memory is about to be reported; the kernel's page reporting hands it over in batches.",
		"Wait a moment; aerator flush waits for it.",
	},
	[WHY_UNKNOWN] = {
		"unknown", "free, not known whether reported", WHY_UNSURE,
		"Only root sees how much of the free memory the host was told of, and only with aerator.",
		"Run aerator why as root; with virtio_balloon, free memory goes back in the course of some seconds.",
	},
	[WHY_FRAGMENTS] = {
		"fragments", "free, in blocks that are too small", WHY_FREEABLE,
		"Free memory is in pieces smaller than a block of the parameter order, with memory in use between them.",
		"aerator flush --compact moves pages together; a smaller order returns more pieces at a higher price.",
	},
	[WHY_PARKED] = {
		"parked", "free, in lists of single processors", WHY_FREEABLE,
		"The kernel keeps freed pages in the lists of single processors for some seconds.",
		"Wait; sysctl vm.percpu_pagelist_high_fraction=1000000 keeps these lists short.",
	},
	[WHY_CACHE_CLEAN] = {
		"cache_clean", "page cache, clean", WHY_FREEABLE,
		"The page cache holds the content of files: to the kernel this is memory in use, even where no program needs it.",
		"aerator flush --drop-cache drops it; files are then read from the disk again.",
	},
	[WHY_CACHE_DIRTY] = {
		"cache_dirty", "page cache, to be written", WHY_FREEABLE,
		"The page cache holds data that is not on the disk yet.",
		"sync writes it; aerator flush --drop-cache does that too, and drops the cache.",
	},
	[WHY_SHMEM] = {
		"shmem", "shared memory and tmpfs", WHY_USED,
		"Programs share this memory, or it is files in a tmpfs such as /dev/shm.",
		"Remove files from tmpfs, or end the programs.",
	},
	[WHY_SLAB_RECLAIMABLE] = {
		"slab_reclaimable", "kernel caches of names and inodes", WHY_FREEABLE,
		"The kernel caches names and inodes of files.",
		"aerator flush --drop-cache drops them.",
	},
	[WHY_SLAB] = {
		"slab", "kernel objects", WHY_USED,
		"The kernel's own objects; they cannot be dropped.", "",
	},
	[WHY_ANON] = {
		"anonymous", "memory of programs", WHY_USED,
		"Programs of this guest use it.",
		"End or shrink a program; ps -e -o rss,comm --sort -rss lists the largest.",
	},
	[WHY_HUGE] = {
		"huge_pages", "pool of huge pages", WHY_USED,
		"Memory was set aside as huge pages (hugetlbfs), whether programs use them or not.",
		"Shrink the pool: sysctl vm.nr_hugepages.",
	},
	[WHY_BALLOON] = {
		"balloon", "in the balloon", WHY_GONE,
		"The host has taken it through the balloon.", "",
	},
	[WHY_OTHER] = {
		"other", "kernel and drivers", WHY_USED,
		"The kernel's page tables, stacks, drivers, and what /proc/meminfo does not name.",
		"",
	},
};
