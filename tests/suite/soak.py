# SPDX-License-Identifier: GPL-2.0
"""A soak: everything that a guest and its host do with a balloon, in random order, for hours.

Two programs check each word of their memory all the time, others churn. One random action
follows another, from a seed that is printed: AERATOR_SOAK_SEED repeats it. SOAK_SECONDS is the
duration. The guest's log has the actions in their order.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from aerator_vm import Guest, Job, QmpError
from aerator_vm.common import say

from .dropin_subject import Subject
from .harness import (KASAN, MIB, MODULE, PARAMETERS, Case, balloon_driver, counters, expect,
                      expect_equal, is_debug, is_treated, load_aerator, make_guest, meminfo,
                      settled_free, wait_until)
from .lifecycle import QUARANTINE, SLACK_KB
from .migration import host_offer

_SECONDS = int(os.environ.get("SOAK_SECONDS", "7200"))
# For the boot, and the end.
_MORE_SECONDS = 1200
# For one action of a debug kernel on a busy machine.
_ACTION_SECONDS = 240

_MEM = 1536
_DIMM_MIB = 256
# The least target: below it a program may be killed.
_LEAST_MIB = 960
_PATTERN_MIB = 64
_CHURN_MIB = 40
_USED_MIB = 150

# QEMU may leave the balloon's interrupt line up at the end of hints (harness.LineStuck).
_MOST_HINTS = 4
_SLOW = 4_000_000
_NOWHERE = "exec:cat >/dev/null"
_OVER = ("none", "cancelled", "completed", "failed")

_VIRTIO = "/sys/bus/virtio/drivers"
_CPU = "/sys/devices/system/cpu/cpu1/online"
_BLOCKS = "grep -l online /sys/devices/system/memory/memory*/state | wc -l"
_RESET = "resetting the device"

# Values of parameters. With a short settle_timeout_ms, a busy machine would be a silent host.
_VALUES: dict[str, Sequence[object]] = {
    "enabled": (0, 1), "order": (6, 8, 9, 10), "reactor_size": (16, 32, 64),
    "reactors": (1, 2, 4), "window_ms": ("auto", 0, 100, 2000), "reserve_mb": (0, 100),
    "rate_mb": (0, 200), "share_pct": (100, 50), "refault_ms": (500, 2000, 5000),
    "settle_timeout_ms": (30000, 60000), "takeover": (0, 1)}
_INTAKES = ("auto", "reporting", "treated")


@dataclass
class _Soak:
    """The guest, and what was done with it."""

    guest: Guest
    kernel: str
    chance: random.Random
    subject: Subject = field(init=False)
    hints: int = 0

    def __post_init__(self) -> None:
        self.subject = Subject(self.guest, "aerator", _MEM * MIB)

    @property
    def folder(self) -> str:
        return f"/sys/bus/virtio/devices/{self.subject.device()}/aerator"

    def run(self, command: str) -> str:
        return self.guest.run(command, timeout=_ACTION_SECONDS)

    def has_dimm(self) -> bool:
        return bool(self.guest.qmp.execute("query-memory-devices"))

    def reach(self, mib: int, wait: bool = True) -> None:
        """Set a target for the memory without the memory device."""
        more = _DIMM_MIB * self.has_dimm()
        self.subject.bytes = (_MEM + more) * MIB
        wanted = self.subject.aim((mib + more) * MIB)
        if wait:
            self.subject.wait("the target", lambda: self.subject.actual() == wanted,
                              _ACTION_SECONDS)


# Actions of the host

def _target(soak: _Soak) -> None:
    """Set a target; wait for it, or go on meanwhile."""
    soak.reach(soak.chance.randrange(_LEAST_MIB, _MEM + 1), soak.chance.random() < 0.5)


def _statistics(soak: _Soak) -> None:
    soak.subject.poll_statistics(1)
    told = soak.subject.statistics()["last-update"]
    soak.subject.wait("statistics", lambda: soak.subject.statistics()["last-update"] > told,
                      _ACTION_SECONDS)
    soak.subject.poll_statistics(0)


def _hint(soak: _Soak) -> None:
    """A migration asks for hints, and is cancelled."""
    if soak.hints == _MOST_HINTS:
        return
    soak.hints += 1
    qmp = soak.guest.qmp
    qmp.execute("migrate-set-parameters", **{"max-bandwidth": _SLOW})
    qmp.execute("migrate", uri=_NOWHERE)
    time.sleep(4 * soak.chance.random())
    qmp.execute("migrate_cancel", 60)
    wait_until("the end of the migration", _ACTION_SECONDS,
               lambda: qmp.execute("query-migrate", 60).get("status", "none") in _OVER)


def _stop(soak: _Soak) -> None:
    """The host stops the guest for a moment."""
    soak.guest.qmp.execute("stop")
    time.sleep(soak.chance.random())
    soak.guest.qmp.execute("cont")


def _memory(soak: _Soak) -> None:
    """Plug memory in if there is none, or unplug it."""
    if soak.has_dimm():
        _unplug(soak, 20)
        return
    blocks = soak.run(_BLOCKS)
    soak.guest.qmp.execute("device_add", driver="pc-dimm", id="dimm0", memdev="dimm")
    wait_until("more memory", _ACTION_SECONDS, lambda: soak.run(_BLOCKS) != blocks)


def _unplug(soak: _Soak, seconds: float) -> None:
    """Unplug memory, if the guest lets go of it in time."""
    soak.reach(_MEM)
    # It may be on its way already.
    with contextlib.suppress(QmpError):
        soak.guest.qmp.execute("device_del", id="dimm0")
    end = time.monotonic() + seconds
    while soak.has_dimm() and time.monotonic() < end:
        time.sleep(0.2)


# Actions of the guest

def _processor(soak: _Soak) -> None:
    """A processor goes offline, and online again."""
    soak.run(f"echo 0 >{_CPU} && sleep {soak.chance.random():.2f}; echo 1 >{_CPU}")


def _setting(soak: _Soak) -> None:
    values = {**_VALUES, **({"intake": _INTAKES} if is_treated(soak.kernel) else {})}
    name = soak.chance.choice(list(values))
    soak.run(f"echo {soak.chance.choice(values[name])} >{PARAMETERS}/{name}")


def _flush(soak: _Soak) -> None:
    """A flush succeeds, or is refused while reporting is paused; a slow one may time out."""
    soak.run(f"echo 1 >{soak.folder}/flush 2>/tmp/flush || grep -q 'timed out' /tmp/flush ||"
             f" [ $(cat {PARAMETERS}/enabled) = 0 ]")


def _read(soak: _Soak) -> None:
    soak.run(f"cd {soak.folder} && for file in *; do [ $file = flush ] || cat $file; done")


def _use(soak: _Soak) -> None:
    soak.run(f"echo | memtool hold {_USED_MIB}")


def _compact(soak: _Soak) -> None:
    soak.run("echo 3 >/proc/sys/vm/drop_caches; echo 1 >/proc/sys/vm/compact_memory")


def _reload(soak: _Soak) -> None:
    soak.run(f"rmmod aerator && sleep {soak.chance.random():.2f}; insmod {MODULE}")


def _rebind(soak: _Soak) -> None:
    """Unbind the device, and bind it again; it may be virtio_balloon's meanwhile."""
    name, other = soak.subject.device(), f"{_VIRTIO}/virtio_balloon"
    between = f"echo {name} >{other}/bind && sleep 0.3; echo {name} >{other}/unbind;"
    soak.run(f"cd {_VIRTIO}/aerator && echo 0 >{PARAMETERS}/takeover; echo {name} >unbind;"
             f" {between if soak.chance.random() < 0.5 else ''} echo {name} >bind")


