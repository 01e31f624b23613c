# SPDX-License-Identifier: GPL-2.0
"""The same actions of a host on both drivers: aerator's answers are the same, and as fast.

The printed rows are a table in Markdown, which Documentation/dropin.md has.
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
                      beside, expect, expect_equal, make_guest, mmio_balloon, on_kernels,
                      settled_free)

_OFTEN = "6.12"

_DRIVERS = ("virtio_balloon", "aerator")
_GUEST_MIB = 1024

# A program that wants more memory than is available is killed, which is logged.
_ALLOWED = (r"Out of memory: Killed process \d+ \(memtool\)", r"Call Trace:$")

_SCRIPT: tuple[Action, ...] = (
    targets, too_little, statistics, stopped, compacted, memory_short, unbound, rebooted,
    unplugged, reported, deflated, memory_short_deflating)
# Frequent actions of a host. "unplugged" precedes the actions that need deflate-on-oom.
_OFTEN_DONE: tuple[Action, ...] = (targets, statistics, unbound, unplugged, reported, deflated,
                                   memory_short_deflating)
_SLEEPS = (SUSPEND_TO_IDLE, HIBERNATE, SUSPEND_TO_RAM)

# Page reporting of 5.10 runs on a workqueue that does not freeze, even after virtio_balloon
# has deleted the virtqueue for the suspend: seen to oops in suspend to idle.
_CRASHING = ("5.10", "virtio_balloon")
_CRASH = "not tried: may crash its guest"

# Differences of aerator that are intended.
_DIFFERENCES = tuple(
    Difference(sleep.name, _CRASH, ".*", "virtio_balloon of 5.10 lets reporting go on")
    for sleep in _SLEEPS)


def _devices(disk: Path) -> tuple[str, ...]:
    """QEMU's arguments: a balloon that can be unplugged, and a disk for hibernation."""
    return ("-device", "pcie-root-port,id=rootport,chassis=1",
            "-device", "virtio-balloon-pci,id=balloon,bus=rootport,free-page-reporting=on",
            "-drive", f"if=none,id=swap,format=raw,file={disk}",
            "-device", "virtio-blk-pci,drive=swap")


# After a resume of 7.3 the agent's console is silent, with virtio_balloon, too; for suspend to
# RAM see suspend.py.
_UNHEARD = {"7.3": (SUSPEND_TO_IDLE, HIBERNATE)}


def _nights(kernel: str) -> tuple[Sleep, ...]:
    """The kinds of suspend after which the guest of this kernel can go on."""
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
                        time_limit=600, s3=True) as guest:
            bind(guest, driver)
            yield Subject(guest, driver, _GUEST_MIB * MIB)


def _run_often_done(kernel: str, driver: str) -> list[Row]:
    with _subject(kernel, driver) as subject:
        return [*_rows(subject, _OFTEN_DONE), *all_is_back(subject)]


def _run_script(kernel: str, driver: str) -> list[Row]:
    with _subject(kernel, driver) as subject:
        rows = list(_life(kernel, subject))
        # After suspend to RAM the guest cannot power off.
        subject.guest.finish(power_off=SUSPEND_TO_RAM not in _nights(kernel))
    for sleep in _UNHEARD.get(kernel, ()):
        with _subject(kernel, driver) as subject:
            rows += unheard(subject, sleep)
            subject.guest.finish_unheard()
    return rows


def _compared(theirs: Sequence[Row], ours: Sequence[Row]) -> Iterator[str]:
    """Yield the table, then check it: in case of a failure the whole table is printed."""
    pairs = pair_up(theirs, ours, _DIFFERENCES)
    yield from TABLE_HEAD
    for pair in pairs:
        yield pair.table_row()
    found = faults(pairs)
    expect(not found, "\n".join(found))


def drop_in(kernel: str) -> Iterator[str]:
    """Frequent actions of a host get the same answers from both drivers, as fast."""
    yield from _compared(*beside(functools.partial(_run_often_done, kernel, driver)
                                 for driver in _DRIVERS))


def drop_in_whole(kernel: str) -> Iterator[str]:
    """All actions of a host, suspend included, get the same answers from both drivers, as
    fast."""
    yield from _compared(*beside(functools.partial(_run_script, kernel, driver)
                                 for driver in _DRIVERS))


def _balloon(*options: str) -> tuple[str, ...]:
    return ("-device", ",".join(("virtio-balloon-pci,id=balloon,free-page-reporting=on",
                                 *options)))


def _mmio(legacy: str) -> tuple[str, ...]:
    """Arguments for a balloon on virtio-mmio. The agent stays on PCI, as its driver has to
    work before a test can load other drivers.

    This machine type calibrates its clocks with the PIT only. An emulated guest that is
    delayed during the calibration has no clock, and hangs. With icount it is never delayed.
    """
    return ("-machine", "type=microvm,acpi=on,pcie=on", "-icount", "shift=0",
            *mmio_balloon(legacy))


# The transports with which a host may attach a balloon. QEMU does not offer must-tell-host.
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
    """Run both drivers in one guest, one after the other."""
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
    """The row without its time as a criterion, as other guests run at the same time."""
    shown = row.shown if row.seconds is None else f"after {row.seconds:.2f} s"
    return dataclasses.replace(row, action=f"{transport}: {row.action}", seconds=None,
                               shown=shown)


def _compare_on(kernel: str, names: Iterable[str]) -> Iterator[str]:
    done = [_on_transport(kernel, name) for name in names]
    yield from _compared(*([row for rows in one for row in rows] for one in zip(*done)))


def transports(kernel: str) -> Iterator[str]:
    """Both drivers answer alike on the transports that differ most: packed and split ring,
    legacy and modern registers."""
    yield from _compare_on(kernel, ("PCI, legacy", "packed ring", "MMIO, modern"))


def all_transports(kernel: str) -> Iterator[str]:
    """Both drivers answer alike on each transport of a balloon."""
    yield from _compare_on(kernel, _TRANSPORTS)


# No other program runs in that guest: after 500 rounds a difference of 68 kB was seen.
_LOST_KB = 512


def _take_over(subject: Subject) -> None:
    """Load aerator and unload it again, with the balloon at half all the time."""
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
        # Once before the count: the first time allocates memory that is never freed.
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
    """No memory is lost in repeated inflations and takeovers."""
    yield from _again_and_again(kernel, 15, 4)


def many_rounds(kernel: str) -> Iterator[str]:
    """No memory is lost in hundreds of inflations and takeovers."""
    yield from _again_and_again(kernel, 500, 100)


CASES = [*on_kernels(drop_in, (_OFTEN,), long=True, cores=2),
         *on_kernels(transports, (_OFTEN,), long=True),
         *on_kernels(rounds, (_OFTEN, TREATED), long=True),
         *on_kernels(drop_in_whole, BUILD_KERNELS, long=True, cores=2),
         *on_kernels(all_transports, BUILD_KERNELS, long=True),
         *on_kernels(many_rounds, BUILD_KERNELS, long=True)]
