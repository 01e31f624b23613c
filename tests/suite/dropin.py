# SPDX-License-Identifier: GPL-2.0
"""The same actions of a host against both drivers: the same answers, as soon.

The rows that are printed are a table in Markdown: Documentation/dropin.md has it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from aerator_vm.driver import bind

from .dropin_actions import (HIBERNATE, SUSPEND_TO_IDLE, SUSPEND_TO_RAM, Action, Sleep,
                             all_is_back, compacted, deflated, halves, memory_short,
                             memory_short_deflating, rebooted, reported, statistics, stopped,
                             targets, too_little, unbound, unheard, unplugged)
from .dropin_rows import TABLE_HEAD, Difference, Row, faults, pair_up
from .dropin_subject import Subject
from .harness import (BUILD_KERNELS, MIB, MODULE, TREATED, balloon_device, balloon_driver,
                      beside, expect, expect_equal, make_guest, on_kernels, settled_free)

_OFTEN = "6.12"

_DRIVERS = ("virtio_balloon", "aerator")
_GUEST_MIB = 1024

# A program that wants more than there is gets killed, and that is in the log.
_ALLOWED = (r"Out of memory: Killed process \d+ \(memtool\)", r"Call Trace:$")

_SCRIPT: tuple[Action, ...] = (
    targets, too_little, statistics, stopped, compacted, memory_short, unbound, rebooted,
    unplugged, reported, deflated, memory_short_deflating)
# What a host does day by day. Unplugged comes before what wants deflate-on-oom.
_OFTEN_DONE: tuple[Action, ...] = (targets, statistics, unbound, unplugged, reported, deflated,
                                   memory_short_deflating)
_SLEEPS = (SUSPEND_TO_IDLE, HIBERNATE, SUSPEND_TO_RAM)

# Page reporting of 5.10 has its work done on a queue that does not freeze, also after
# virtio_balloon has given up the virtqueue for the night: seen to oops in suspend to idle.
_CRASHING = ("5.10", "virtio_balloon")
_CRASH = "not tried: may crash its guest"

# What aerator is meant to do in its own way.
_DIFFERENCES = tuple(
    Difference(sleep.name, _CRASH, ".*", "virtio_balloon of 5.10 lets reporting go on")
    for sleep in _SLEEPS)


def _devices(disk: Path) -> tuple[str, ...]:
    """A balloon that can be unplugged, and somewhere to hibernate to."""
    return ("-device", "pcie-root-port,id=rootport,chassis=1",
            "-device", "virtio-balloon-pci,id=balloon,bus=rootport,free-page-reporting=on",
            "-drive", f"if=none,id=swap,format=raw,file={disk}",
            "-device", "virtio-blk-pci,drive=swap")


# The agent's console is silent after 7.3 has woken up, with virtio_balloon too; for
# suspend to RAM see suspend.py.
_UNHEARD = {"7.3": (SUSPEND_TO_IDLE, HIBERNATE)}


def _nights(kernel: str) -> tuple[Sleep, ...]:
    """How a guest can sleep, and do more afterwards."""
    return () if kernel in _UNHEARD else _SLEEPS


def _rows(subject: Subject, script: Iterable[Action]) -> Iterator[Row]:
    for action in script:
        yield from action(subject)


def _life(kernel: str, subject: Subject) -> Iterator[Row]:
    yield from _rows(subject, _SCRIPT)
    if (kernel, subject.driver) != _CRASHING:
        yield from _rows(subject, _nights(kernel))
    else:
        yield from (Row(sleep.name, _CRASH) for sleep in _nights(kernel))
    yield from all_is_back(subject)


@contextlib.contextmanager
def _subject(kernel: str, driver: str) -> Iterator[Subject]:
    with tempfile.NamedTemporaryFile(prefix="aerator-disk-") as disk:
        disk.truncate(_GUEST_MIB * MIB)
        with make_guest(kernel, f"dropin-{driver}", mem=_GUEST_MIB, smp=1, balloon=None,
                        qemu_args=_devices(Path(disk.name)), allow=_ALLOWED,
                        time_limit=600) as guest:
            bind(guest, driver)
            yield Subject(guest, driver, _GUEST_MIB * MIB)


def _run_often_done(kernel: str, driver: str) -> list[Row]:
    with _subject(kernel, driver) as subject:
        return [*_rows(subject, _OFTEN_DONE), *all_is_back(subject)]


def _run_script(kernel: str, driver: str) -> list[Row]:
    with _subject(kernel, driver) as subject:
        rows = list(_life(kernel, subject))
        # After it slept it cannot power off.
        subject.guest.finish(power_off=SUSPEND_TO_RAM not in _nights(kernel))
    for sleep in _UNHEARD.get(kernel, ()):
        with _subject(kernel, driver) as subject:
            rows += unheard(subject, sleep)
            subject.guest.finish_unheard()
    return rows


def _compared(theirs: Sequence[Row], ours: Sequence[Row]) -> Iterator[str]:
    """The table, and then the verdict, so that a failure is seen in its place."""
    pairs = pair_up(theirs, ours, _DIFFERENCES)
    yield from TABLE_HEAD
    for pair in pairs:
        yield pair.table_row()
    found = faults(pairs)
    expect(not found, "\n".join(found))


def drop_in(kernel: str) -> Iterator[str]:
    """What a host does day by day gets the same answers from both drivers, as soon."""
    yield from _compared(*beside(functools.partial(_run_often_done, kernel, driver)
                                 for driver in _DRIVERS))


def drop_in_whole(kernel: str) -> Iterator[str]:
    """All that a host can do, nights included, gets the same answers from both, as soon."""
    yield from _compared(*beside(functools.partial(_run_script, kernel, driver)
                                 for driver in _DRIVERS))


def _balloon(*options: str) -> tuple[str, ...]:
    return ("-device", ",".join(("virtio-balloon-pci,id=balloon,free-page-reporting=on",
                                 *options)))


def _mmio(legacy: str) -> tuple[str, ...]:
    """The agent stays on PCI: it is there before anyone can load a driver.

    This machine has nothing but its PIT to learn from how fast its other clocks are, and
    a guest that was not let to look in time has no clock then, and hangs. Where time is
    a count of instructions it always is in time.
    """
    return ("-machine", "type=microvm,acpi=on,pcie=on", "-icount", "shift=0",
            "-global", f"virtio-mmio.force-legacy={legacy}",
            "-device", "virtio-balloon-device,id=balloon,free-page-reporting=on")


# What a host may attach a balloon with. QEMU has no must-tell-host.
_TRANSPORTS = {
    "PCI, modern": _balloon("disable-legacy=on"),
    "PCI, transitional": _balloon("disable-legacy=off", "disable-modern=off"),
    "PCI, legacy": _balloon("disable-legacy=off", "disable-modern=on"),
    "packed ring": _balloon("packed=on"),
    "iothread": ("-object", "iothread,id=hints",
                 *_balloon("free-page-hint=on", "iothread=hints")),
    "without page-poison": _balloon("page-poison=off"),
    "MMIO, modern": _mmio("off"),
    "MMIO, legacy": _mmio("on"),
}
_TRANSPORT_SCRIPT: tuple[Action, ...] = (halves, statistics, reported)


def _on_transport(kernel: str, name: str) -> list[list[Row]]:
    """Both drivers in one guest, one after the other."""
    folder = f"dropin-{name.replace(', ', '-').replace(' ', '-')}"
    with make_guest(kernel, folder, mem=_GUEST_MIB, smp=1, balloon=None,
                    qemu_args=_TRANSPORTS[name]) as guest:
        guest.run("modprobe virtio_mmio")
        rows = []
        for driver in _DRIVERS:
            bind(guest, driver)
            rows.append([_untimed(name, row) for row in
                         _rows(Subject(guest, driver, _GUEST_MIB * MIB), _TRANSPORT_SCRIPT)])
    return rows


def _untimed(transport: str, row: Row) -> Row:
    """Other guests run at the same time: how long it takes says little."""
    shown = row.shown if row.seconds is None else f"after {row.seconds:.2f} s"
    return dataclasses.replace(row, action=f"{transport}: {row.action}", seconds=None,
                               shown=shown)


def _compare_on(kernel: str, names: Iterable[str]) -> Iterator[str]:
    done = [_on_transport(kernel, name) for name in names]
    yield from _compared(*([row for rows in one for row in rows] for one in zip(*done)))


def transports(kernel: str) -> Iterator[str]:
    """Both drivers answer alike on transports that differ most: the ring's two forms, and
    its two registers' layouts."""
    yield from _compare_on(kernel, ("PCI, legacy", "packed ring", "MMIO, modern"))


