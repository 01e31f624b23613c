# SPDX-License-Identifier: GPL-2.0
"""Guests of 2 to 64 GiB, most of it never touched: costs that depend on the size.

first       all memory is raw when the driver is loaded: the cost may grow in proportion
            to the memory
again       512 MiB are freed, all other memory is treated: the cost should not depend on
            the amount of treated memory
flush       a flush with nothing to do: the cost should not depend on the size either
hold        the longest time for which zone->lock is held, with interrupts off, meanwhile
seconds     real time from the driver's load until all memory is treated
seconds_99  real time until 99 % of it is: the rest may take much longer
"""

from __future__ import annotations

import math
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import median

from aerator_vm import Guest
from aerator_vm.balloon import balloon_device
from aerator_vm.common import TOP, Deadline
from aerator_vm.driver import MODULE
from aerator_vm.events import TRACE, Discard, discards

from .. import plots
from ..contestant import PARAMETERS, STOCK, TREATED, Contestant
from ..figure import Case, Figure
from ..goals import Goal, less, ratio
from ..instructions import MACHINE, SETTLED_SECONDS, release, settle, spent
from ..results import Results

_CONTESTANTS = [f"{driver}-{kernel}" for kernel in (STOCK, TREATED)
                for driver in ("virtio_balloon", "aerator")]
_SIZES = (2, 8, 32, 64)
_QUICK_SIZES = (2, 8, 64)
_GIB = 1 << 30
_BOOT_SECONDS = 150

_QUIET = f"sleep {SETTLED_SECONDS}"

# The amount that is freed while all else is treated, and how often: the median counts.
_AGAIN_MIB = 512
_AGAIN = 3
_FLUSHES = 10

_HOLDS = "/holds.ko"
_HOLDS_FOLDER = "tests/holds"
_HOLDS_PARAMETERS = "/sys/module/holds/parameters"

# virtio_balloon pauses for 2 s between its passes.
_OVER_SECONDS = 5
_CEILING_SECONDS = 90

# Allowed ratio of the cost of a reported GiB in a larger guest; and of costs that should not
# depend on the size.
_LINEAR_GOAL = 1.25
_FLAT_GOAL = 2


def _variant(gib: int) -> str:
    return f"{gib} GiB"


def _load(contestant: Contestant) -> str:
    """A command that loads the driver, which reports nothing yet: aerator is paused, and
    virtio_balloon waits for two seconds."""
    if contestant.driver != "aerator":
        return "modprobe virtio_balloon"
    params: dict[str, object] = {**contestant.params, "enabled": 0}
    return shlex.join(["insmod", MODULE, *(f"{key}={value}" for key, value in params.items())])


def _begin(contestant: Contestant) -> str:
    return f"echo 1 >{PARAMETERS}/enabled" if contestant.driver == "aerator" else "true"


# Instructions


def _treat(contestant: Contestant, guest: Guest, gib: int) -> Iterator[Figure]:
    """Report all memory of a guest that has nothing else to do."""
    guest.run(_QUIET, timeout=90)
    before = len(discards(guest))
    _, begun, quiet = spent(guest, _load(contestant), f"{_begin(contestant)}; {_QUIET}",
                            _QUIET)
    reported = sum(discard.bytes for discard in discards(guest)[before:]) / _GIB
    yield Figure(_variant(gib), "size", gib, "GiB")
    yield Figure(_variant(gib), "reported", reported, "GiB")
    yield Figure(_variant(gib), "first", (begun - quiet) / 1000, "k instructions")
    yield Figure(_variant(gib), "first_per_gib", (begun - quiet) / 1000 / reported,
                 "k instructions")


def _flush(guest: Guest) -> float:
    """Instructions of a flush that has nothing to do, including those of the write."""
    file = f"{balloon_device(guest)}/aerator/flush"
    loop = f"for i in $(seq {_FLUSHES}); do echo 1 >%s; done"
    flushes, writes = spent(guest, loop % file, loop % "/dev/null")
    return (flushes - writes) / _FLUSHES


def _treat_again(contestant: Contestant, guest: Guest, gib: int) -> Iterator[Figure]:
    """Report memory that is freed while all other memory is treated."""
    settle(guest)
    if contestant.driver == "aerator":
        yield Figure(_variant(gib), "flush", _flush(guest) / 1000, "k instructions")
    again = median(release(guest, _AGAIN_MIB).instructions for _ in range(_AGAIN))
    yield Figure(_variant(gib), "again", again / 1000, "k instructions")


def _count(contestant: Contestant, gib: int) -> Iterator[Figure]:
    with contestant.guest("scale", bound=False, mem=gib * 1024, boot_limit=_BOOT_SECONDS,
                          **MACHINE) as guest:
        yield from _treat(contestant, guest, gib)
        contestant.note_settings(guest)
        yield from _treat_again(contestant, guest, gib)


