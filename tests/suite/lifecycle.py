# SPDX-License-Identifier: GPL-2.0
"""Coming and going, again and again, while memory is churned."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aerator_vm import Guest

from .harness import (GUEST_KERNELS, KASAN, MIB, MODULE, PAGEALLOC, TREATED_KERNELS,
                      balloon_device, balloon_driver, expect, expect_equal, is_debug,
                      is_treated, load_aerator, make_guest, meminfo, on_kernels,
                      settled_free)

_LOADS = 50
_TREATED_LOADS = 100
_DEBUG_LOADS = 15
_BINDS = 20
_DEBUG_BINDS = 5
_DRIVERS = "/sys/bus/virtio/drivers"

# What a rest of the page cache or a slab may differ by, kB; a block that was
# lost is 2048, and fifty loads would lose more than one.
SLACK_KB = 8192
# KASAN keeps what is freed from being used again: so much of memory, one part in.
QUARANTINE = 32


def _loads(guest: Guest, times: int) -> str:
    start = time.monotonic()
    for _ in range(times):
        guest.insmod(MODULE, {"window_ms": 0})
        expect_equal(balloon_driver(guest), "aerator", "driver after insmod")
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
    return f"{times} loads in {time.monotonic() - start:.0f} s"


def _binds(guest: Guest, rounds: int) -> str:
    """By hand, through sysfs: the device goes from one to the other."""
    device = balloon_device(guest).rpartition("/")[2]
    guest.insmod(MODULE, {"takeover": 0, "window_ms": 0})
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after takeover=0")
    for _ in range(rounds):
        for old, new in (("virtio_balloon", "aerator"), ("aerator", "virtio_balloon")):
            guest.run(f"echo {device} >{_DRIVERS}/{old}/unbind")
            guest.run(f"echo {device} >{_DRIVERS}/{new}/bind")
            expect_equal(balloon_driver(guest), new, "driver after bind")
    guest.run("rmmod aerator")
    return f"{rounds} rounds of bind and unbind"


def _set_balloon(guest: Guest, mib: int) -> None:
    """Have the host leave the guest so much, and wait until it is so."""
    guest.qmp.execute("balloon", value=mib * MIB)
    deadline = time.monotonic() + 60
    while guest.qmp.execute("query-balloon")["actual"] != mib * MIB:
        expect(time.monotonic() < deadline, f"balloon did not get to {mib} MiB")
        time.sleep(0.2)


def _balloon_works(guest: Guest, mem: int) -> None:
    """virtio_balloon inflates and deflates, as the host sees it."""
    for target in (mem // 2, mem):
        _set_balloon(guest, target)


def _times(kernel: str) -> tuple[int, int]:
    """How often it is loaded, and bound."""
    if is_debug(kernel):
        return _DEBUG_LOADS, _DEBUG_BINDS
    return _TREATED_LOADS if is_treated(kernel) else _LOADS, _BINDS


def lifecycle(kernel: str) -> Iterator[str]:
    """Load, unload, bind and unbind again and again beside a churn: no memory is lost."""
    mem = 1024
    loads, binds = _times(kernel)
    with make_guest(kernel, "lifecycle", mem=mem, time_limit=600) as guest:
        guest.run("modprobe virtio_balloon")
        # Once before the count: what a first load allocates for good.
        guest.insmod(MODULE)
        guest.run("rmmod aerator")
        total, free = meminfo(guest, "MemTotal"), settled_free(guest)

        churn = guest.start_job("memtool churn 300 50 1000")
        yield _loads(guest, loads)
        yield _binds(guest, binds)
        churn.signal("KILL")
        churn.wait(check=False)

        expect_equal(meminfo(guest, "MemTotal"), total, "MemTotal")
        lost = free - settled_free(guest)
        slack = SLACK_KB + (total // QUARANTINE if is_debug(kernel) else 0)
        expect(lost < slack, f"{lost} kB of MemFree are gone")
        yield f"free memory differs by {-lost} kB, MemTotal by none"
        _balloon_works(guest, mem)


def inflated(kernel: str) -> None:
    """A balloon stays as large as the host wants it, whoever has the device."""
    mem, target = 1024, 512
    with make_guest(kernel, "inflated", mem=mem) as guest:
        guest.run("modprobe virtio_balloon")
        full = meminfo(guest, "MemTotal")
        _set_balloon(guest, target)
        folder = load_aerator(guest)
        _set_balloon(guest, target)
        expect_equal(int(guest.read(f"{folder}/inflated_bytes")), (mem - target) * MIB,
                     "inflated_bytes")
        expect_equal(meminfo(guest, "MemTotal"), full - (mem - target) * 1024, "MemTotal")
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
        _set_balloon(guest, target)
        _set_balloon(guest, mem)
        expect_equal(meminfo(guest, "MemTotal"), full, "MemTotal in the end")


# The checkers see more than the same kernel without them.
CASES = [*on_kernels(lifecycle, (*GUEST_KERNELS, KASAN, PAGEALLOC)),
         *on_kernels(lifecycle, TREATED_KERNELS, long=True),
         *on_kernels(inflated)]
