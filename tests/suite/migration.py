# SPDX-License-Identifier: GPL-2.0
"""Live migration of a guest that works meanwhile.

The destination QEMU is on the same machine, behind a unix socket. Free memory need not be
sent in full: QEMU skips pages that the guest gives as free page hints, and a page that was
reported is sent as a page of zeroes, which takes eight bytes.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aerator_vm import Guest, Job, Sample, Sampler
from aerator_vm.balloon import park_little
from aerator_vm.driver import bind
from aerator_vm.qemu import Qemu
from aerator_vm.release import DRIVERS, host_memory

from .dropin_actions import HALF
from .dropin_subject import PAGE, Subject
from .harness import (GUEST_KERNELS, MIB, PARAMETERS, TREATED_KERNELS, Case,
                      balloon_device, counters, expect, expect_equal, make_guest, meminfo,
                      on_kernels, wait_until)

# QEMU before 9.0 can lose writes of an emulated guest in a migration ("physmem: Fix
# migration dirty bitmap coherency with TCG memory access"), as far as is known if the
# guest's memory is a multiple of 256 KiB: one of nine such guests, with virtio_balloon,
# died at the destination, and none of those that have 8 KiB more.
MIB_OF_ODD_GUEST = 1 / 128
_MIB = 1024 + MIB_OF_ODD_GUEST
_PATTERN_MIB = 128
_CHURN_MIB = 40
# Memory that is freed while reporting is paused, so that the host still has it.
_RAW_MIB = 200
_FREE_SLACK_KB = 16 * 1024

# Bandwidths in bytes per second: the socket's maximum, gigabit Ethernet, and slow enough to be
# cancelled.
FAST = 4 << 30
GIGABIT = 125_000_000
_SLOW = 10_000_000
# An emulated guest dirties memory so fast that the default downtime is too short.
_DOWNTIME_MS = 2000
_MOVE_SECONDS = 120
# While QEMU scans all pages of an emulated guest it does not answer on QMP.
_SYNC_SECONDS = 60
_OVER = ("completed", "failed", "cancelled")


def host_offer(hints: bool, **more: object) -> dict[str, Any]:
    """Arguments for a guest. QEMU needs an iothread for free page hints."""
    balloon: dict[str, object] = {"free-page-reporting": True, **more}
    if not hints:
        return {"balloon": balloon}
    return {"balloon": {**balloon, "free-page-hint": True, "iothread": "hints"},
            "qemu_args": ("-object", "iothread,id=hints")}


@dataclass(frozen=True)
class Move:
    """Figures of a migration."""

    sent_bytes: int
    full_pages: int
    zero_pages: int
    sending_ms: int  # without the scan of all pages before, see _SYNC_SECONDS
    downtime_ms: int
    grown_bytes: int  # growth of the source's host memory during the migration

    @classmethod
    def of(cls, told: Mapping[str, Any], samples: Sequence[Sample]) -> Move:
        ram = told["ram"]
        held = [host_memory(sample) for sample in samples]
        return cls(ram["transferred"], ram["normal"], ram["duplicate"],
                   told["total-time"] - told["setup-time"], told["downtime"],
                   max(held) - held[0])

    def __str__(self) -> str:
        return (f"{self.sent_bytes / MIB:.0f} MiB sent, {self.full_pages * PAGE / MIB:.0f} MiB"
                f" of pages in full, {self.zero_pages * PAGE / MIB:.0f} of zeroes,"
                f" {self.sending_ms / 1000:.1f} s, down for {self.downtime_ms} ms,"
                f" source grew by {self.grown_bytes / MIB:.0f} MiB")

    def row(self) -> str:
        """The figures as cells of a table's row."""
        return " | ".join((
            f"{self.sent_bytes / MIB:.0f} MiB", f"{self.full_pages * PAGE / MIB:.0f} MiB",
            f"{self.zero_pages * PAGE / MIB:.0f} MiB", f"{self.sending_ms / 1000:.1f} s",
            f"{self.downtime_ms} ms", f"{self.grown_bytes / MIB:.0f} MiB"))


