# SPDX-License-Identifier: GPL-2.0
"""libvirt's commands have the same answers with either driver.

One script of commands runs once with virtio_balloon in the guest and once with
aerator. Its results are the rows of a table; a row has an answer, which must be the
same for both, and figures, which vary, and are only printed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aerator_vm.common import retried
from aerator_vm.libvirt import DOMAIN, LibvirtGuest, VirshFailed

from .fleet_program import Answer, ask
from .harness import (GUEST_KERNELS, MIB, MODULE, balloon_device, balloon_driver, counters,
                      expect, expect_equal, load_aerator, module_file, on_kernels)

_MEM = 1024
_DRIVERS = ("virtio_balloon", "aerator")
_WAIT_SECONDS = 60
_KIB = 1024

# Statistics, and their names in the guest. Their values change slightly between two reads.
_GAUGES = {"unused": "MemFree", "available": "MemTotal", "usable": "MemAvailable",
           "disk_caches": "Cached"}
_SLACK_KIB = 16 * _KIB
_LOOKS = 5
# Counters only grow: a value lies between two values that the guest reads before and after.
_COUNTS = {"minor_fault": "pgfault", "major_fault": "pgmajfault", "swap_in": "pswpin",
           "swap_out": "pswpout"}

# Memory that the guest touches and frees, and of which a part is soon reported.
_RELEASED = 300
# Memory of which every other page is freed. Such pages are not reported: only the balloon
# can return them to the host.
_FRAGMENTED = 700
_FRAGMENTS_TARGET = 640
_FRAGMENTS_BACK = 100


@dataclass(frozen=True)
class _Row:
    what: str
    answer: str
    figures: str = ""


class _User:
    """The user of virsh: runs commands, and returns rows."""

    def __init__(self, guest: LibvirtGuest) -> None:
        self.guest = guest
        self.virsh = guest.domain.virsh

    def asks(self, *words: str) -> _Row:
        """Run a command; the row has the output of virsh."""
        try:
            answer = self.virsh(words[0], DOMAIN, *words[1:])
        except VirshFailed as failure:
            answer = str(failure)
        return _Row(" ".join(words), answer or "(nothing)")

    def memory(self) -> dict[str, int]:
        """The figures of dommemstat: KiB, and counts."""
        lines = self.virsh("dommemstat", DOMAIN).splitlines()
        return {name: int(value) for name, value in map(str.split, lines)}

    def fresh_memory(self) -> dict[str, int]:
        """Statistics that the guest has sent after this call: last_update is in seconds, and
        changes when the guest answers. The very first answer, and the first one after a
        restore, may be older, and are skipped."""
        _wait(lambda: "last_update" in self.memory(), "statistics")
        old = self.memory()["last_update"]
        _wait(lambda: self.memory()["last_update"] > old + 1, "new statistics")
        return self.memory()

    def cost(self) -> dict[str, int]:
        """MiB that the host has in use for the guest: RSS, and the cgroup's memory if there is
        a cgroup (scripts/python/aerator_vm/cgroup.py)."""
        cost = {"rss": self.memory()["rss"] // _KIB}
        current = self.guest.domain.memory_current()
        return cost if current is None else {**cost, "cgroup": current // MIB}

    def balloon(self) -> dict[str, str]:
        """The balloon's figures of domstats."""
        lines = self.virsh("domstats", "--balloon", DOMAIN).splitlines()[1:]
        return dict(line.strip().removeprefix("balloon.").split("=") for line in lines)

    def state(self, what: str) -> _Row:
        return _Row(what, self.virsh("domstate", DOMAIN))


def _wait(truth: Callable[[], bool], what: str) -> float:
    start = time.monotonic()
    while not truth():
        expect(time.monotonic() - start < _WAIT_SECONDS, f"waited in vain for {what}")
        time.sleep(0.2)
    return time.monotonic() - start


def _numbers(guest: LibvirtGuest) -> dict[str, int]:
    lines = guest.run("sed 's/://; s/ kB//' /proc/meminfo; cat /proc/vmstat").splitlines()
    return {name: int(value) for name, value in map(str.split, lines)}


def _implausible(memory: dict[str, int], before: dict[str, int],
                 after: dict[str, int]) -> str:
    """The first statistic that contradicts the guest's /proc, or an empty string."""
    for names, slack in ((_GAUGES, _SLACK_KIB), (_COUNTS, 0)):
        for name in names.keys() & memory.keys():
            inside = names[name]
            low, high = sorted((before[inside], after[inside]))
            if not low - slack <= memory[name] <= high + slack:
                return f"{name} is {memory[name]}, {inside} {low} to {high}"
    return ""


def _true_memory(user: _User) -> dict[str, int]:
    """Wait for plausible statistics: a batch in flight, of up to 128 MiB, does not count as
    free meanwhile."""
    for _ in range(_LOOKS):
        before = _numbers(user.guest)
        memory = user.fresh_memory()
        wrong = _implausible(memory, before, _numbers(user.guest))
        if not wrong:
            break
        retried(wrong)
    expect(not wrong, wrong)
    return memory


