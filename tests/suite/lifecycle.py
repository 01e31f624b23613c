# SPDX-License-Identifier: GPL-2.0
"""Loading, unloading, binding and unbinding, again and again, during a churn."""

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

# Noise of the page cache and slabs, kB. A lost block is 2048 kB, and a fault would lose
# several of them in fifty loads.
SLACK_KB = 8192
# KASAN quarantines freed objects: up to 1/QUARANTINE of memory.
QUARANTINE = 32


# A loop in the guest: a request for each step would take most of the time. bound() checks for
# the link that exists as long as a driver has the device.
_LOOP = """
bound() {{
	[ -e {drivers}/$1/{device} ] || {{ echo "round $round: $1 does not have it"; exit 1; }}
}}
round=0
while [ $((round += 1)) -le {times} ]; do
	{steps}
done
"""
LOAD = """
	insmod {module} window_ms=0 || exit
	bound aerator
	rmmod aerator || exit
	bound virtio_balloon
"""
BIND = """
	echo {device} >{drivers}/virtio_balloon/unbind || exit
	echo {device} >{drivers}/aerator/bind || exit
	bound aerator
	echo {device} >{drivers}/aerator/unbind || exit
	echo {device} >{drivers}/virtio_balloon/bind || exit
	bound virtio_balloon
"""
_LOOP_SECONDS = 400
# Log line for a device that did not answer; here the device always answers.
_RESET = "resetting the device"


def repeat(guest: Guest, times: int, steps: str, limit: float = _LOOP_SECONDS) -> float:
    """Repeat steps in the guest; return the seconds."""
    names = {"drivers": _DRIVERS, "module": MODULE,
             "device": balloon_device(guest).rpartition("/")[2]}
    start = time.monotonic()
    guest.run(_LOOP.format(times=times, steps=steps.format(**names), **names),
              timeout=limit)
    return time.monotonic() - start


def _loads(guest: Guest, times: int) -> str:
    return f"{times} loads in {repeat(guest, times, LOAD):.0f} s"


def _binds(guest: Guest, rounds: int) -> str:
    """Move the device between both drivers through sysfs."""
    guest.insmod(MODULE, {"takeover": 0, "window_ms": 0})
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after takeover=0")
    repeat(guest, rounds, BIND)
    guest.run("rmmod aerator")
    return f"{rounds} rounds of bind and unbind"


def _set_balloon(guest: Guest, mib: int) -> None:
    """Set the balloon's target, and wait until it is reached."""
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
    """The numbers of loads and of binds."""
    if is_debug(kernel):
        return _DEBUG_LOADS, _DEBUG_BINDS
    return _TREATED_LOADS if is_treated(kernel) else _LOADS, _BINDS


def lifecycle(kernel: str) -> Iterator[str]:
    """No memory is lost in repeated load, unload, bind and unbind during a churn."""
    mem = 1024
    loads, binds = _times(kernel)
    with make_guest(kernel, "lifecycle", mem=mem, time_limit=600) as guest:
        guest.run("modprobe virtio_balloon")
        # Once before the count: the first load allocates memory that is never freed.
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
        expect(_RESET not in guest.serial_log.read_text(errors="replace"),
               "a device that answers was reset")


def inflated(kernel: str) -> None:
    """The balloon keeps its size when the device moves to another driver."""
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


# Debug kernels find more than the same kernel without checkers.
_OTHERS = tuple(kernel for kernel in GUEST_KERNELS if kernel != "6.12")

CASES = [*on_kernels(lifecycle, ("6.12", KASAN, PAGEALLOC),
                     rarely=(*_OTHERS, *TREATED_KERNELS)),
         *on_kernels(inflated, ("6.12",), rarely=_OTHERS)]
