# SPDX-License-Identifier: GPL-2.0
"""A guest that builds something, cleans up, and is idle until the next build.

A build consists of short processes that fill the page cache. Dropping the caches and
deleting the build's files frees all of it at once, as small pages that were allocated in
any order. The case measures how much of it the host gets back, and how soon.

After another build only its files are deleted: the page cache stays. The case measures what
the host holds then, and what it holds after all has been given back that can be: by
"aerator flush --compact --drop-cache", or with another driver by dropping the caches and
compacting memory by hand, and a rest.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.common import TOP
from aerator_vm.host import Sample, Sampler
from aerator_vm.release import host_memory
from aerator_vm.tool import tool_files

from ..contestant import ALL, Contestant
from ..figure import Case, Figure
from ..goals import Goal
from ..held import GIB, MIB, figures, warm_up
from ..results import Results
from .ramp import no_more_than_rival

_MEM = 3072
_PROCESSES = 120
_LEAD_PROCESSES = 10
_QUIET_SECONDS = 20
_SHARE = 0.9
# A smaller decrease does not count: the curve of a guest that reports nothing moves, too.
_RETURN_BYTES = 64 * MIB
# Noise of a ratio of two medians, each of three values.
_NOISE = {"gib_seconds": 0.05, "held_after_gib": 0.1, "back_s": 0.1, "run_s": 0.15}
_DISK_MODULE = "/zerodisk.ko"
_DISK = "/dev/zerodisk"
_OBJECTS = "/tmp/objects"


def _disk_module(kernel: str) -> Path:
    """Build the module of a disk of zeroes: not all kernels have a disk driver, and the
    host's cache of a real disk would be counted."""
    result = subprocess.run([TOP / "scripts/module", "--of", "tests/disk", kernel],
                            check=True, stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip())


def _prepare(guest: Guest) -> None:
    guest.insmod(_DISK_MODULE)
    # The page cache of a block device is freed when its last user closes it.
    guest.start_job(f"exec sleep 1000 <{_DISK}")
    guest.run(f"mkdir {_OBJECTS}")
    # The emulator translates code that runs for the first time, and needs memory for that.
    _build(guest, 0, _LEAD_PROCESSES)
    _clean(guest)
    warm_up(guest, _MEM)


def _build(guest: Guest, number: int, processes: int) -> float:
    """Run a build; return its seconds."""
    output = guest.run(f"build {_DISK} {_OBJECTS} {number * _PROCESSES} {processes}",
                       timeout=120)
    return float(output.split()[-1])


def _clean(guest: Guest) -> float:
    """Delete the build's files and drop caches; return the time at which this began."""
    start = time.monotonic()
    guest.run(f"rm {_OBJECTS}/* && echo 3 >/proc/sys/vm/drop_caches")
    return start


def _rest(guest: Guest) -> float:
    """Rest, and return what the host holds then, GiB."""
    with Sampler(guest.host) as sampler:
        time.sleep(_QUIET_SECONDS)
    return host_memory(sampler.samples[-1]) / GIB


def _give_back(contestant: Contestant, guest: Guest) -> None:
    if contestant.driver == "aerator":
        guest.run("aerator flush --compact --drop-cache", timeout=120)
    else:
        guest.run("sync; cd /proc/sys/vm && echo 3 >drop_caches && echo 1 >compact_memory",
                  timeout=120)


def _footprint(contestant: Contestant, guest: Guest, builds: int, variant: str
               ) -> Iterator[Figure]:
    _build(guest, builds, _PROCESSES)
    guest.run(f"rm {_OBJECTS}/*")
    yield Figure(variant, "held_with_cache_gib", _rest(guest), "GiB")
    _give_back(contestant, guest)
    yield Figure(variant, "held_after_flush_gib", _rest(guest), "GiB")


def _files(contestant: Contestant) -> dict[str, Path | str]:
    subprocess.run(["make", "-s", "-C", TOP, "build/tools/aerator"], check=True)
    return {**tool_files(), _DISK_MODULE: _disk_module(contestant.kernel)}


def _seconds_back(samples: Sequence[Sample], cleaned_at: float) -> float:
    """Seconds until the host had most of the memory that it got back during the rest; inf if
    it got back next to nothing."""
    quiet = [sample for sample in samples
             if cleaned_at <= sample.time <= cleaned_at + _QUIET_SECONDS]
    held, stayed = host_memory(quiet[0]), host_memory(quiet[-1])
    if held - stayed < _RETURN_BYTES:
        return math.inf
    goal = held - _SHARE * (held - stayed)
    return next(sample.time - cleaned_at for sample in quiet if host_memory(sample) <= goal)


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    builds = 1 if quick else 2
    variant = f"{builds} x {_PROCESSES} processes"
    seconds, cleaned = 0.0, []
    with contestant.guest("cache", mem=_MEM, time_limit=900,
                          files=_files(contestant)) as guest:
        _prepare(guest)
        with Sampler(guest.host) as sampler:
            for number in range(builds):
                seconds += _build(guest, number, _PROCESSES)
                cleaned.append(_clean(guest))
                time.sleep(_QUIET_SECONDS)
        footprint = list(_footprint(contestant, guest, builds, variant))
    yield from figures(sampler.samples, variant)
    yield Figure(variant, "held_after_gib", host_memory(sampler.samples[-1]) / GIB, "GiB")
    back = [_seconds_back(sampler.samples, at) for at in cleaned]
    # Without a driver that reports there is nothing to wait for.
    yield Figure(variant, "back_s",
                 sum(back) / len(back) if contestant.driver else math.nan, "s")
    yield Figure(variant, "run_s", seconds, "s")
    yield from footprint


def _goals(results: Results) -> Iterator[Goal]:
    yield from no_more_than_rival(results, _NOISE)


CASE = Case("cache", "builds that fill the page cache, each followed by a clean-up and a rest",
            ALL, _run, goals=_goals, times=("run_s",))
