# SPDX-License-Identifier: GPL-2.0
"""The cost of a page fault in a guest, with each driver loaded.

It is measured in instructions, with a driver that has nothing to do and should cost
nothing; and in faults per second, with a driver that works while a loop takes and frees
the same memory all the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aerator_vm import Guest

from ..contestant import STOCK, TREATED, Contestant
from ..figure import Case, Figure
from ..goals import Goal, ratio
from ..instructions import FAULTS, MACHINE, fault_instructions, settle
from ..results import Results

_CONTESTANTS = [f"{driver}-{kernel}" for kernel in (STOCK, TREATED)
                for driver in ("none", "virtio_balloon", "aerator")]

# Name and command of each loop: they do the same as page_fault1 and page_fault2 of
# will-it-scale. Files have no huge pages here.
_LOOPS = {"page_fault1 4 KiB": "--small loop1", "page_fault2 4 KiB": "loop2",
          "page_fault1 2 MiB": "loop1"}
_LOOP_MIB = 128
_TASKS = (1, 2)

# A second of instructions takes several seconds of real time. Faults beside a working driver
# are counted for several of virtio_balloon's passes, which are two seconds apart.
_COUNTED_SECONDS = 1
_TIMED_SECONDS = 10
_QUICK_TIMED_SECONDS = 4

_MEM = 1024

_INSTRUCTIONS = "instructions_per_fault"
_RATE = "faults_per_s"

# In percent. Figures of two boots differ by less than the noise.
_GOAL = 0.1
_NOISE = 0.03


def _loop(guest: Guest, words: str, seconds: int, tasks: int) -> float:
    """Faults per second of the guest's time."""
    output = guest.run(f"memtool {words} {_LOOP_MIB} {seconds} {tasks}", timeout=300)
    count, took = re.findall(r"^faults (\d+) seconds (\S+)", output, re.MULTILINE)[0]
    return int(count) / float(took)


def _variants(quick: bool) -> Iterator[tuple[str, str, int]]:
    for name, words in _LOOPS.items():
        for tasks in _TASKS[:1] if quick else _TASKS:
            yield f"{name}, {tasks} task{'s' * (tasks > 1)}", words, tasks


def _count_faults(contestant: Contestant, size: str) -> Figure:
    """Count instructions per fault, in a guest of its own: see FAULTS."""
    with contestant.guest("faults", mem=_MEM, **MACHINE) as guest:
        settle(guest)
        return Figure(f"fault {size}", _INSTRUCTIONS, fault_instructions(guest, size),
                      "instructions")


def _count_loops(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    """Count instructions in loops. Whatever driver is loaded, two runs differ by up to half
    a percent: the free lists are never in the same state twice."""
    with contestant.guest("faults", mem=_MEM, **MACHINE) as guest:
        for variant, words, tasks in _variants(quick):
            settle(guest)
            rate = _loop(guest, words, _COUNTED_SECONDS, tasks)
            yield Figure(variant, _INSTRUCTIONS, 1e9 / rate, "instructions")


def _time_loops(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    seconds = _QUICK_TIMED_SECONDS if quick else _TIMED_SECONDS
    with contestant.guest("faults", mem=_MEM) as guest:
        for variant, words, tasks in _variants(quick):
            yield Figure(variant, _RATE, _loop(guest, words, seconds, tasks), "faults/s")


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    for size in FAULTS:
        yield _count_faults(contestant, size)
    yield from _count_loops(contestant, quick)
    yield from _time_loops(contestant, quick)


def _goals(results: Results) -> Iterator[Goal]:
    for kernel in (STOCK, TREATED):
        for size in FAULTS:
            idle, none = (results.median(f"{driver}-{kernel}", f"fault {size}", _INSTRUCTIONS)
                          for driver in ("aerator", "none"))
            times = ratio(idle, none)
            yield Goal(f"{kernel}: more for a fault of {size} with aerator idle than with none",
                       None if times is None else (times - 1) * 100, _GOAL, "%", _NOISE)


CASE = Case("faults", "cost of a page fault in a guest", _CONTESTANTS, _run, _goals,
            times=(_INSTRUCTIONS, _RATE))
