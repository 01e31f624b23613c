# SPDX-License-Identifier: GPL-2.0
"""Faulty hosts: a balloon device inside the guest (tests/device) is late, silent, confused
or unplugged, on a debug kernel.

Each queue gets work while the device misbehaves on it. The driver must recover: log one
line, lose no page, use no page that is the device's, and work as before once the device
does. The device counts violations of these rules.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.balloon import park_little

from .harness import (KASAN, MIB, MODULE, PARAMETERS, Case, balloon_device, balloon_driver, expect,
                      expect_equal, make_guest, meminfo, module_file, settled_free, wait_until)
from .lifecycle import QUARANTINE, SLACK_KB

_FOLDER = "tests/device"
_FILE = "/aerator_device.ko"
FILES = "/sys/kernel/debug/aerator_device"
# settle_timeout_ms for a host that never answers; and for one that is as slow as this
# machine with a debug kernel.
_SILENT_MS = 1000
_SLOW_MS = 15000
_UNLOAD_SECONDS = 5

# Only one of the two intakes is offered the first bit, MUST_TELL_HOST.
_FEATURES = {"reporting": 0x3000002e, "treated": 0x3000002f}

# virtio_ring logs this for such a device.
_ALLOWED = (r"is not a head!",)

_ENABLED = f"{PARAMETERS}/enabled"
_TIMEOUT = f"{PARAMETERS}/settle_timeout_ms"
_HINT_DONE = 1

# A number of failing resets that no test reaches.
STUBBORN = 1000

_LOST = "resetting the device; will try again"
_STUBBORN = "the device cannot be reset, and still owns its buffers"
_BACK = "the device works again after a reset"


@dataclass
class Host:
    """The host's side of the device."""

    guest: Guest
    _command: int = 1

    def read(self, name: str) -> int:
        return int(self.guest.read(f"{FILES}/{name}"))

    def write(self, name: str, value: object) -> None:
        self.guest.run(f"echo {value} >{FILES}/{name}", timeout=30)

    def grows(self, name: str, more: int = 1) -> Callable[[], bool]:
        """A condition: a count has grown by @more from its current value."""
        goal = self.read(name) + more
        return lambda: self.read(name) >= goal

    def target(self, pages: int) -> Callable[[], bool]:
        self.write("num_pages", pages)
        return lambda: self.read("actual") == self.read("num_pages") == pages

    def hint(self) -> Callable[[], bool]:
        """Ask for free page hints. Memory that is reported is not hinted, so reporting is
        paused and some memory freed. Condition: the driver has sent the stop command."""
        self._command += 1
        self.guest.run(f"[ ! -e {_ENABLED} ] || echo 0 >{_ENABLED}; echo | memtool hold 64")
        some = self.grows("free_page/bytes", MIB)
        self.write("free_page_hint_cmd_id", self._command)
        return lambda: some() and self.read("hinted") == 0

    def patience(self, ms: int) -> None:
        """Set settle_timeout_ms, if aerator is the driver."""
        self.guest.run(f"[ ! -e {_TIMEOUT} ] || echo {ms} >{_TIMEOUT}")

    def well(self) -> None:
        """Make the device behave correctly again."""
        self.guest.run(f"cd {FILES} && for file in */behaviour; do echo now >$file; done;"
                       f" echo {_HINT_DONE} >free_page_hint_cmd_id;"
                       f" [ ! -e {_ENABLED} ] || echo 1 >{_ENABLED}", timeout=30)


def _take_and_free(host: Host) -> None:
    host.guest.run("echo | memtool hold 64", timeout=120)


def _report(host: Host) -> Callable[[], bool]:
    """Condition: a part of the freed memory is reported. aerator misses memory that is taken
    and freed between two samples, until the next free: so more is freed meanwhile."""
    grown = host.grows("reporting/bytes", 16 * MIB)
    _take_and_free(host)

    def done() -> bool:
        if grown():
            return True
        _take_and_free(host)
        return False
    return done


def _inflate(host: Host) -> Callable[[], bool]:
    return host.target(host.read("actual") + 6000)


def _deflate(host: Host) -> Callable[[], bool]:
    return host.target(0)


def _ask(host: Host) -> Callable[[], bool]:
    done = host.grows("stats/taken")
    host.write("ask", 1)
    return done


_HARMLESS = ("late", "reorder", "length", "config")
_HARMFUL = ("never", "twice", "id", "break", "reset")
_UNLOADS = (*_HARMLESS, *_HARMFUL)


