# SPDX-License-Identifier: GPL-2.0
"""Hundreds of loads, and of binds with readers beside them: no memory of the kernel is lost,
and no line is logged."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from aerator_vm import Guest, Job

from .harness import (KASAN, MODULE, Case, balloon_device, expect, expect_equal, is_debug,
                      make_guest, meminfo, settled_free)
from .lifecycle import BIND, LOAD, QUARANTINE, SLACK_KB, repeat

_MEM = 512
# Loads before the count: the kernel's own caches grow at first.
_FIRST = 10
_READERS = 3
_SECONDS = 3600

# Kernel memory that may come and go, kB: an object of 256 bytes for each of a thousand loads
# is as much. A mapping of vmalloc has 8 kB at least, with its guard page.
_SLAB_KB = 256
_VMALLOC_KB = 64

# Only warnings, and what is worse, go to the serial console.
_QUIET = "echo 0 >/sys/module/printk/parameters/ignore_loglevel; echo 5 >/proc/sys/kernel/printk"

# The kernel's word about an emulated guest that gets little time of the host's processor.
_STARVED = re.compile(r"clocksource: |hrtimer: ")

# Read all files of the device again and again, also while they are being removed.
_READ = """
while :; do
	for file in {device}/aerator/*; do
		[ ${{file##*/}} = flush ] || cat $file
	done >/dev/null 2>&1
done
"""


@dataclass(frozen=True)
class _Memory:
    """Memory of the guest, kB."""

    total: int
    free: int
    slab: int
    vmalloc: int

    @classmethod
    def of(cls, guest: Guest) -> _Memory:
        free = settled_free(guest)
        return cls(meminfo(guest, "MemTotal"), free, meminfo(guest, "SUnreclaim"),
                   meminfo(guest, "VmallocUsed"))

    def check(self, before: _Memory, slack: int) -> str:
        """Compare with the memory before; @slack is that of objects in KASAN's quarantine."""
        expect_equal(self.total, before.total, "MemTotal")
        lost = {"free": before.free - self.free, "slab": self.slab - before.slab,
                "vmalloc": self.vmalloc - before.vmalloc}
        for name, limit in (("free", SLACK_KB + slack), ("slab", _SLAB_KB + slack),
                            ("vmalloc", _VMALLOC_KB)):
            expect(lost[name] < limit, f"lost: {lost} kB, of {name} at most {limit}")
        return f"lost: {lost} kB"


def _start_readers(guest: Guest) -> list[Job]:
    script = _READ.format(device=balloon_device(guest))
    return [guest.start_job(script) for _ in range(_READERS)]


def _binds(guest: Guest, times: int) -> float:
    """Move the device between both drivers, with readers of all its files beside it."""
    guest.insmod(MODULE, {"takeover": 0, "window_ms": 0})
    readers = _start_readers(guest)
    took = repeat(guest, times, BIND, _SECONDS)
    for job in readers:
        job.signal("KILL")
        job.wait(check=False)
    guest.run("rmmod aerator")
    return took


def _loads(kernel: str, loads: int, binds: int) -> Iterator[str]:
    """Hundreds of loads and binds lose no memory of the kernel, and log no warning."""
    with make_guest(kernel, f"loads-{loads}", mem=_MEM, smp=1, time_limit=_SECONDS) as guest:
        guest.run("modprobe virtio_balloon")
        repeat(guest, _FIRST, LOAD)
        _binds(guest, 2)
        guest.run(_QUIET)
        log = guest.serial_log.read_text(errors="replace")
        before = _Memory.of(guest)
        took = repeat(guest, loads, LOAD, _SECONDS), _binds(guest, binds)
        slack = before.total // QUARANTINE if is_debug(kernel) else 0
        yield f"{loads} loads in {took[0]:.0f} s, {binds} binds in {took[1]:.0f} s"
        yield _Memory.of(guest).check(before, slack)
        new = guest.serial_log.read_text(errors="replace")[len(log):].splitlines()
        expect_equal([line for line in new if not _STARVED.search(line)], [],
                     "lines of the log meanwhile")


def _case(kernel: str, loads: int, binds: int, long: bool) -> Case:
    return Case(f"loads {kernel} {loads}", functools.partial(_loads, kernel, loads, binds),
                kernel, long)


# A thousand loads would take the debug kernel ten minutes of a processor.
CASES = [_case(KASAN, 100, 30, False), _case("6.12", 1000, 300, True),
         _case("6.12", 10000, 3000, True)]