# Holds of zone->lock


def _holds_file(kernel: str) -> Path:
    result = subprocess.run([TOP / "scripts/module", "--of", _HOLDS_FOLDER, kernel],
                            check=True, stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip())


def _longest(guest: Guest) -> int:
    """The longest hold since the last call."""
    file = f"{_HOLDS_PARAMETERS}/longest"
    return int(guest.run(f"cat {file} && echo 0 >{file}"))


def _hold(contestant: Contestant, gib: int) -> Iterator[Figure]:
    """Measure in a guest of its own, as the probes have a cost. It is subtracted, and must be
    constant: so the kernel must not optimize the probes while they run."""
    with contestant.guest("scale-holds", bound=False, mem=gib * 1024,
                          boot_limit=_BOOT_SECONDS,
                          files={_HOLDS: _holds_file(contestant.kernel)}, **MACHINE) as guest:
        guest.run("echo 0 >/proc/sys/debug/kprobes-optimization")
        guest.insmod(_HOLDS)
        guest.run(f"{_load(contestant)} && {_begin(contestant)}; {_QUIET}", timeout=200)
        yield Figure(_variant(gib), "first_hold", _longest(guest), "instructions")
        settle(guest)
        _longest(guest)
        release(guest, _AGAIN_MIB)
        yield Figure(_variant(gib), "again_hold", _longest(guest), "instructions")


# Time


def _wait_for_end(guest: Guest) -> list[Discard]:
    """Wait until reports end; return them, or nothing if they do not end."""
    deadline = Deadline(_CEILING_SECONDS)
    while not deadline.passed:
        found = discards(guest)
        if found and time.time() - found[-1].time > _OVER_SECONDS:
            return found
        time.sleep(0.5)
    return []


def _time_of(share: float, found: Sequence[Discard]) -> float:
    """The time at which this share of all reported memory had been reported."""
    wanted = share * sum(discard.bytes for discard in found)
    reported = accumulate(discard.bytes for discard in found)
    return next((discard.time for discard, so_far in zip(found, reported) if so_far >= wanted),
                math.inf)


def _time(contestant: Contestant, gib: int) -> Iterator[Figure]:
    """Measure from before the driver is loaded until the last of its reports."""
    with contestant.guest("scale-time", bound=False, mem=gib * 1024, qemu_args=TRACE,
                          boot_limit=_BOOT_SECONDS) as guest:
        start = time.time()
        guest.run(f"{_load(contestant)} && {_begin(contestant)}")
        found = _wait_for_end(guest)
    for metric, share in (("seconds_99", 0.99), ("seconds", 1)):
        yield Figure(_variant(gib), metric, _time_of(share, found) - start, "s")


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    for gib in _QUICK_SIZES if quick else _SIZES:
        yield from _count(contestant, gib)
        yield from _hold(contestant, gib)
        yield from _time(contestant, gib)


# Goals


def _slope(results: Results, name: str, least: int, most: int) -> float | None:
    """Instructions for each further GiB that is reported. The constant cost of a driver is
    left out, as it would hide the growth."""
    def more(metric: str) -> float | None:
        return less(results.median(name, _variant(most), metric),
                    results.median(name, _variant(least), metric))
    return ratio(more("first"), more("reported"))


def _goals(results: Results) -> Iterator[Goal]:
    for kernel in (STOCK, TREATED):
        def grown(metric: str, least: int, name: str = f"aerator-{kernel}") -> float | None:
            return ratio(results.median(name, _variant(64), metric),
                         results.median(name, _variant(least), metric))

        last, before = (_slope(results, f"aerator-{kernel}", *sizes)
                        for sizes in ((32, 64), (8, 32)))
        yield Goal(f"{kernel}: instructions for a GiB reported at 64 GiB, to 8 GiB",
                   grown("first_per_gib", 8), _LINEAR_GOAL)
        yield Goal(f"{kernel}: instructions for a further GiB from 32 to 64 GiB, to that from"
                   " 8 to 32 GiB", ratio(last, before), _LINEAR_GOAL)
        yield Goal(f"{kernel}: a flush with nothing to do at 64 GiB, to 2 GiB",
                   grown("flush", 2), _FLAT_GOAL)
        yield Goal(f"{kernel}: to report {_AGAIN_MIB} MiB beside what is treated at 64 GiB,"
                   " to 2 GiB", grown("again", 2), _FLAT_GOAL)


CASE = Case("scale", "guests of 2 to 64 GiB: costs by size", _CONTESTANTS, _run, _goals,
            plots.scale, beside=("size",))
