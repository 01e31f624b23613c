# SPDX-License-Identifier: GPL-2.0
"""Checks that hold on each architecture and for each size of a page, in a guest of any."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aerator_vm import Guest
from aerator_vm.balloon import balloon_device
from aerator_vm.release import Recording, host_memory

from .harness import (MIB, MODULE, PARAMETERS, balloon_driver, counters, expect, expect_equal,
                      is_treated, make_guest, meminfo, wait_until)
from .stages import batch_events, check_order

MEM = 2048
_FREED_MIB = 1024

# A measurement ends when the host's memory has stayed the same for some seconds:
# virtio_balloon pauses for 2 s between its steps.
_FLAT_SECONDS = 8
_FLAT_BYTES = 8 * MIB
_CEILING_SECONDS = 60

# An emulated boot of another architecture.
_BOOT_SECONDS = 240

# Memory of aerator's default order: that of a huge page of most hosts.
_BLOCK_BYTES = 2 * MIB
# The host's unit of the balloon.
UNIT_BYTES = 4096

_BALLOON = "/machine/peripheral/balloon"
_ARMED = "/sys/kernel/debug/kprobes/enabled"
_DEAF = "the kprobe is registered, but not hit"


@dataclass(frozen=True)
class Returned:
    """What came back to the host of the memory that the guest freed."""

    seconds: float  # until 90 % of it was back
    share: float  # of the freed memory

    def __str__(self) -> str:
        return f"{100 * self.share:.0f} %, 90 % of that after {self.seconds:.1f} s"


def page_bytes(guest: Guest) -> int:
    return 1024 * int(guest.run(
        "sed -n 's/^KernelPageSize: *//p' /proc/self/smaps | head -n 1").split()[0])


def _is_flat(recording: Recording, since: float) -> bool:
    recent = [host_memory(sample) for sample in recording.samples
              if sample.time >= time.monotonic() - _FLAT_SECONDS]
    return (time.monotonic() > since + _FLAT_SECONDS
            and max(recent) - min(recent) <= _FLAT_BYTES)


def release(guest: Guest, order: int | None = None) -> Returned:
    """The main job: touch memory, free it, and see what comes back, by the host's cgroup. With
    @order, free every other block of that order; of small pages, since a huge page that is
    freed in part stays in use."""
    freed_bytes = _FREED_MIB * MIB // (1 if order is None else 2)
    command = (f"memtool hold {_FREED_MIB}" if order is None else
               f"memtool --small hold {_FREED_MIB} {order}")
    with Recording(guest.host) as recording:
        job = guest.start_job(command)
        job.wait_for("touched", 180)
        time.sleep(1)
        freed_at = recording.mark_free()
        held = recording.memory
        job.tell()
        while not _is_flat(recording, freed_at):
            if time.monotonic() > freed_at + _CEILING_SECONDS:
                break
            time.sleep(0.2)
        back = held - recording.memory
        seconds = next((sample.time - freed_at for sample in recording.samples
                        if sample.time > freed_at
                        and host_memory(sample) <= held - 0.9 * back), math.inf)
    job.tell()
    job.wait()
    return Returned(seconds, back / freed_bytes)


def _check_stages(guest: Guest) -> str:
    """The batches of a release pass the stages in order."""
    trace = "/sys/kernel/tracing"
    time.sleep(3)
    guest.run(f"echo 1 >{trace}/events/aerator/enable")
    yielded = release(guest)
    guest.run(f"echo 0 >{trace}/events/aerator/enable")
    events = batch_events(guest)
    check_order(events, int(events[0][1]["cycle"]) - 1)
    largest = max(int(values["bytes"]) for name, values in events if name == "decant")
    guest.run(f"echo >{trace}/trace")
    return f"{yielded}; batches of up to {largest // MIB} MiB"


def _set(guest: Guest, name: str, value: object) -> bool:
    """Whether the parameter took the value."""
    path = f"{PARAMETERS}/{name}"
    return guest.execute(f"echo {value} >{path} && [ $(cat {path}) = {value} ]").status == 0


def _check_parameters(guest: Guest, page: int) -> None:
    """The default order is 2 MiB; the bounds are those of the page size."""
    expect_equal(page << int(guest.read(f"{PARAMETERS}/order")), _BLOCK_BYTES,
                 "bytes of the default order")
    # A word for each order, and "Node 0, zone DMA" before them.
    most = len(guest.read("/proc/buddyinfo").splitlines()[0].split()) - 5
    expect(not _set(guest, "order", most + 1), f"order={most + 1} was taken")
    for order in most, 0, (_BLOCK_BYTES // page).bit_length() - 1:
        expect(_set(guest, "order", order), f"order={order} was not taken")
    for name, value in ("reactor_size", 16), ("reactor_size", 32), ("reserve_mb", 64), \
            ("reserve_mb", 0):
        expect(_set(guest, name, value), f"{name}={value} was not taken")


def actual(guest: Guest) -> int:
    actual = guest.qmp.execute("query-balloon")["actual"]
    assert isinstance(actual, int)
    return actual


def check_target(guest: Guest, inflated: int, page: int) -> None:
    """The balloon settles at the next whole page above the target, and stays there."""
    whole = -(-inflated // page) * page
    guest.qmp.execute("balloon", value=MEM * MIB - inflated)
    wait_until(f"a balloon of {whole} bytes", 120,
               lambda: actual(guest) == MEM * MIB - whole)
    time.sleep(2)
    expect_equal(actual(guest), MEM * MIB - whole, "actual, 2 s later")
    expect_equal(int(guest.read(f"{balloon_device(guest)}/aerator/inflated_bytes")), whole,
                 "inflated_bytes")


def _check_inflate(guest: Guest, page: int) -> None:
    """The balloon reaches targets that are no multiple of a page, up and down."""
    for inflated in (300 * MIB + UNIT_BYTES, 300 * MIB + 3 * UNIT_BYTES,
                     100 * MIB + 5 * UNIT_BYTES, 3 * UNIT_BYTES, 0):
        check_target(guest, inflated, page)


def check_statistics(guest: Guest) -> None:
    """The host's statistics are bytes, whatever the size of a page."""
    guest.qmp.execute("qom-set", path=_BALLOON, property="guest-stats-polling-interval", value=1)
    found: dict[str, int] = {}

    def answered() -> bool:
        found.update(guest.qmp.execute("qom-get", path=_BALLOON,
                                       property="guest-stats")["stats"])
        return 0 < found["stat-total-memory"] < 1 << 60

    wait_until("statistics", 60, answered)
    expect_equal(found["stat-total-memory"] // 1024, meminfo(guest, "MemTotal"),
                 "kB of memory in the statistics")
    free = meminfo(guest, "MemFree")
    expect(abs(found["stat-free-memory"] // 1024 - free) < free / 5,
           f"statistics: {found['stat-free-memory'] // 1024} kB are free, meminfo: {free} kB")
    guest.qmp.execute("qom-set", path=_BALLOON, property="guest-stats-polling-interval", value=0)


def check_takeover(guest: Guest, page: int) -> None:
    """The device goes back to virtio_balloon and to aerator again, with the same target."""
    inflated = 64 * MIB + UNIT_BYTES
    check_target(guest, inflated, page)
    whole = -(-inflated // page) * page
    for command, driver in ("rmmod aerator", "virtio_balloon"), (f"insmod {MODULE}", "aerator"):
        guest.run(command)
        expect_equal(balloon_driver(guest), driver, f"driver after {command}")
        wait_until(f"the balloon after {command}", 120,
                   lambda: actual(guest) == MEM * MIB - whole)
    check_target(guest, 0, page)


def check_flush(guest: Guest, folder: str) -> str:
    """A flush returns what the policy would keep, and the host drops as much as is counted."""
    expect(_set(guest, "window_ms", 60000), "window_ms")
    guest.run(f"echo 1 >{folder}/flush", timeout=90)
    guest.run("echo | memtool hold 256")
    before = counters(guest, folder)["reported_bytes"]
    with guest.host.madvise_traced() as dropped:
        guest.run(f"echo 1 >{folder}/flush", timeout=90)
    counted = counters(guest, folder)["reported_bytes"] - before
    expect(dropped.bytes > 200 * MIB, f"the host dropped {dropped.bytes} bytes only")
    expect_equal(dropped.bytes, counted, "bytes that the host dropped, and reported_bytes")
    return f"a flush: {dropped.bytes // MIB} MiB"


def check_pattern(guest: Guest, folder: str) -> str:
    """Programs find their memory unchanged while free memory is reported at once."""
    expect(_set(guest, "window_ms", 0), "window_ms")
    before = counters(guest, folder)["reported_bytes"]
    jobs = [guest.start_job("memtool pattern 512 12"), guest.start_job("memtool churn 256 50 12")]
    for job in jobs:
        job.wait(120)
    reported = (counters(guest, folder)["reported_bytes"] - before) // MIB
    expect(reported > 500, f"only {reported} MiB were reported meanwhile")
    return f"pattern: {reported} MiB reported meanwhile"


def _check_notice(guest: Guest, folder: str) -> str:
    """The kprobe is a breakpoint, and is hit; without it the kernel's two seconds come first."""
    def latency() -> float:
        time.sleep(3)
        job = guest.start_job("memtool hold 256")
        job.wait_for("touched", 120)
        time.sleep(1)
        before = counters(guest, folder)["reported_bytes"]
        job.tell()
        took = wait_until("a report", 60, lambda: counters(
            guest, folder)["reported_bytes"] > before + 128 * MIB)
        job.tell()
        return took

    with_probe = [latency() for _ in range(2)]
    expect(_DEAF not in guest.dmesg(), "the log says that the kprobe is not hit")
    guest.run(f"echo 0 >{_ARMED}")
    without = [latency() for _ in range(3)]
    guest.run(f"echo 1 >{_ARMED}")
    expect(_DEAF in guest.dmesg(), "the log does not say that the kprobe is not hit")
    expect(min(with_probe) < max(without), f"{with_probe} s with the kprobe, {without} without")
    return f"128 MiB reported after {min(with_probe):.1f} s, {max(without):.1f} without the kprobe"


def check_all(kernel: str, name: str, **arguments: Any) -> Iterator[str]:
    """All of the checks in one guest: first the main job in comparison with virtio_balloon."""
    with make_guest(kernel, name, mem=MEM, time_limit=1500, boot_limit=_BOOT_SECONDS,
                    balloon={"free-page-reporting": True}, **arguments) as guest:
        page = page_bytes(guest)
        order = (_BLOCK_BYTES // page).bit_length() - 1
        guest.run("modprobe virtio_balloon")
        yield (f"pages of {page // 1024} KiB; virtio_balloon: {release(guest)};"
               f" blocks of 2 MiB: {release(guest, order)}")
        guest.insmod(MODULE)
        expect_equal(balloon_driver(guest), "aerator", "driver after insmod")
        folder = f"{balloon_device(guest)}/aerator"
        all_of_it, blocks = release(guest), release(guest, order)
        yield f"aerator: {all_of_it}; blocks of 2 MiB: {blocks}"
        expect(min(all_of_it.share, blocks.share) > 0.8, "less than 80 % came back")
        yield _check_stages(guest)
        _check_parameters(guest, page)
        _check_inflate(guest, page)
        check_statistics(guest)
        check_takeover(guest, page)
        yield check_flush(guest, folder)
        yield check_pattern(guest, folder)
        if not is_treated(kernel):
            yield _check_notice(guest, folder)