# With the number of times among all actions.
_ACTIONS: dict[Callable[[_Soak], None], int] = {
    _target: 4, _statistics: 1, _hint: 1, _stop: 1, _memory: 3, _processor: 3, _setting: 4,
    _flush: 2, _read: 1, _use: 3, _compact: 1, _reload: 2, _rebind: 2}


def _start(guest: Guest) -> tuple[list[Job], list[Job]]:
    """Start the programs that check their memory, and those that churn."""
    small = ("", "--small ")
    return ([guest.start_job(f"memtool {how}pattern {_PATTERN_MIB} 1000000") for how in small],
            [guest.start_job(f"memtool {how}churn {_CHURN_MIB} 100 1000000") for how in small])


def _act(soak: _Soak, patterns: Sequence[Job]) -> str:
    """A random action; the memory of the programs is as it should be."""
    action = soak.chance.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]
    name = action.__name__.strip("_")
    soak.run(f"echo soak: {name} >/dev/kmsg")
    action(soak)
    for job in patterns:
        expect(not job.ended(), f"after {name}: {job.output()}")
    expect_equal(balloon_driver(soak.guest), "aerator", f"driver after {name}")
    return name


def _end(soak: _Soak, patterns: Sequence[Job], churns: Sequence[Job]) -> Iterator[str]:
    """All words are as they were written, memory can be unplugged, a flush succeeds."""
    for job in churns:
        job.signal("KILL")
        job.wait(check=False)
    for job in patterns:
        job.tell()
        yield job.wait(_ACTION_SECONDS).strip()
    _reload(soak)
    if soak.has_dimm():
        _unplug(soak, _ACTION_SECONDS)
    expect(not soak.has_dimm(), "memory cannot be unplugged in the end")
    soak.reach(_MEM)
    _use(soak)
    soak.run(f"echo 1 >{soak.folder}/flush")
    counted = counters(soak.guest, soak.folder)
    expect_equal(counted["errors"] + counted["settle_timeouts"], 0, "errors")
    expect(counted["reported_bytes"] > _USED_MIB * MIB // 2, f"reported in the end: {counted}")
    soak.run("rmmod aerator")
    expect(_RESET not in soak.guest.serial_log.read_text(errors="replace"),
           "a device that answers was reset")


def _soak(kernel: str) -> Iterator[str]:
    seed = int(os.environ.get("AERATOR_SOAK_SEED", random.randrange(1 << 32)))
    say(f"soak: seed {seed}")
    yield f"seed {seed}"
    args = ("-object", f"memory-backend-ram,id=dimm,size={_DIMM_MIB}M,reserve=off")
    offer = host_offer(True, **{"deflate-on-oom": True})
    with make_guest(kernel, "soak", mem=_MEM, more_memory=",slots=2,maxmem=4G",
                    append="memhp_default_state=online_movable",
                    time_limit=_SECONDS + _MORE_SECONDS,
                    **{**offer, "qemu_args": (*offer["qemu_args"], *args)}) as guest:
        soak = _Soak(guest, kernel, random.Random(seed))
        load_aerator(guest)
        guest.run("rmmod aerator")
        total, free = meminfo(guest, "MemTotal"), settled_free(guest)
        guest.insmod(MODULE)
        patterns, churns = _start(guest)
        done: Counter[str] = Counter()
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            done[_act(soak, patterns)] += 1
        yield ", ".join(f"{name} {count}" for name, count in done.items())
        yield from _end(soak, patterns, churns)
        expect_equal(meminfo(guest, "MemTotal"), total, "MemTotal")
        lost = free - settled_free(guest)
        slack = SLACK_KB + (total // QUARANTINE if is_debug(kernel) else 0)
        expect(lost < slack, f"{lost} kB of MemFree are lost")
        yield f"free memory differs by {-lost} kB, MemTotal by none"


def _case(kernel: str) -> Case:
    return Case(f"soak {kernel}", functools.partial(_soak, kernel), kernel, long=True)


CASES = [_case(kernel) for kernel in ("6.12", KASAN)]