def _statistics(user: _User) -> Iterator[_Row]:
    """The names of the statistics."""
    memory = _true_memory(user)
    yield _Row("dommemstat", f"{memory['actual'] // _KIB} MiB, {' '.join(sorted(memory))}",
               f"unused {memory['unused'] // _KIB}, rss {memory['rss'] // _KIB} MiB")
    found = user.balloon()
    yield _Row("domstats --balloon", f"{int(found['current']) // _KIB} MiB of"
               f" {int(found['maximum']) // _KIB}, {' '.join(sorted(found))}")


def _fleet(user: _User) -> _Row:
    """aerator-fleet finds the guest through libvirt, and its QEMU and cgroup in this system."""
    user.fresh_memory()
    answer = ask("--connect", user.guest.domain.uri, "--json")
    found = answer.guest(DOMAIN)
    expect_equal((answer.status, found["errors"]), (0, []), "status and errors")
    current = user.guest.domain.memory_current()
    if current is not None:
        expect(abs(found["host_bytes"] - current) < _SLACK_KIB * _KIB,
               f"host_bytes {found['host_bytes']}, cgroup {current}")
    expect(abs(found["guest_free_bytes"] // _KIB - user.memory()["unused"]) < _SLACK_KIB,
           f"guest_free_bytes {found['guest_free_bytes']}, {user.memory()}")
    sizes = [found[f"{what}_bytes"] // MIB for what in ("configured", "actual")]
    return _Row("(aerator-fleet)", f"{sizes} MiB, reporting {found['reporting']}, period"
                f" {found['statistics_period_seconds']}",
                f"waste {found['waste_bytes'] // MIB} MiB")


def _setmem(user: _User, target: int) -> Iterator[_Row]:
    """Set a target. The command returns at once, and the guest follows. libvirt queries one
    figure of the size, and gets the other one by an event, at most once per second."""
    row = user.asks("setmem", f"{target}M", "--live")
    took = _wait(lambda: user.memory()["actual"] == target * _KIB, f"{target} MiB")
    _wait(lambda: int(user.balloon()["current"]) == target * _KIB, "an event with that")
    yield _Row(row.what, f"{row.answer}, then actual {target} MiB", f"{took:.1f} s")


def _release(user: _User) -> _Row:
    """Memory that the guest frees is reported without a command."""
    job = user.guest.start_job(f"memtool hold {_RELEASED}")
    job.wait_for("touched")
    full = user.memory()["rss"]
    job.tell()
    took = _wait(lambda: user.memory()["rss"] < full - _RELEASED * _KIB // 2,
                 "memory that was freed")
    job.tell()
    job.wait()
    return _Row(f"(guest frees {_RELEASED} MiB)", "rss falls by more than half of it",
                f"{took:.1f} s")


def _fragments(user: _User) -> Iterator[_Row]:
    """Single free pages are returned to the host by the balloon only."""
    job = user.guest.start_job(f"memtool --small hold {_FRAGMENTED} 0")
    job.wait_for("touched")
    job.tell()
    job.wait_for("freed")
    full = user.cost()
    yield from _setmem(user, _FRAGMENTS_TARGET)
    back = {name: full[name] - now for name, now in user.cost().items()}
    expect(back["rss"] > _FRAGMENTS_BACK, f"rss fell by {back['rss']} MiB only")
    yield _Row("(host's memory)", f"rss falls by more than {_FRAGMENTS_BACK} MiB",
               ", ".join(f"{name} {mib} MiB" for name, mib in back.items()))
    yield from _setmem(user, _MEM)
    job.tell()
    job.wait()


def _resume(user: _User) -> Iterator[_Row]:
    """Resume in a new QEMU; it starts paused, so that the agent's connection is made first."""
    user.guest.reconnect()
    yield user.state("(restored)")
    yield user.asks("resume")


def _goes_on(user: _User) -> Iterator[_Row]:
    """The driver works after the restore."""
    yield from _statistics(user)
    yield _release(user)
    yield from _setmem(user, 896)
    yield from _setmem(user, 768)


def _save_and_restore(user: _User) -> Iterator[_Row]:
    """Save and restore the guest with an inflated balloon, while its memory is in use."""
    pattern = user.guest.start_job("memtool pattern 200 6")
    yield from _setmem(user, 768)
    path = str(user.guest.domain.work / "saved")
    user.virsh("save", DOMAIN, path)
    yield user.state("save")
    user.virsh("restore", path, "--paused")
    yield from _resume(user)
    pattern.wait()
    yield from _goes_on(user)


def _managed_save(user: _User) -> Iterator[_Row]:
    yield user.asks("managedsave")
    yield user.state("(saved)")
    yield user.asks("start", "--paused")
    yield from _resume(user)
    yield from _goes_on(user)


def _period(user: _User) -> Iterator[_Row]:
    """Without a period, no statistics are sent."""
    yield user.asks("dommemstat", "--period", "0", "--live")
    last = user.memory().get("last_update")
    time.sleep(3)
    expect_equal(user.memory().get("last_update"), last, "last_update without a period")
    yield user.asks("dommemstat", "--period", "1", "--live")
    user.fresh_memory()


def _script(user: _User) -> Iterator[_Row]:
    yield from _statistics(user)
    yield _fleet(user)
    yield _release(user)
    yield from _fragments(user)
    for target in (512, 832, _MEM):
        yield from _setmem(user, target)
    yield user.asks("setmem", f"{_MEM * 2}M", "--live")
    yield from _period(user)
    yield from _save_and_restore(user)
    yield from _managed_save(user)
    yield from _setmem(user, _MEM)
    yield from _statistics(user)


def _load(guest: LibvirtGuest, driver: str) -> None:
    if driver == "aerator":
        load_aerator(guest)
    else:
        guest.run(f"modprobe {driver}")


def _check_undisturbed(guest: LibvirtGuest, driver: str) -> None:
    """aerator has not reset the device."""
    expect_equal(balloon_driver(guest), driver, "driver")
    found = counters(guest, f"{balloon_device(guest)}/aerator")
    for name in ("settle_timeouts", "errors"):
        expect_equal(found.get(name, 0), 0, name)


def _rows(kernel: str, driver: str) -> Iterator[_Row]:
    """All rows of the script with one driver."""
    with LibvirtGuest(kernel, name=f"libvirt-{driver}-{kernel}", mem=_MEM, smp=1,
                      files={MODULE: module_file(kernel)}) as guest:
        _load(guest, driver)
        user = _User(guest)
        yield from _script(user)
        _check_undisturbed(guest, driver)
        guest.finish()
        yield user.state("destroy")


def libvirt(kernel: str) -> Iterator[str]:
    """virsh gets the same answers from both drivers. A table: the command, the answer to it,
    and each driver's figures."""
    differences = []
    theirs, ours = (_rows(kernel, driver) for driver in _DRIVERS)
    # One guest at a time.
    for one, other in zip(list(theirs), ours, strict=True):
        figures = f"; {one.figures} | {other.figures}" if one.figures else ""
        yield f"{one.what}: {one.answer}{figures}"
        if (one.what, one.answer) != (other.what, other.answer):
            differences.append(f"{other.what}: {other.answer}")
    expect(not differences, "\n".join(["aerator's answers differ:", *differences]))


# Three guests of a libvirt: their drivers, and whether they are offered reporting.
_FLEET = {"unreported": ("virtio_balloon", False), "stock": ("virtio_balloon", True),
          "treated": ("aerator", True)}
_FLEET_MEM = 512


def _is_settled(found: Answer) -> bool:
    """Whether all guests have sent statistics, and those that report have reported."""
    return all(guest["waste_bytes"] is not None
               and (not guest["reporting"] or guest["waste_bytes"] < _RELEASED * MIB // 2)
               for guest in found.json["guests"])


def _compare(guest: LibvirtGuest, found: dict[str, Any], offered: bool) -> None:
    """The figures of a guest are those of its definition, of its cgroup, and of libvirt."""
    name = guest.domain.name
    expect_equal((found["errors"], found["notes"]), ([], []), f"errors and notes of {name}")
    expect_equal((found["configured_bytes"], found["reporting"]), (_FLEET_MEM * MIB, offered),
                 f"size and reporting of {name}")
    current = guest.domain.memory_current() or 0
    expect(abs(found["host_bytes"] - current) < _SLACK_KIB * _KIB,
           f"{name}: host_bytes {found['host_bytes']}, cgroup {current}")
    free = _numbers(guest)["MemFree"] * _KIB
    expect(abs(found["guest_free_bytes"] - free) < _SLACK_KIB * _KIB,
           f"{name}: guest_free_bytes {found['guest_free_bytes']}, MemFree {free}")


def libvirt_fleet(kernel: str) -> Iterator[str]:
    """aerator-fleet shows three guests of a libvirt with the figures of their cgroups, the one
    without reporting first."""
    guests: dict[str, LibvirtGuest] = {}
    with contextlib.ExitStack() as stack:
        for name, (driver, offered) in _FLEET.items():
            first = next(iter(guests.values())).domain if guests else None
            guests[name] = stack.enter_context(LibvirtGuest(
                kernel, name=f"libvirt-fleet-{name}", mem=_FLEET_MEM, smp=1, time_limit=900,
                files={MODULE: module_file(kernel)}, domain=name, reporting=offered,
                beside=first))
            _load(guests[name], driver)
            guests[name].run(f"echo | memtool hold {_RELEASED}")
        options = "--connect", guests["unreported"].domain.uri
        if guests["stock"].domain.memory_current() is None:
            yield "SKIPPED: no memory cgroup here"
            return
        _wait(lambda: _is_settled(ask(*options, "--json")), "reports of all guests")
        answer = ask(*options, "--json")
        for name, guest in guests.items():
            _compare(guest, answer.guest(name), _FLEET[name][1])
        expect_equal(answer.json["guests"][0]["name"], "unreported", "first guest")
        yield from ask(*options).out.splitlines()


CASES = [*on_kernels(libvirt, GUEST_KERNELS, long=True, sleeps=True),
         *on_kernels(libvirt_fleet, ("6.12",), long=True)]
