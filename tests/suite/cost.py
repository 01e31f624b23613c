# SPDX-License-Identifier: GPL-2.0
"""What it costs, in instructions: guests in which a nanosecond is one of them.

Such a guest has one processor and does the same each time, whatever else the host
does. Its clock also moves while it is idle, so that what counts is when it was
busy: /proc/timer_list has the idle time to the nanosecond. (A program that spins
meanwhile, and sums up what others took of its time, finds the same: 2653 against
2628 thousand where virtio_balloon reports 1 GiB.)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from aerator_vm import Guest

from .harness import (MIB, MODULE, PARAMETERS, TREATED, Case, TestFailed, balloon_device,
                      counters, expect, expect_equal, load_aerator, module_file,
                      on_kernels, park_little)

_PLAIN = "6.12-plain"

# Guest time costs nothing while the guest is idle.
_SETTLED_SECONDS = 60


def _guest(kernel: str, name: str, mem: int, files: Mapping[str, object]) -> Guest:
    """Nothing is where chance puts it."""
    return Guest(kernel, name=f"cost-{name}-{kernel}", mem=mem, icount=True, files=files,
                 append="norandmaps", balloon={"free-page-reporting": True},
                 qemu_args=("-trace", "enable=virtio_queue_notify"), time_limit=600)


# Faults

# By how much more may be noise: between two boots, figures differ by less.
_FAULT_GOAL = 0.001
_FAULT_NOISE = 0.0003

# In fresh processes, and only the first after boot: later the figures go up and
# down in steps, on all kernels, with the state of the free lists.
_FAULTS = {"4 KiB": "memtool --small faults 64 3", "2 MiB": "memtool faults 128 3"}
_PROCESSES = 6


def _fault_instructions(kernel: str, size: str, loaded: bool) -> float:
    files = {MODULE: module_file(kernel)} if loaded else {}
    with _guest(kernel, "faults", 1024, files) as guest:
        if loaded:
            folder = load_aerator(guest, intake="treated")
            # All is treated, and was left alone for longer than any window.
            guest.run(f"echo 1 >{folder}/flush && sleep {_SETTLED_SECONDS}", timeout=90)
        output = guest.run(f"for i in $(seq {_PROCESSES}); do {_FAULTS[size]}; done",
                           timeout=200)
    return median(float(text) for text in re.findall(r"^fault_ns (\S+)", output, re.MULTILINE))


def _compare_faults(size: str, what: tuple[str, str], before: float,
                    after: float) -> Iterator[str]:
    yield f"{'instructions a fault':24} {size:>10}"
    yield f"{what[0]:24} {before:10.1f}"
    yield f"{what[1]:24} {after:10.1f} {after / before - 1:+8.3%}"
    expect(after <= before * (1 + _FAULT_GOAL + _FAULT_NOISE), f"{what[1]} costs more")


def faults(size: str) -> Iterator[str]:
    """A driver that has nothing to do costs nothing."""
    yield from _compare_faults(size, ("not loaded", "aerator idle"),
                               _fault_instructions(TREATED, size, False),
                               _fault_instructions(TREATED, size, True))


def faults_patched(size: str) -> Iterator[str]:
    """The patch costs nothing."""
    yield from _compare_faults(size, ("not patched", "patched"),
                               _fault_instructions(_PLAIN, size, False),
                               _fault_instructions(TREATED, size, False))


# Reports

_FREED_MIB = 1024
_SCATTERED_ORDER = 4


@dataclass(frozen=True)
class _Report:
    """What a guest spent to report what was freed: instructions, and with whom it
    had to do for that."""

    mib: int
    instructions: int
    kicks: int
    interrupts: int

    def row(self, what: str) -> str:
        return (f"{what:40} {self.mib:5} MiB {self.instructions / 1000:8.0f} k"
                f" {self.kicks:5} kicks {self.interrupts:5} interrupts")


# By how much two quiet minutes differ, in instructions.
_QUIET_NOISE = 100_000


def _count(guest: Guest) -> tuple[int, int]:
    """Kicks and interrupts. The agent's line has no queue with the number of ours
    that is used once the guest has booted; interrupts are shared by all queues."""
    name = balloon_device(guest).rpartition("/")[2]
    line = guest.run(f"grep -w {name} /proc/interrupts", check=False).split()
    kicks = (guest.log_dir / "qemu.log").read_text().count(" n 3 ")
    return kicks, int(line[1]) if line else 0


def _release(guest: Guest, order: int | None, starter: str = "/dev/null") -> _Report:
    """Free 1 GiB: in one piece, or every other block of an order. virtio_balloon
    begins two seconds later, and takes half a minute for all of it; it would be no
    comparison if we had begun when only a part of it was free."""
    words = (f"release {_FREED_MIB} {_SETTLED_SECONDS} {starter}" if order is None else
             f"--small release {2 * _FREED_MIB} {_SETTLED_SECONDS} {starter} {order}")
    kicks, interrupts = _count(guest)
    output = guest.run(f"memtool {words}", timeout=240)
    after = _count(guest)
    match = re.fullmatch(r"freed (\d+) busy_ns (\d+) then (\d+)\n", output)
    if not match:
        raise TestFailed(f"no figures: {output}")
    return _Report(int(match[1]) // MIB, int(match[2]) - int(match[3]),
                   after[0] - kicks, after[1] - interrupts)


def _mem(order: int | None) -> int:
    return _FREED_MIB * (2 if order is None else 3)


def _theirs(kernel: str, order: int | None) -> _Report:
    with _guest(kernel, f"virtio_balloon-{order}", _mem(order), {}) as guest:
        if order is not None:
            guest.run(f"echo {order} >/sys/module/page_reporting/parameters/page_reporting_order")
        park_little(guest)
        guest.run(f"modprobe virtio_balloon && sleep {_SETTLED_SECONDS}", timeout=90)
        return _release(guest, order)


def _ours(guest: Guest, order: int | None, **params: int) -> _Report:
    """With settings that may differ from the last ones."""
    for name, value in params.items():
        guest.run(f"echo {value} >{PARAMETERS}/{name}")
    folder = f"{balloon_device(guest)}/aerator"
    guest.run(f"sleep {_SETTLED_SECONDS}; echo 1 >{folder}/flush &&"
              f" echo 0 >{PARAMETERS}/enabled", timeout=90)
    before = counters(guest, folder)
    report = _release(guest, order, f"{PARAMETERS}/enabled")
    after = counters(guest, folder)
    expect_equal(after["kicks"] - before["kicks"], report.kicks, "kicks")
    expect_equal(after["errors"], 0, "errors")
    back = (after["reported_bytes"] - before["reported_bytes"]) // MIB
    expect(back >= 0.97 * report.mib, f"only {back} of {report.mib} MiB reported")
    return report


def _our_guest(order: int | None) -> Guest:
    return _guest(TREATED, f"aerator-{order}", _mem(order), {MODULE: module_file(TREATED)})


def _load(guest: Guest, order: int | None) -> None:
    park_little(guest)
    load_aerator(guest, intake="treated", **({} if order is None else {"order": order}))


def _compare(kernel: str, order: int | None) -> Iterator[_Report]:
    """Ours first, with the settings that are the default."""
    with _our_guest(order) as guest:
        _load(guest, order)
        yield _ours(guest, order)
    yield _theirs(kernel, order)


def reports_whole(kernel: str) -> Iterator[str]:
    """What is freed in one piece costs half of virtio_balloon's instructions at most."""
    ours, theirs = _compare(kernel, None)
    yield ours.row("aerator")
    yield theirs.row(f"virtio_balloon, {kernel}")
    expect(ours.instructions * 2 <= theirs.instructions + _QUIET_NOISE,
           "more than half the instructions")


