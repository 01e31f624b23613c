# SPDX-License-Identifier: GPL-2.0
"""The cost in instructions (scripts/python/aerator_bench/instructions.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from aerator_bench.instructions import (FAULTS, MACHINE, QUIET_NOISE, SETTLED_SECONDS, Report,
                                        fault_instructions, release, settle)
from aerator_vm import Guest
from aerator_vm.balloon import park_little

from .harness import (MIB, MODULE, PARAMETERS, TREATED, Case, balloon_device, counters,
                      expect, expect_equal, kernel_images, load_aerator, module_file, on_kernels)

_PLAIN = "6.12-plain"


def _guest(kernel: str, name: str, mem: int, files: Mapping[str, Path | str]) -> Guest:
    return Guest(kernel_images(kernel), name=f"cost-{name}-{kernel}", mem=mem, files=files,
                 balloon={"free-page-reporting": True}, **MACHINE)


# Faults

# The limit of an increase, and the noise: figures of two boots differ by less.
_FAULT_GOAL = 0.001
_FAULT_NOISE = 0.0003


def _fault_instructions(kernel: str, size: str, loaded: bool) -> float:
    files = {MODULE: module_file(kernel)} if loaded else {}
    with _guest(kernel, "faults", 1024, files) as guest:
        if loaded:
            load_aerator(guest, intake="treated")
            settle(guest)
        return fault_instructions(guest, size)


def _compare_faults(size: str, what: tuple[str, str], before: float,
                    after: float) -> Iterator[str]:
    yield f"{'instructions a fault':24} {size:>10}"
    yield f"{what[0]:24} {before:10.1f}"
    yield f"{what[1]:24} {after:10.1f} {after / before - 1:+8.3%}"
    expect(after <= before * (1 + _FAULT_GOAL + _FAULT_NOISE), f"{what[1]} costs more")


def faults(size: str) -> Iterator[str]:
    """A page fault costs no more instructions with an idle aerator loaded."""
    yield from _compare_faults(size, ("not loaded", "aerator idle"),
                               _fault_instructions(TREATED, size, False),
                               _fault_instructions(TREATED, size, True))


def faults_patched(size: str) -> Iterator[str]:
    """A page fault costs no more instructions on a kernel with the patch."""
    yield from _compare_faults(size, ("not patched", "patched"),
                               _fault_instructions(_PLAIN, size, False),
                               _fault_instructions(TREATED, size, False))


# Reports

_FREED_MIB = 1024
_SCATTERED_ORDER = 4
_LATE_KICKS = 4


def _mem(order: int | None) -> int:
    return _FREED_MIB * (2 if order is None else 3)


def _theirs(kernel: str, order: int | None) -> Report:
    with _guest(kernel, f"virtio_balloon-{order}", _mem(order), {}) as guest:
        if order is not None:
            guest.run(f"echo {order} >/sys/module/page_reporting/parameters/page_reporting_order")
        park_little(guest)
        guest.run(f"modprobe virtio_balloon && sleep {SETTLED_SECONDS}", timeout=90)
        return release(guest, _FREED_MIB, order)


def _ours(guest: Guest, order: int | None, **params: int) -> Report:
    """Report with aerator, with these parameters, which may differ from the last ones."""
    for name, value in params.items():
        guest.run(f"echo {value} >{PARAMETERS}/{name}")
    folder = f"{balloon_device(guest)}/aerator"
    guest.run(f"echo 1 >{PARAMETERS}/enabled && sleep {SETTLED_SECONDS} &&"
              f" echo 1 >{folder}/flush && echo 0 >{PARAMETERS}/enabled", timeout=90)
    before = counters(guest, folder)
    report = release(guest, _FREED_MIB, order, f"{PARAMETERS}/enabled")
    after = counters(guest, folder)
    # memtool ends before the counters are read: another batch may have been sent meanwhile.
    late = after["kicks"] - before["kicks"] - report.kicks
    expect(0 <= late <= _LATE_KICKS, f"{late} kicks are not in the report")
    expect_equal(after["errors"], 0, "errors")
    back = (after["reported_bytes"] - before["reported_bytes"]) // MIB
    expect(back >= 0.97 * report.mib, f"only {back} of {report.mib} MiB reported")
    return report


def _our_guest(order: int | None) -> Guest:
    return _guest(TREATED, f"aerator-{order}", _mem(order), {MODULE: module_file(TREATED)})


# memtool exits within this time: the rest of its memory is free then, and is not to be
# reported before aerator is stopped.
_WINDOW_MS = 1200


def _load(guest: Guest, order: int | None) -> None:
    park_little(guest)
    load_aerator(guest, intake="treated", window_ms=_WINDOW_MS,
                 **({} if order is None else {"order": order}))


def reports_whole(kernel: str) -> Iterator[str]:
    """Reporting memory that is freed in one piece costs at most half the instructions of
    virtio_balloon."""
    with _our_guest(None) as guest:
        _load(guest, None)
        ours = _ours(guest, None)
    yield ours.row("aerator")
    theirs = _theirs(kernel, None)
    yield theirs.row(f"virtio_balloon, {kernel}")
    expect(ours.instructions * 2 <= theirs.instructions + QUIET_NOISE,
           "more than half the instructions")


# A batch fills the queue, so the second half of the next batch waits for room, and has a kick
# of its own: two kicks for 1024 blocks, where virtio_balloon has one for 32.
_TIMES_LESS = 12


def reports_scattered(kernel: str) -> Iterator[str]:
    """In blocks of 64 KiB that cannot merge, reports need a twelfth of virtio_balloon's kicks and
    interrupts at most."""
    theirs = _theirs(kernel, _SCATTERED_ORDER)
    yield theirs.row(f"virtio_balloon, {kernel}")
    with _our_guest(_SCATTERED_ORDER) as guest:
        _load(guest, _SCATTERED_ORDER)
        ours = _ours(guest, _SCATTERED_ORDER)
    yield ours.row("aerator")
    for name in ("kicks", "interrupts"):
        expect(getattr(ours, name) * _TIMES_LESS <= getattr(theirs, name), f"too many {name}")


def settings(order: int | None) -> Iterator[str]:
    """Print the cost for several sizes and numbers of reactors, without a limit."""
    with _our_guest(order) as guest:
        _load(guest, order)
        for reactors in (1, 2, 4):
            for size in (32, 128, 256, 512, 1024):
                report = _ours(guest, order, reactors=reactors, reactor_size=size)
                yield report.row(f"reactors={reactors} reactor_size={size}")


def _faults(function: Callable[[str], Iterator[str]], kernel: str) -> list[Case]:
    name = function.__name__.replace("_", "-")
    return [Case(f"{name} {size.replace(' ', '')}", functools.partial(function, size), kernel,
                 long=True)
            for size in FAULTS]


# Cases with the unpatched kernel are for --all: that kernel would have to be built, too.
CASES = [*_faults(faults, TREATED), *_faults(faults_patched, _PLAIN),
         *on_kernels(reports_whole, (TREATED, _PLAIN)),
         *on_kernels(reports_scattered, (TREATED, _PLAIN), long=True),
         *(Case(f"settings {order or 'whole'}", functools.partial(settings, order), TREATED,
                long=True) for order in (None, _SCATTERED_ORDER))]