def all_transports(kernel: str) -> Iterator[str]:
    """Both drivers answer alike on each transport that a host may attach a balloon with."""
    yield from _compare_on(kernel, _TRANSPORTS)


# Nobody else does anything in that guest: 500 rounds were seen to differ by 68.
_LOST_KB = 512


def _take_over(subject: Subject) -> None:
    """There and back, with the balloon at half all the time."""
    guest = subject.guest
    half = subject.bytes // 2
    guest.insmod(MODULE)
    expect_equal(balloon_driver(guest), "aerator", "driver after insmod")
    subject.wait_actual(half)
    expect_equal(int(guest.read(f"{balloon_device(guest)}/aerator/inflated_bytes")), half,
                 "inflated_bytes")
    guest.run("rmmod aerator")
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
    subject.wait_actual(half)


def _again_and_again(kernel: str, rounds_: int, takeovers: int) -> Iterator[str]:
    size = 512 * MIB
    with make_guest(kernel, "dropin-rounds", mem=size // MIB, smp=1,
                    time_limit=1800) as guest:
        bind(guest, "virtio_balloon")
        subject = Subject(guest, "aerator", size)
        # Once before the count: what a first time allocates for good.
        subject.reach(size // 2)
        _take_over(subject)
        subject.reach(size)
        free = settled_free(guest)
        yield _takeovers(subject, takeovers)
        guest.insmod(MODULE)
        yield _rounds(subject, rounds_)
        guest.run("rmmod aerator")
        yield _check_all_there(subject, free)


def _takeovers(subject: Subject, times: int) -> str:
    subject.reach(subject.bytes // 2)
    start = time.monotonic()
    for _ in range(times):
        _take_over(subject)
    took = time.monotonic() - start
    subject.reach(subject.bytes)
    return f"{times} takeovers at half in {took:.0f} s"


def _rounds(subject: Subject, times: int) -> str:
    start = time.monotonic()
    for _ in range(times):
        subject.reach(subject.bytes // 2)
        subject.reach(subject.bytes)
    return f"{times} times down to half and up in {time.monotonic() - start:.0f} s"


def _check_all_there(subject: Subject, free: int) -> str:
    expect_equal(subject.actual(), subject.bytes, "actual")
    expect_equal(subject.missing(), "0 MiB", "MemTotal less")
    lost = free - settled_free(subject.guest)
    expect(abs(lost) < _LOST_KB, f"{lost} kB of MemFree are gone")
    return f"free memory differs by {-lost} kB, MemTotal by none"


def rounds(kernel: str) -> Iterator[str]:
    """Balloon and takeovers again and again: no memory is lost."""
    yield from _again_and_again(kernel, 15, 4)


def many_rounds(kernel: str) -> Iterator[str]:
    """The same as rounds, hundreds of times."""
    yield from _again_and_again(kernel, 500, 100)


CASES = [*on_kernels(drop_in, (_OFTEN,), cores=2), *on_kernels(transports, (_OFTEN,)),
         *on_kernels(rounds, (_OFTEN,), rarely=(TREATED,)),
         *on_kernels(drop_in_whole, BUILD_KERNELS, long=True, cores=2),
         *on_kernels(all_transports, BUILD_KERNELS, long=True),
         *on_kernels(many_rounds, BUILD_KERNELS, long=True)]