def reports_scattered(kernel: str) -> Iterator[str]:
    """In blocks of 64 KiB that cannot merge: a sixteenth of the kicks and interrupts."""
    ours, theirs = _compare(kernel, _SCATTERED_ORDER)
    yield ours.row("aerator")
    yield theirs.row(f"virtio_balloon, {kernel}")
    for name in ("kicks", "interrupts"):
        expect(getattr(ours, name) * 16 <= getattr(theirs, name),
               f"more than a sixteenth of the {name}")


def settings(order: int | None) -> Iterator[str]:
    """What sizes and numbers of reactors give: nothing can be wrong."""
    with _our_guest(order) as guest:
        _load(guest, order)
        for reactors in (1, 2, 4):
            for size in (32, 128, 256, 512, 1024):
                report = _ours(guest, order, reactors=reactors, reactor_size=size)
                yield report.row(f"reactors={reactors} reactor_size={size}")


def _faults(function: Callable[[str], Iterator[str]], kernel: str) -> list[Case]:
    name = function.__name__.replace("_", "-")
    return [Case(f"{name} {size.replace(' ', '')}", functools.partial(function, size), kernel)
            for size in _FAULTS]


# What needs the unpatched kernel is for --all: it would be one more to build.
CASES = [*_faults(faults, TREATED), *_faults(faults_patched, _PLAIN),
         *on_kernels(reports_whole, (TREATED, _PLAIN)),
         *on_kernels(reports_scattered, (TREATED, _PLAIN)),
         *(Case(f"settings {order or 'whole'}", functools.partial(settings, order), TREATED,
                long=True) for order in (None, _SCATTERED_ORDER))]
