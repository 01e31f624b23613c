# SPDX-License-Identifier: GPL-2.0
"""Stock kernels: aerator's assumptions about the kernel's page reporting, and its behaviour
if they are wrong."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator

from aerator_vm import Guest
from aerator_vm.balloon import balloon_device, park_little
from aerator_vm.common import Deadline

from .harness import (GUEST_KERNELS, MIB, MODULE, PARAMETERS, balloon_driver, counters,
                      expect, expect_equal, load_aerator, make_guest, meminfo, module_file,
                      on_kernels, wait_until)

_STOCK = "6.12"

_ARMED = "/sys/kernel/debug/kprobes/enabled"
_TRACED = "/proc/sys/kernel/ftrace_enabled"
_DEAF = "the kprobe is registered, but not hit"
_REST_SECONDS = 2
_HEARS = "early notification of frees works again"


def _log(guest: Guest) -> str:
    """The kernel's log since the last call."""
    return guest.run("dmesg -c")


def _release(guest: Guest, folder: str, mib: int = 300) -> float:
    """Free memory; return the seconds until most of it is reported. Afterwards wait until
    aerator is idle, so that the next free wakes it."""
    job = guest.start_job(f"memtool hold {mib}")
    job.wait_for("touched", 120)
    before = counters(guest, folder)["reported_bytes"]
    job.tell()
    took = wait_until("what was freed is reported", 60, lambda: (
        counters(guest, folder)["reported_bytes"] >= before + mib * MIB * 3 // 4))
    time.sleep(_REST_SECONDS)
    return took


def deaf_probe(kernel: str) -> Iterator[str]:
    """A kprobe that is disabled from outside is detected after two frees and logged once;
    memory is still reported."""
    with make_guest(kernel, "deaf-probe", mem=1024) as guest:
        folder = load_aerator(guest)
        _log(guest)
        early = _release(guest, folder)
        expect("frees" not in _log(guest), "the log has a line on the probe, which is hit")
        for switch, times in (_ARMED, 3), (_TRACED, 2):
            guest.run(f"echo 0 >{switch}")
            late = [_release(guest, folder) for _ in range(times)]
            log = _log(guest)
            expect(log.count(_DEAF) == 1,
                   f"{switch}: the log does not say once that the probe is not hit:\n{log}")
            guest.run(f"echo 1 >{switch}")
            _release(guest, folder)
            expect(_HEARS in _log(guest),
                   f"{switch}: the log does not say that the probe is hit again")
            yield f"back after {early:.1f} s, {min(late):.1f} s without {switch}"


_KERNELS_ORDER = "/sys/module/page_reporting/parameters/page_reporting_order"
_KERNELS_DELAY = "/sys/module/page_reporting/parameters/page_reporting_delay_ms"
_REPLACED = "replaces page_reporting_order"
_BOOT_ORDER = 8
_SMALL_ORDER = 4
_DEFAULT_ORDER = 9


def _set(guest: Guest, name: str, value: object) -> None:
    guest.run(f"echo {value} >{PARAMETERS}/{name}")


def _orders(guest: Guest) -> tuple[int, int]:
    """The values of `order` and of page_reporting_order."""
    return (int(guest.read(f"{PARAMETERS}/order")), int(guest.read(_KERNELS_ORDER)))


def _expect_orders(guest: Guest, ours: int, kernels: int, replaced: bool, what: str) -> None:
    expect_equal(_orders(guest), (ours, kernels), f"order, and page_reporting_order, {what}")
    log = _log(guest)
    expect_equal(log.count(_REPLACED), int(replaced),
                 f"lines that one order replaces another, {what}:\n{log}\n")


def _unload(guest: Guest, kernels: int, what: str) -> None:
    guest.run("rmmod aerator")
    expect_equal(int(guest.read(_KERNELS_ORDER)), kernels, f"page_reporting_order {what}")


def _check_blocks(guest: Guest, folder: str) -> str:
    """Free blocks of 64 KiB that cannot merge are reported."""
    guest.run(f"echo 1 >{folder}/flush", timeout=90)
    before = counters(guest, folder)
    job = guest.start_job(f"memtool --small hold 200 {_SMALL_ORDER}")
    job.wait_for("touched", 120)
    job.tell()
    job.wait_for("freed")
    guest.run(f"sleep 1; echo 1 >{folder}/flush", timeout=90)
    after = counters(guest, folder)
    job.signal("KILL")
    blocks = after["reported_blocks"] - before["reported_blocks"]
    kib = (after["reported_bytes"] - before["reported_bytes"]) / 1024 / max(blocks, 1)
    expect(0 < kib < 1024, f"{blocks} blocks of {kib:.0f} KiB on average were reported")
    return f"at order {_SMALL_ORDER}: {blocks} blocks of {kib:.0f} KiB"


def _check_order_of_others(guest: Guest) -> Iterator[str]:
    """Check a kernel that keeps the value which is written to page_reporting_order."""
    folder = load_aerator(guest)
    _expect_orders(guest, _BOOT_ORDER, _BOOT_ORDER, False, "as on the kernel's command line")
    guest.run(f"echo {_SMALL_ORDER} >{_KERNELS_ORDER}")
    _expect_orders(guest, _SMALL_ORDER, _SMALL_ORDER, False, "written by another")
    yield _check_blocks(guest, folder)
    _set(guest, "reactor_size", 16)
    _expect_orders(guest, _SMALL_ORDER, _SMALL_ORDER, False, "after a restart")
    _unload(guest, _SMALL_ORDER, "is not what another wrote, after rmmod")

    guest.insmod(MODULE)
    _expect_orders(guest, _SMALL_ORDER, _SMALL_ORDER, False, "as another left it")
    guest.run(f"echo 10 >{_KERNELS_ORDER}")
    _set(guest, "order", 9)
    _expect_orders(guest, 9, 9, True, "written by the user after another")
    guest.run(f"echo 5 >{_KERNELS_ORDER}")
    _set(guest, "reactor_size", 32)
    _expect_orders(guest, 5, 5, False, "written by another after the user, and a restart")
    _set(guest, "order", 9)
    _expect_orders(guest, 9, 9, True, "written by the user again")
    _unload(guest, 5, "is not what another wrote last, after rmmod")

    guest.insmod(MODULE, {"order": 7})
    _expect_orders(guest, 7, 7, True, "given at load")
    _set(guest, "reactor_size", 16)
    _expect_orders(guest, 7, 7, False, "given at load, after a restart")
    _unload(guest, 5, "is not what it was before, after rmmod")


def _check_delay_of_others(guest: Guest) -> Iterator[str]:
    """The kernel's own delay has no effect, whether it is 0 or a minute."""
    folder = load_aerator(guest)
    for delay in 0, 60000:
        guest.run(f"echo {delay} >{_KERNELS_DELAY}")
        took = _release(guest, folder)
        expect(took < 20, f"with a delay of {delay} ms it took {took:.1f} s")
        yield f"with the kernel's delay of {delay} ms: back after {took:.1f} s"
    guest.run("rmmod aerator")
    expect_equal(guest.read(_KERNELS_DELAY), "60000", "page_reporting_delay_ms after rmmod")


def order_of_others(kernel: str) -> Iterator[str]:
    """A value that another program writes to page_reporting_order (as WSL's agent does) is in
    force, is kept, and is shown by `order`."""
    with make_guest(kernel, "order-of-others", mem=1024,
                    append=f"page_reporting.page_reporting_order={_BOOT_ORDER}") as guest:
        if kernel == "6.1":  # this kernel overwrites the order at each registration
            folder = load_aerator(guest)
            guest.run(f"echo {_SMALL_ORDER} >{_KERNELS_ORDER}")
            yield _check_blocks(guest, folder)
            expect_equal(_orders(guest), (_SMALL_ORDER, _SMALL_ORDER), "order, and the kernel's")
            return
        guest.run("modprobe virtio_balloon; dmesg -c >/dev/null")
        yield from _check_order_of_others(guest)
        if kernel == "7.3":
            yield from _check_delay_of_others(guest)


_REPORT = "aerator:reporting_report"
_TRACING = "/sys/kernel/tracing"
_FILLED = re.compile(r" aerator_fill: .* bytes=(\d+) blocks=(\d+) ")
_CAPACITY = 4
_LARGEST_BLOCK = 4 * MIB


def capacity(kernel: str) -> Iterator[str]:
    """On kernels with a settable batch size, no more than reactor_size blocks are isolated from
    the allocator at a time."""
    with make_guest(kernel, "capacity", mem=1024) as guest:
        folder = load_aerator(guest, enabled=0, reactor_size=_CAPACITY)
        # Count the blocks that the kernel isolates for a batch.
        guest.run(f"cd {_TRACING} && echo 1 >events/aerator/enable &&"
                  f" echo 'p:handed {_REPORT} blocks=%dx:u32' >kprobe_events &&"
                  " echo 1 >events/kprobes/enable")
        _set(guest, "enabled", 1)
        guest.run(f"echo 1 >{folder}/flush", timeout=90)
        trace = guest.read(f"{_TRACING}/trace")
    handed = [int(blocks) for blocks in re.findall(r" handed: .* blocks=(\d+)", trace)]
    filled = [(int(blocks), int(size)) for size, blocks in _FILLED.findall(trace)]
    expect(len(handed) > 30, f"only {len(handed)} batches were handed over")
    expect(max(handed) <= _CAPACITY, f"{max(handed)} blocks were handed over at once")
    expect_equal(len(filled), len(handed), "batches, of those that were handed over")
    expect(max(blocks for blocks, _ in filled) <= _CAPACITY, "a batch is too large")
    most = max(size for _, size in filled)
    expect(most <= _CAPACITY * _LARGEST_BLOCK, f"{most} bytes were out at a time")
    yield f"{len(handed)} batches of {max(handed)} blocks, and {most // MIB} MiB at most"


# In so small a guest, a batch of the default order is larger than a zone's free memory.
_TINY_MIB = 96
_SMALL_MIB = (_TINY_MIB, 128, 256)
_UNTOUCHED_MIB = 14
_BALLOON_SECONDS = 16  # virtio_balloon reports a sixteenth, or one or two batches, every 2 s


def _host_mib(guest: Guest) -> float:
    return (guest.host.memory_current() or guest.host.rss()) / MIB


def _back(guest: Guest, mib: int, enough: float = math.inf) -> float:
    """MiB that return to the host of the MiB that are freed, until that is enough."""
    job = guest.start_job(f"memtool --small hold {mib}")
    job.wait_for("touched", 120)
    held = _host_mib(guest)
    job.tell()
    job.wait_for("freed")
    job.tell()
    deadline = Deadline(_BALLOON_SECONDS)
    while not deadline.passed and held - _host_mib(guest) <= enough:
        time.sleep(0.5)
    return held - _host_mib(guest)


def _check_small(guest: Guest, mem: int) -> str:
    guest.run(f"echo 0 >{_KERNELS_ORDER}; modprobe virtio_balloon")
    mib = meminfo(guest, "MemFree") // 1024 - _UNTOUCHED_MIB
    theirs = _back(guest, mib)
    guest.run(f"rmmod virtio_balloon; echo {_DEFAULT_ORDER} >{_KERNELS_ORDER}")
    folder = load_aerator(guest)
    least = max(theirs, mib / 2) * 3 / 4
    ours = _back(guest, mib, least)
    guest.run(f"echo 1 >{folder}/flush")
    order = int(guest.read(f"{PARAMETERS}/order"))
    expect(ours > least, f"{mem} MiB: {ours:.1f} MiB of {mib} are back, not {least:.1f}: with"
           f" virtio_balloon {theirs:.1f}")
    expect(order < _DEFAULT_ORDER, f"{mem} MiB: order {order}")
    return (f"{mem} MiB, {mib} freed: {ours:.1f} are back with order {order}, with virtio_balloon"
            f" and order 0 {theirs:.1f}")


def _check_no_room(guest: Guest, folder: str) -> str:
    """With an order that is too large for the guest, nothing is surplus, and a flush returns."""
    _set(guest, "order", _DEFAULT_ORDER)
    guest.run("echo | memtool hold 1")
    time.sleep(_REST_SECONDS)
    found = counters(guest, folder)
    expect_equal(found["surplus_bytes"], 0, "surplus where nothing can be reported")
    guest.run(f"echo 1 >{folder}/flush")
    return f"with order {_DEFAULT_ORDER} {found['raw_bytes'] // MIB} MiB are raw, none surplus"


def small_guests(kernel: str) -> Iterator[str]:
    """A small guest reports as much as with virtio_balloon and the smallest order. The kernel
    skips a zone whose free memory is not a batch above the low watermark."""
    for mem in _SMALL_MIB:
        with make_guest(kernel, f"small-{mem}", mem=mem, smp=1) as guest:
            park_little(guest)
            yield _check_small(guest, mem)
            if mem == _TINY_MIB:
                yield _check_no_room(guest, f"{balloon_device(guest)}/aerator")


_TAKEN_MIB = 200
_KEPT_MIB = 160
_TOUCHED_MIB = 180
_RATE_MIB = 128
# Memory that a program needs besides; and some huge pages are not from large blocks.
_OTHERS_MIB = 32
_REFUSED = "aerator:reporting_report ret=$retval:s32"


def _trace_refused(guest: Guest) -> None:
    guest.run(f"echo 'r:refused {_REFUSED}' >{_TRACING}/kprobe_events &&"
              f" echo 'ret<0' >{_TRACING}/events/kprobes/refused/filter &&"
              f" echo 1 >{_TRACING}/events/kprobes/refused/enable")


def _refused(guest: Guest) -> int:
    """The number of refused batches since the last call."""
    found = guest.read(f"{_TRACING}/trace").count(" refused: ")
    guest.run(f"echo >{_TRACING}/trace")
    return found


def _treated_mib(guest: Guest, folder: str) -> float:
    return int(guest.read(f"{folder}/treated_bytes")) / MIB


def _check_kept(guest: Guest, folder: str) -> str:
    """The guest uses raw memory first: no pass has moved it behind treated memory."""
    _set(guest, "reserve_mb", _KEPT_MIB)
    guest.run(f"echo | memtool hold {_TAKEN_MIB}; echo 1 >{folder}/flush", timeout=120)
    refused = _refused(guest)
    before = _treated_mib(guest, folder)
    job = guest.start_job(f"memtool hold {_TOUCHED_MIB}")
    job.wait_for("touched", 120)
    taken = before - _treated_mib(guest, folder)
    job.tell()
    job.wait_for("freed")
    job.tell()
    _set(guest, "reserve_mb", 0)
    expect(taken < _OTHERS_MIB, f"{_TAKEN_MIB} MiB were raw, {_TOUCHED_MIB} were taken, and"
           f" {taken:.0f} of them from treated memory; {refused} batches were refused")
    expect_equal(refused, 0, "batches that were refused")
    return f"{taken:.0f} of {_TOUCHED_MIB} MiB were taken from treated memory"


def _refusals(guest: Guest, folder: str) -> list[int]:
    return [int(word) for word in guest.read(f"{folder}/refusals").split()[1::2]]


def _check_refusals(guest: Guest, folder: str) -> str:
    """The file refusals counts the batches that the limit of the rate has refused."""
    _refused(guest)
    before = _refusals(guest, folder)
    _set(guest, "rate_mb", _RATE_MIB)
    guest.run("echo | memtool hold 600")
    wait_until("a refusal", 60, lambda: _refusals(guest, folder)[2] > before[2])
    _set(guest, "enabled", 0)
    counted = [new - old for new, old in zip(_refusals(guest, folder), before)]
    traced = _refused(guest)
    said = f"refusals by window, limit, rate: {counted}, {traced} in the trace"
    # A batch that is refused because reporting is paused counts for no reason.
    expect(traced - 1 <= sum(counted) <= traced, said)
    return said


def refused_batch(kernel: str) -> Iterator[str]:
    """No pass begins that would refuse its first batch. The kernel would move that batch to the
    tail of the free list, behind treated memory, and the guest could not use it first."""
    with make_guest(kernel, "refused-batch", mem=1536) as guest:
        park_little(guest)
        folder = load_aerator(guest)
        guest.run(f"echo 1 >{folder}/flush", timeout=90)
        _trace_refused(guest)
        yield _check_kept(guest, folder)
        yield _check_refusals(guest, folder)


_TWO_PHASES = "/twophase.ko"
_NOT_KNOWN = "page reporting of this kernel does not work as expected"
# The kernel's delay of two seconds, and the pass.
_PASS_SECONDS = 5


def _reported(guest: Guest, folder: str) -> int:
    return counters(guest, folder)["reported_bytes"]


def _check_paused(guest: Guest, folder: str) -> None:
    """enabled=0 still stops all reports."""
    _set(guest, "enabled", 0)
    guest.run("echo | memtool hold 300", timeout=120)
    before = _reported(guest, folder)
    time.sleep(_PASS_SECONDS)
    paused = _reported(guest, folder)
    expect_equal(paused, before, "bytes reported, while paused and before")
    _set(guest, "enabled", 1)
    guest.run("echo | memtool hold 300", timeout=120)
    wait_until("more is reported", 60, lambda: _reported(guest, folder) > paused)


def unknown_kernel(kernel: str) -> Iterator[str]:
    """If the kernel's page reporting does not work as expected, aerator leaves its work alone,
    and the kernel decides when to report, as for virtio_balloon."""
    files = {_TWO_PHASES: module_file(kernel, "tests/twophase")}
    with make_guest(kernel, "unknown-kernel", mem=1024, files=files) as guest:
        park_little(guest)
        folder = load_aerator(guest)
        guest.run(f"echo 1 >{folder}/flush; rmmod aerator", timeout=90)
        expect(_NOT_KNOWN not in _log(guest), "the log says that this kernel is not as known")
        guest.insmod(_TWO_PHASES)
        guest.run("echo | memtool hold 600", timeout=120)
        load_aerator(guest)
        took = [_release(guest, folder) for _ in range(2)]
        flush = guest.execute(f"echo 1 >{folder}/flush")
        expect(flush.status, "flush succeeds though the kernel decides when")
        _check_paused(guest, folder)
        # A restart of the intake keeps that state, and does not log it again.
        _set(guest, "reactor_size", 16)
        took.append(_release(guest, folder))
        log = _log(guest)
        expect_equal(log.count(_NOT_KNOWN), 1, f"lines that the kernel is not as known:\n{log}\n")
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
    yield f"most of what was freed is reported after {', '.join(f'{s:.1f}' for s in took)} s"


CASES = [*on_kernels(refused_batch, (_STOCK,)),
         *on_kernels(small_guests, (_STOCK, "7.3"), long=True, sleeps=True),
         *on_kernels(capacity, ("7.3",)), *on_kernels(deaf_probe, (_STOCK,), sleeps=True),
         *on_kernels(unknown_kernel, (_STOCK,), long=True),
         *on_kernels(order_of_others, (_STOCK,)),
         *on_kernels(order_of_others, [kernel for kernel in GUEST_KERNELS if kernel != _STOCK],
                     long=True)]