@dataclass(frozen=True)
class Work:
    """A queue: a function that makes the driver use it, and the misbehaviours from which the
    driver recovers only with a reset."""

    queue: str
    start: Callable[[Host], Callable[[], bool]]
    harmful: tuple[str, ...] = _HARMFUL


WORKS = (
    Work("reporting", _report),
    Work("inflate", _inflate),
    Work("deflate", _deflate),
    Work("free_page", Host.hint),
    # The driver does not wait on this queue: it does not notice a missing question, and takes
    # a repeated one for two questions.
    Work("stats", _ask, ("id", "reset")),
)


def _misbehave(host: Host, work: Work, behaviour: str) -> None:
    """Let the device misbehave, after a mark in the log: log lines that result from it come
    after the mark. Some queues are used even before the test uses them."""
    host.patience(_SILENT_MS if behaviour == "never" else _SLOW_MS)
    host.guest.run(f"echo '{mark(work, behaviour)}' >/dev/kmsg;"
                   f" echo {behaviour} >{FILES}/{work.queue}/behaviour", timeout=30)


def mark(work: Work, behaviour: str) -> str:
    return f"test of {work.queue}, {behaviour}:"


def log_lines(host: Host, work: Work, behaviour: str, line: str) -> int:
    return host.guest.dmesg().rpartition(mark(work, behaviour))[2].count(line)


def _do(host: Host, work: Work, what: str) -> None:
    wait_until(f"{work.queue}: {what}", 20, work.start(host))


def prepare(host: Host, work: Work) -> None:
    """Inflate, if the work is to deflate."""
    if work.queue == "deflate":
        wait_until("a balloon", 20, host.target(6000))


def check_works(host: Host, work: Work) -> None:
    """The driver works on all queues once the device behaves correctly."""
    host.patience(_SLOW_MS)
    _do(host, work, "works again")
    host.well()
    wait_until("no balloon", 20, host.target(0))
    expect_equal(host.read("violations"), 0, f"violations, {work.queue}")


def _harmless(host: Host, work: Work, behaviour: str) -> None:
    """The driver waits if it must, and does not reset the device."""
    prepare(host, work)
    _misbehave(host, work, behaviour)
    done = work.start(host)
    if behaviour == "config":
        host.guest.run("sleep 1")
    else:
        wait_until(f"{work.queue} with {behaviour}", 20, done)
    host.well()
    check_works(host, work)
    expect_equal(log_lines(host, work, behaviour, _LOST), 0, f"resets, {work.queue}, {behaviour}")


def _harmful(host: Host, work: Work, behaviour: str) -> None:
    """The driver resets the device, logs that once, and works again. Meanwhile a program
    writes to memory: the device finds out if it got pages that are the device's."""
    prepare(host, work)
    _misbehave(host, work, behaviour)
    work.start(host)
    if behaviour == "never":
        host.guest.run("memtool churn 120 0 3", timeout=30)
    wait_until(f"a reset, {work.queue}, {behaviour}", 10,
               lambda: log_lines(host, work, behaviour, _LOST) > 0)
    wait_until(f"back again, {work.queue}, {behaviour}", 15,
               lambda: log_lines(host, work, behaviour, _BACK) > 0)
    check_works(host, work)
    for line in (_LOST, _BACK):
        expect_equal(log_lines(host, work, behaviour, line), 1,
                     f"lines {line!r}, {work.queue}, {behaviour}")


def _stubborn(host: Host, work: Work) -> None:
    """The device cannot be reset, and is silent while programs use memory: they must not get
    the device's pages. Other batches need no reset."""
    prepare(host, work)
    host.write("stubborn", STUBBORN)
    host.guest.run(f"echo 8 >{PARAMETERS}/reactor_size && echo 32 >{PARAMETERS}/reactor_size",
                   timeout=30)
    _do(host, work, "with other batches")
    host.well()
    prepare(host, work)
    _misbehave(host, work, "never")
    done = work.start(host)
    wait_until(f"no reset, {work.queue}", 10,
               lambda: log_lines(host, work, "never", _STUBBORN) > 0)
    host.guest.run("memtool churn 120 0 3", timeout=30)
    host.guest.run(f"echo now >{FILES}/{work.queue}/behaviour")
    wait_until(f"{work.queue}, late", 20, done)
    host.write("stubborn", 0)
    host.well()
    check_works(host, work)
    expect_equal(log_lines(host, work, "never", _BACK), 0, f"resets, {work.queue}, stubborn")