def _start(guest: Guest, there: Qemu, bandwidth: int) -> None:
    guest.qmp.execute("migrate-set-parameters",
                      **{"max-bandwidth": bandwidth, "downtime-limit": _DOWNTIME_MS})
    guest.qmp.execute("migrate", uri=there.migration_uri)


def _await_end(guest: Guest, wanted: str) -> dict[str, Any]:
    """The source's figures of a migration, once it has ended with the wanted status."""
    end = time.monotonic() + _MOVE_SECONDS
    while (told := guest.qmp.execute("query-migrate", _SYNC_SECONDS))["status"] not in _OVER:
        expect(time.monotonic() < end, f"no end of the migration: {told}")
        time.sleep(0.05)
    expect_equal(told["status"], wanted, "end of the migration")
    return told


def _await_running(there: Qemu) -> None:
    end = time.monotonic() + _MOVE_SECONDS
    while (status := there.qmp.execute("query-status")["status"]) != "running":
        expect(time.monotonic() < end, f"the migrated guest is {status}")
        time.sleep(0.02)


def move(guest: Guest, bandwidth: int = FAST) -> Move:
    """Migrate the guest to another QEMU; return the figures."""
    with guest.receiver() as there:
        with Sampler(guest.host) as sampler:
            _start(guest, there, bandwidth)
            told = _await_end(guest, "completed")
        _await_running(there)
        guest.follow(there)
    return Move.of(told, sampler.samples)


