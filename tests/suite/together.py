# SPDX-License-Identifier: GPL-2.0
"""All functions of a balloon at the same time, while programs check their memory.

The host changes the balloon's target, asks for statistics, and migrates the guest. In the
guest, programs churn memory, compaction migrates pages of the balloon, and now and then a
program wants more memory than is free, so that the balloon is deflated on OOM. Meanwhile
two programs check every word of their memory.
"""

from __future__ import annotations

import contextlib
import functools
import random
import time
from collections.abc import Iterator

from aerator_vm import CommandFailed, Guest, Job
from aerator_vm.driver import bind

from .dropin_subject import Subject
from .harness import (KASAN, MIB, Case, balloon_device, counters, expect, expect_equal,
                      make_guest, meminfo)
from .migration import MIB_OF_ODD_GUEST, host_offer, move

_MIB = 1536 + MIB_OF_ODD_GUEST
_PATTERN_MIB = 96
_CHURN_MIB = 40
# Range of random targets: from the least that the programs need to an empty balloon.
_LEAST_MIB, _MOST_MIB = 960, 1536
_SHORT_MIB = 300
_STEPS = 12
_STEP_SECONDS = 2
_OOM_STEP = 8
_MOVE_STEP = 4

# Keep the OOM killer from killing these programs. The balloon is deflated first, but it may
# be too late for the last page.
_PROTECTED = "echo -1000 >/proc/self/oom_score_adj; exec memtool"
_ALLOWED = (r"Out of memory: Killed process \d+ \(memtool\)", r"Call Trace:",
            r"memtool: page allocation failure: order:0")

_EVENTS = ("balloon_inflate", "balloon_deflate", "balloon_migrate")


def _vmstat(guest: Guest) -> dict[str, int]:
    """The counters of inflated, deflated and migrated pages."""
    lines = guest.run("grep ^balloon_ /proc/vmstat").splitlines()
    return {name: int(value) for name, value in map(str.split, lines)}


# Compaction scans all pages: with a shorter pause the other programs would get no time.
_COMPACT = "while :; do echo 1 >/proc/sys/vm/compact_memory; sleep 4; done"


def _start_jobs(guest: Guest, driver: str) -> list[Job]:
    """Start the two checking programs, and then the others."""
    commands = [f"{_PROTECTED} {words}" for words in (
        f"pattern {_PATTERN_MIB} 600", f"--small pattern {_PATTERN_MIB} 600",
        f"churn {_CHURN_MIB} 50 1000", f"--small churn {_CHURN_MIB} 70 1000")]
    commands.append(_COMPACT)
    if driver == "aerator":
        folder = f"{balloon_device(guest)}/aerator"
        commands.append(f"while :; do echo 1 >{folder}/flush; sleep 0.3; done")
    return [guest.start_job(command) for command in commands]


def _run_short(subject: Subject) -> None:
    """A program wants more memory than is free: the balloon is deflated. Then the host raises
    the target, so that the driver does not inflate against the program."""
    subject.reach(_LEAST_MIB * MIB)
    available = meminfo(subject.guest, "MemAvailable") // 1024
    job = subject.guest.start_job(f"memtool hold {available + _SHORT_MIB}")
    subject.wait("the balloon gives way", lambda: subject.actual() > (_LEAST_MIB + 4) * MIB)
    subject.aim(subject.bytes)
    with contextlib.suppress(CommandFailed):  # it may have been killed
        job.signal("KILL")
    job.wait(check=False)


def _step(subject: Subject, number: int, chance: random.Random) -> None:
    """Set one random target, and check the other functions meanwhile."""
    subject.aim(chance.randrange(_LEAST_MIB, _MOST_MIB) * MIB)
    if number == _OOM_STEP:
        _run_short(subject)
    if number == _MOVE_STEP:
        move(subject.guest)
        subject.poll_statistics(1)
    time.sleep(_STEP_SECONDS)


def _stop(jobs: list[Job]) -> Iterator[str]:
    """Stop the jobs; the checking programs return their results."""
    huge, small, *others = jobs
    for job in others:
        job.signal("KILL")
        job.wait(check=False)
    for job in (huge, small):
        job.tell()
        yield job.wait(120).strip()


def _check_end(subject: Subject, before: dict[str, int]) -> str:
    """No memory is missing, and pages were inflated, deflated and migrated."""
    told = subject.statistics()["last-update"]
    subject.wait("statistics", lambda: subject.statistics()["last-update"] > told)
    subject.reach(subject.bytes)
    expect_equal(subject.missing(), "0 MiB", "MemTotal that is missing")
    after = _vmstat(subject.guest)
    moved = {name: after[name] - before[name] for name in _EVENTS}
    expect(all(moved.values()), f"pages that went in, out and elsewhere: {moved}")
    expect_equal(after["balloon_inflate"], after["balloon_deflate"], "pages that came out")
    return ", ".join(f"{name} {count}" for name, count in moved.items())


def _check_counters(subject: Subject) -> str:
    counted = counters(subject.guest, f"{balloon_device(subject.guest)}/aerator")
    expect_equal(counted["errors"] + counted["settle_timeouts"], 0, "errors")
    expect(counted["reported_bytes"] > 256 * MIB, f"reported: {counted['reported_bytes']}")
    return f"{counted['reported_bytes'] // MIB} MiB reported in {counted['cycles']} batches"


def _together(driver: str, intake: str, kernel: str) -> Iterator[str]:
    seed = random.randrange(1 << 32)
    offer = host_offer(True, **{"deflate-on-oom": True})
    with make_guest(kernel, f"together-{intake}-{driver}", mem=_MIB, allow=_ALLOWED,
                    time_limit=400, **offer) as guest:
        bind(guest, driver, {"window_ms": 100, "intake": intake})
        subject = Subject(guest, driver, int(_MIB * MIB))
        before, chance = _vmstat(guest), random.Random(seed)
        jobs = _start_jobs(guest, driver)
        subject.poll_statistics(1)
        for number in range(_STEPS):
            _step(subject, number, chance)
        yield from _stop(jobs)
        yield f"seed {seed}: {_check_end(subject, before)}"
        if driver == "aerator":
            yield _check_counters(subject)


def _case(kernel: str, driver: str, intake: str, long: bool) -> Case:
    return Case(f"together {kernel} {driver} {intake}",
                functools.partial(_together, driver, intake, kernel), kernel, long)


CASES = [_case(KASAN, "aerator", "reporting", False), _case(KASAN, "aerator", "treated", False),
         _case(KASAN, "virtio_balloon", "reporting", True)]