def _disappear(host: Host, work: Work) -> None:
    """The device is unplugged with a batch in flight, and later plugged in again."""
    prepare(host, work)
    _misbehave(host, work, "disappear")
    work.start(host)
    wait_until(f"a device that is gone, {work.queue}", 10, lambda: host.read("present") == 0)
    host.write("num_pages", 0)
    host.write("present", 1)
    expect_equal(balloon_driver(host.guest), "aerator", "driver of the next device")
    check_works(host, work)


def _unload(host: Host, work: Work, behaviour: str, params: dict[str, object]) -> float:
    """Unload with a batch at a device that misbehaves. Returns the seconds."""
    prepare(host, work)
    taken = host.grows(f"{work.queue}/taken")
    _misbehave(host, work, behaviour)
    work.start(host)
    if work.queue != "stats":
        wait_until(f"a batch at the device, {work.queue}, {behaviour}", 10, taken)
    start = time.monotonic()
    host.guest.run("rmmod aerator", timeout=30)
    took = time.monotonic() - start
    expect(took < _UNLOAD_SECONDS, f"rmmod took {took:.1f} s, {work.queue}, {behaviour}")
    expect_equal(host.read("violations"), 0, f"violations, {work.queue}, {behaviour}")
    host.write("num_pages", 0)
    host.guest.insmod(MODULE, params)
    return took


# VIRTIO_BALLOON_S_OOM_KILL and later tags, which QEMU does not show. Reclaim is in bytes.
_YOUNG_TAGS = {10: ("oom_kill ", 1), 11: ("allocstall_", 1), 12: ("pgscan_kswapd ", 4096),
               13: ("pgscan_direct ", 4096), 14: ("pgsteal_kswapd ", 4096),
               15: ("pgsteal_direct ", 4096)}
_TAGS = 16


def _vmstat_sum(guest: Guest, prefix: str) -> int:
    return sum(int(line.split()[1]) for line in guest.read("/proc/vmstat").splitlines()
               if line.startswith(prefix))


def _statistics(host: Host) -> str:
    """The driver sends each tag that its kernel has, once."""
    _do(host, WORKS[-1], "statistics")
    lines = host.guest.read(f"{FILES}/statistics").splitlines()
    told = [(int(tag), int(value)) for tag, value in map(str.split, lines)]
    huge = {8, 9} if "HugePages_Total" not in host.guest.read("/proc/meminfo") else set()
    expect_equal(sorted(tag for tag, _ in told), sorted({*range(_TAGS)} - huge), "tags")
    for tag, (prefix, unit) in _YOUNG_TAGS.items():
        expect_equal(dict(told)[tag], _vmstat_sum(host.guest, prefix) * unit, f"tag {tag}")
    return f"statistics: {len(told)} tags"


def _broken_between(host: Host) -> None:
    """A second answer after all chains were answered is detected with the next batch."""
    work = WORKS[1]
    _misbehave(host, work, "twice")
    for pages in (100, 200):
        host.target(pages)
        host.guest.run("sleep 1")
    wait_until("a balloon after a reset", 20, host.target(300))
    expect_equal(log_lines(host, work, "twice", _LOST), 1, "resets between batches")
    check_works(host, work)


def _each_queue(host: Host, some: tuple[Work, ...], harmless: tuple[str, ...],
                params: dict[str, object]) -> Iterator[str]:
    for work in some:
        start = time.monotonic()
        for behaviour in harmless:
            _harmless(host, work, behaviour)
        for behaviour in work.harmful:
            _harmful(host, work, behaviour)
        if work.queue != "stats":
            _stubborn(host, work)
        _disappear(host, work)
        longest = max(_unload(host, work, behaviour, params) for behaviour in _UNLOADS)
        yield (f"{work.queue}: {time.monotonic() - start:.0f} s, unloaded within"
               f" {longest:.1f} s")


def device_guest(kernel: str, name: str, mem: int = 640,
                 files: Mapping[str, Path] | None = None) -> Guest:
    files = {_FILE: module_file(kernel, _FOLDER), **(files or {})}
    return make_guest(kernel, name, mem=mem, balloon=None, files=files, allow=_ALLOWED,
                      time_limit=1500)


def _first_load(guest: Guest, params: dict[str, object]) -> None:
    """Load and unload once: the first load allocates memory that is never freed."""
    guest.insmod(MODULE, params)
    expect_equal(balloon_driver(guest), "aerator", "driver")
    guest.run("sleep 2; rmmod aerator")