def _cancelled(subject: Subject, hints: bool) -> str:
    """After a cancelled migration the pages that the guest gave as hints, more than fit on
    the queue, are free again."""
    guest = subject.guest
    guest.run(f"echo | memtool hold {_RAW_MIB}")
    before = meminfo(guest, "MemFree")
    with guest.receiver() as there:
        _start(guest, there, _SLOW)
        if hints:
            subject.wait("free memory is given as hints", lambda: meminfo(
                guest, "MemFree") < before - _RAW_MIB * 1024 * 3 // 4)
        guest.qmp.execute("migrate_cancel", _SYNC_SECONDS)
        _await_end(guest, "cancelled")
    subject.wait("what was given as hints is free again", lambda: meminfo(
        guest, "MemFree") > before - _FREE_SLACK_KB)
    return f"cancelled: {before // 1024} MiB free, {meminfo(guest, 'MemFree') // 1024} then"


# Checks before and after the migration

def _check_statistics(subject: Subject) -> None:
    """Statistics arrive repeatedly."""
    subject.poll_statistics(1)
    start = subject.statistics()["last-update"]
    for more in (0, 1):
        subject.wait("statistics", lambda: subject.statistics()["last-update"] > start + more)
    told = subject.statistics()["stats"]
    expect_equal(told["stat-total-memory"], meminfo(subject.guest, "MemTotal") * 1024,
                 "total memory, as the host was told")


@contextlib.contextmanager
def _paused(jobs: Sequence[Job]) -> Iterator[None]:
    """Stop jobs for a while: their allocations and frees would disturb a check."""
    for job in jobs:
        job.signal("STOP")
    yield
    for job in jobs:
        job.signal("CONT")


def _check_reporting(subject: Subject) -> float:
    """Memory that the guest frees returns to the host; returns the seconds."""
    job = subject.guest.start_job("memtool hold 120")
    job.wait_for("touched")
    held = subject.held()
    job.tell()
    took = subject.wait("freed memory is the host's", lambda: subject.held() < held - 90)
    job.tell()
    job.wait()
    return took


def _check_all(subject: Subject, jobs: Sequence[Job]) -> str:
    """Check the balloon (half of memory), statistics, and reporting."""
    expect_equal(subject.actual(), HALF, "actual")
    missing = subject.missing()
    _check_statistics(subject)
    with _paused(jobs):
        took = _check_reporting(subject)
    return f"actual {HALF // MIB} MiB, MemTotal less {missing}, memory back after {took:.1f} s"


def _check_end(subject: Subject, jobs: Sequence[Job]) -> Iterator[str]:
    """The migration has lost no page, and no word of the checked memory."""
    churn, *patterns = jobs
    churn.signal("KILL")
    churn.wait(check=False)
    for job in patterns:
        job.tell()
        yield job.wait(60).strip()
    subject.reach(subject.bytes)
    expect_equal(subject.missing(), "0 MiB", "MemTotal that is missing")
    if subject.driver == "aerator":
        counted = counters(subject.guest, f"{balloon_device(subject.guest)}/aerator")
        expect_equal(counted["errors"] + counted["settle_timeouts"], 0, "errors")


def _migrate(driver: str, hints: bool, kernel: str) -> Iterator[str]:
    name = f"migration-{driver}-{'hints' if hints else 'plain'}"
    with make_guest(kernel, name, mem=_MIB, smp=1, **host_offer(hints)) as guest:
        # window_ms=0: otherwise the policy would not report the memory of a churn.
        bind(guest, driver, {"window_ms": 0, "enabled": 0})
        park_little(guest)
        subject = Subject(guest, driver, int(_MIB * MIB))
        subject.reach(HALF)
        yield _cancelled(subject, hints)
        if driver == "aerator":
            guest.run(f"echo 1 >{PARAMETERS}/enabled")
        jobs = [guest.start_job(f"memtool {words}") for words in (
            f"churn {_CHURN_MIB} 50 1000", f"pattern {_PATTERN_MIB} 600")]
        yield f"before: {_check_all(subject, jobs)}"
        yield f"moved: {move(guest, GIGABIT)}"
        yield f"after: {_check_all(subject, jobs)}"
        yield from _check_end(subject, jobs)


# The cost of a migration after memory was freed

_TABLE_MIB = 2048 + MIB_OF_ODD_GUEST
_TOUCHED_MIB = 1200
# Seconds between the free and the migration: none, so that reporting goes on during the
# migration; and enough for most memory to be reported.
_PAUSES = (0, 5)
_OFFERS = ((False, False), (True, False), (False, True), (True, True))
_FREED_SLACK_KB = 32 * 1024
# Difference of two equal migrations.
_SENT_SLACK = 48 * MIB


def _move_freed(kernel: str, driver: str, offer: tuple[bool, bool], pause: int) -> Move:
    """Migrate an idle guest that has freed most of its memory."""
    reporting, hints = offer
    name = f"migration-table-{driver}-{reporting:d}{hints:d}-{pause}"
    with make_guest(kernel, name, mem=_TABLE_MIB, smp=1,
                    **host_offer(hints, **{"free-page-reporting": reporting})) as guest:
        bind(guest, driver)
        job = guest.start_job(f"memtool hold {_TOUCHED_MIB}")
        job.wait_for("touched")
        job.tell()
        job.wait_for("freed")
        free = meminfo(guest, "MemFree")
        time.sleep(pause)
        took = move(guest, GIGABIT)
        end = time.monotonic() + 20
        while meminfo(guest, "MemFree") < free - _FREED_SLACK_KB:
            expect(time.monotonic() < end, f"{driver} keeps what it has given as hints")
            time.sleep(0.1)
    return took


def _offered(offer: tuple[bool, bool]) -> str:
    return " and ".join(what for what, on in zip(("reporting", "hints"), offer) if on) or "nothing"


def migration_cost(kernel: str) -> Iterator[str]:
    """A migration sends no more bytes with aerator than with virtio_balloon. Prints a table in
    Markdown, which Documentation/dropin.md has."""
    yield ("| host offers | driver | freed | sent | in full | zeroes | sending | down"
           " | source grew |")
    yield "|---|---|---|---|---|---|---|---|---|"
    for pause in _PAUSES:
        for offer in _OFFERS:
            moves = {driver: _move_freed(kernel, driver, offer, pause)
                     for driver in reversed(DRIVERS) if offer[0] or driver != "aerator"}
            for driver, took in moves.items():
                yield f"| {_offered(offer)} | {driver} | {pause} s before | {took.row()} |"
            if len(moves) > 1:
                ours, theirs = moves["aerator"].sent_bytes, moves["virtio_balloon"].sent_bytes
                expect(ours < theirs + _SENT_SLACK, f"aerator sent {ours}, not {theirs} bytes")


# Hints under reclaim, and postcopy

_SMALL = 512 + MIB_OF_ODD_GUEST
_HINTED_MIB = 200
_SPARED_MIB = 60


def hints_reclaimed(kernel: str) -> Iterator[str]:
    """Memory that was given to a migration as hints is free again when a program needs it,
    before any program is killed."""
    with make_guest(kernel, "hints-reclaimed", mem=_SMALL, smp=1, **host_offer(True)) as guest:
        bind(guest, "aerator", {"enabled": 0})
        park_little(guest)
        guest.run(f"echo | memtool hold {_HINTED_MIB + _SPARED_MIB}")
        free = meminfo(guest, "MemFree")
        with guest.receiver() as there:
            _start(guest, there, _SLOW)
            wait_until("free memory is given as hints", _MOVE_SECONDS, lambda: meminfo(
                guest, "MemFree") < free - _HINTED_MIB * 1024)
            left = meminfo(guest, "MemFree")
            guest.run(f"echo | memtool --small hold {free // 1024 - _SPARED_MIB}")
            guest.qmp.execute("migrate_cancel", _SYNC_SECONDS)
            _await_end(guest, "cancelled")
        expect(meminfo(guest, "MemFree") > free - _FREE_SLACK_KB, "hints that were not freed")
    yield (f"{left // 1024} of {free // 1024} MiB were free beside the hints, and"
           f" {free // 1024 - _SPARED_MIB} MiB allocated")


def _postcopy(guest: Guest, there: Qemu) -> None:
    """Migrate so that the guest runs at the destination before its memory is there."""
    wanted = [{"capability": "postcopy-ram", "state": True}]
    for qmp in (there.qmp, guest.qmp):
        qmp.execute("migrate-set-capabilities", capabilities=wanted)
    _start(guest, there, _SLOW)
    wait_until("the migration began", _MOVE_SECONDS, lambda: guest.qmp.execute(
        "query-migrate", _SYNC_SECONDS)["status"] == "active")
    guest.qmp.execute("migrate-start-postcopy", _SYNC_SECONDS)
    _await_running(there)
    guest.qmp.execute("migrate-set-parameters", _SYNC_SECONDS, **{"max-postcopy-bandwidth": FAST})


def postcopy(kernel: str) -> Iterator[str]:
    """A guest that runs at the destination before its memory arrived finds each word of it,
    while it reports and inflates; afterwards freed memory returns to the host."""
    with make_guest(kernel, "postcopy", mem=_SMALL, smp=1, **host_offer(False)) as guest:
        bind(guest, "aerator", {"window_ms": 0})
        subject = Subject(guest, "aerator", int(_SMALL * MIB))
        jobs = [guest.start_job(f"memtool {words}") for words in (
            f"churn {_CHURN_MIB} 50 1000", "pattern 96 1000", "--small pattern 32 1000")]
        jobs[1].wait_for("")
        time.sleep(3)
        with guest.receiver() as there:
            source = guest.qmp
            _postcopy(guest, there)
            guest.follow(there)
            subject.reach(int(_SMALL * MIB) - 64 * MIB)
            wait_until("all memory arrived", _MOVE_SECONDS, lambda: source.execute(
                "query-migrate", _SYNC_SECONDS)["status"] == "completed")
        with _paused(jobs):
            yield f"memory back after {_check_reporting(subject):.1f} s"
        yield from _check_end(subject, jobs)


def _case(driver: str, hints: bool, kernel: str, long: bool) -> Case:
    name = f"migration {kernel} {driver} {'hints' if hints else 'plain'}"
    return Case(name, functools.partial(_migrate, driver, hints, kernel), kernel, long)


CASES = [_case("aerator", hints, kernel, long=kernel != "6.12" or not hints)
         for kernel in (*GUEST_KERNELS, *TREATED_KERNELS) for hints in (True, False)]
CASES += [_case("virtio_balloon", hints, kernel, long=True)
          for kernel in GUEST_KERNELS for hints in (True, False)]
CASES += [*on_kernels(migration_cost, ("6.12",), long=True),
          *on_kernels(hints_reclaimed, ("6.12",)), *on_kernels(postcopy, ("6.12",), long=True)]