def device(kernel: str, intake: str) -> Iterator[str]:
    """aerator recovers from each misbehaviour of the device. With the intake treated all of
    them are tried; with reporting, which waits for the kernel's passes, those that need a
    reset."""
    some, harmless = (WORKS, _HARMLESS) if intake == "treated" else (WORKS[:1], ())
    params = {"intake": intake, "settle_timeout_ms": _SLOW_MS, "window_ms": 0}
    with device_guest(kernel, f"device-{intake}") as guest:
        guest.insmod(_FILE, {"features": _FEATURES[intake]})
        _first_load(guest, params)
        total, free = meminfo(guest, "MemTotal"), settled_free(guest)
        guest.insmod(MODULE, params)
        yield _statistics(Host(guest))
        yield from _each_queue(Host(guest), some, harmless, params)
        _broken_between(Host(guest))

        guest.run("rmmod aerator")
        expect_equal(meminfo(guest, "MemTotal"), total, "MemTotal")
        lost = free - settled_free(guest)
        expect(lost < SLACK_KB + total // QUARANTINE, f"{lost} kB of MemFree are gone")
        expect_equal(Host(guest).read("violations"), 0, "violations")
        guest.run("rmmod aerator_device")
        yield f"free memory differs by {-lost} kB, MemTotal by none"


def device_reference(kernel: str) -> Iterator[str]:
    """The test device works with virtio_balloon, without violations."""
    with device_guest(kernel, "device-reference") as guest:
        guest.insmod(_FILE, {"features": _FEATURES["treated"]})
        guest.run("modprobe virtio_balloon")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
        host = Host(guest)
        yield _statistics(host)
        for work in WORKS:
            start = time.monotonic()
            prepare(host, work)
            check_works(host, work)
            yield f"{work.queue}: {time.monotonic() - start:.1f} s"
        guest.run("rmmod virtio_balloon aerator_device")


def _chains_of(host: Host, pages: int) -> int:
    """The number of chains for inflating and deflating by this many pages."""
    before = host.read("inflate/taken")
    wait_until("a balloon", 20, host.target(pages))
    return host.read("inflate/taken") - before


def device_discards(kernel: str) -> Iterator[str]:
    """The driver finds out whether a device keeps reported memory, whether it reads long
    chains, and copes with one that is silent during this check."""
    params = {"settle_timeout_ms": _SLOW_MS, "window_ms": 0, "intake": "reporting"}
    pages = 16 * 512
    with device_guest(kernel, "device-discards") as guest:
        # Otherwise all of the freed memory may stay in a per-CPU list.
        park_little(guest)
        guest.insmod(_FILE, {"features": _FEATURES["reporting"]})
        host, found = Host(guest), []
        for keeps, longest, chains, word in ((0, 0, 16, "yes"), (0, 256, 32, "yes"),
                                             (1, 0, 32, "no")):
            host.write("keeps", keeps)
            host.write("numbers_max", longest)
            guest.insmod(MODULE, params)
            folder = f"{balloon_device(guest)}/aerator"
            # The flush makes sure that something has been reported.
            _take_and_free(host)
            guest.run(f"echo 1 >{folder}/flush", timeout=90)
            expect_equal(guest.read(f"{folder}/host_discards"), word, "host_discards")
            _chains_of(host, 512)
            expect_equal(_chains_of(host, 512 + pages), chains, "chains of a balloon")
            wait_until("no balloon", 20, host.target(0))
            guest.run("rmmod aerator")
            found.append(f"{word}, {pages // chains} numbers a chain")
        for line in ("and keeps the memory", "the host keeps the memory of inflated pages"):
            expect_equal(guest.dmesg().count(line), 1, f"lines {line!r}")
        host.write("keeps", 0)
        guest.insmod(MODULE, {**params, "settle_timeout_ms": _SILENT_MS, "enabled": 0})
        _misbehave(host, WORKS[0], "never")
        _take_and_free(host)
        guest.run(f"echo 1 >{_ENABLED}", timeout=30)
        wait_until("a reset", 20, lambda: log_lines(host, WORKS[0], "never", _LOST) == 1)
        check_works(host, WORKS[0])
        expect_equal(guest.read(f"{folder}/host_discards"), "yes", "host_discards in the end")
        yield "; ".join(found)
        guest.run("rmmod aerator aerator_device")


CASES = [
    Case("device-discards 6.12", functools.partial(device_discards, "6.12"), "6.12"),
    Case(f"device-reference {KASAN}", functools.partial(device_reference, KASAN), KASAN),
    *(Case(f"device-{intake} {KASAN}", functools.partial(device, KASAN, intake), KASAN)
      for intake in _FEATURES),
]
