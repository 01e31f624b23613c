# SPDX-License-Identifier: GPL-2.0
"""How much memory is reported, and when: parameters and flush have their effect.

The benchmark (tests/suite/bench.py) measures whether a churning guest keeps its memory, and
returns it after the churn.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

from aerator_vm import Guest
from aerator_vm.balloon import park_little
from aerator_vm.release import record_release

from .harness import (MIB, PARAMETERS, TREATED, Case, counters, expect, is_treated,
                      load_aerator, make_guest, module_file, on_kernels, wait_until)

_KERNELS = ("6.12", TREATED)
_GUEST_MIB = 2048

# A batch of the kernel's page reporting is accepted or refused as a whole.
_BATCH_MIB = 128
# Free blocks below the order, and free memory of a zone that is too small for reports.
_FRAGMENTS_MIB = 64


def _set(guest: Guest, **params: int) -> None:
    for name, value in params.items():
        guest.run(f"echo {value} >{PARAMETERS}/{name}")


def _flushed(guest: Guest, folder: str) -> dict[str, float]:
    """The amounts in the device's files after a flush, in MiB."""
    guest.run(f"echo 1 >{folder}/flush", timeout=90)
    return _amounts(guest, folder)


def _amounts(guest: Guest, folder: str) -> dict[str, float]:
    found = {name: value / MIB for name, value in counters(guest, folder).items()
             if name.endswith("_bytes")}
    for line in guest.run("cat /proc/meminfo").splitlines():
        name, value = line.split()[:2]
        found[name.removesuffix(":")] = int(value) / 1024
    return found


def _expect_between(low: float, found: float, high: float, what: str) -> None:
    expect(low <= found <= high, f"{what}: {found:.0f}, not {low:.0f} to {high:.0f} MiB")


def amounts(kernel: str) -> Iterator[str]:
    """Raw and treated memory add up to free memory, also if the kernel counts neither."""
    with make_guest(kernel, "amounts", mem=_GUEST_MIB) as guest:
        park_little(guest)
        folder = load_aerator(guest, enabled=0)
        before = _amounts(guest, folder)
        _set(guest, enabled=1)
        _flushed(guest, folder)
        # Memory is surplus once it has been free for a window.
        guest.run("sleep 3")
        after = _amounts(guest, folder)
    for found in before, after:
        both = found["raw_bytes"] + found["treated_bytes"]
        _expect_between(found["MemFree"] - 8, both, found["MemFree"] + 8, "both")
    _expect_between(0, before["treated_bytes"], 0, "treated before anything was")
    _expect_between(0, after["raw_bytes"], _FRAGMENTS_MIB, "raw after a flush")
    _expect_between(after["treated_bytes"] - 2, after["surplus_bytes"],
                    after["MemFree"], "surplus")
    yield f"raw {after['raw_bytes']:.0f} MiB, treated {after['treated_bytes']:.0f} MiB"


def limits(kernel: str) -> Iterator[str]:
    """The reserve stays raw, and at most share_pct of memory is treated."""
    slack = 4 if is_treated(kernel) else _BATCH_MIB
    with make_guest(kernel, "limits", mem=_GUEST_MIB) as guest:
        park_little(guest)
        folder = load_aerator(guest, reserve_mb=700)
        held = _flushed(guest, folder)
        # The guest uses raw memory: the shell takes some of it.
        _expect_between(700 - 16, held["raw_bytes"], 700 + _FRAGMENTS_MIB + slack, "reserve")
        _set(guest, reserve_mb=0, enabled=0)
        guest.run("echo | memtool hold 1500", timeout=120)
        _set(guest, share_pct=25, enabled=1)
        shared = _flushed(guest, folder)
        share = shared["MemTotal"] / 4
        _expect_between(share - slack - 4, shared["treated_bytes"], share + 4, "share")
        _set(guest, share_pct=100)
        rest = _flushed(guest, folder)
        _expect_between(0, rest["raw_bytes"], _FRAGMENTS_MIB, "raw without limits")
    yield (f"raw with a reserve of 700 MiB: {held['raw_bytes']:.0f} MiB; treated with a share"
           f" of {share:.0f} MiB: {shared['treated_bytes']:.0f} MiB")


def _reported(guest: Guest, folder: str) -> tuple[float, float]:
    """MiB reported so far, and the guest's uptime."""
    reported, uptime = guest.run(f"cat {folder}/reported_bytes /proc/uptime").splitlines()
    return int(reported) / MIB, float(uptime.split()[0])


def rate(kernel: str) -> Iterator[str]:
    """rate_mb limits the average rate of reports, whatever the size of the kernel's batches."""
    wanted, seconds = 100, 8
    with make_guest(kernel, "rate", mem=_GUEST_MIB) as guest:
        folder = load_aerator(guest, rate_mb=wanted, window_ms=100)
        # At the beginning the token bucket is full: one second's worth, and a batch more.
        time.sleep(3)
        before, began = _reported(guest, folder)
        time.sleep(seconds)
        after, ended = _reported(guest, folder)
    average = (after - before) / (ended - began)
    _expect_between(wanted - _BATCH_MIB / seconds, average, wanted + _BATCH_MIB / seconds,
                    "a second")
    yield f"{average:.1f} MiB a second of {wanted}"


_WINDOW_MS = 2000
_PRESSED_SECONDS = 3 * _WINDOW_MS / 1000
_PRESSING = 5  # seconds
_RECLAIM_MODULE = "/reclaim.ko"


def _pressed(guest: Guest, folder: str, path: str) -> float:
    """MiB that were reported while 1000 MiB were free, and a file was written repeatedly."""
    guest.run("echo | memtool hold 1000", timeout=120)
    before = _amounts(guest, folder)
    guest.run(f"for i in $(seq {5 * _PRESSING}); do echo 2 >{path}; sleep 0.2; done")
    return _amounts(guest, folder)["reported_bytes"] - before["reported_bytes"]


def pressure(kernel: str) -> Iterator[str]:
    """While memory is reclaimed nothing is reported, however long it has been free; writing to
    drop_caches does not count as reclaim."""
    reclaim = module_file(kernel, "tests/reclaim")
    with make_guest(kernel, "pressure", mem=_GUEST_MIB,
                    files={_RECLAIM_MODULE: reclaim}) as guest:
        folder = load_aerator(guest, window_ms=_WINDOW_MS)
        guest.insmod(_RECLAIM_MODULE)
        _flushed(guest, folder)
        pressed = _pressed(guest, folder, "/sys/module/reclaim/parameters/once")
        then = _amounts(guest, folder)["reported_bytes"]
        took = wait_until("memory is reported once it is not short", _PRESSED_SECONDS, lambda: (
            _amounts(guest, folder)["reported_bytes"] > then + 700))
        dropped = _pressed(guest, folder, "/proc/sys/vm/drop_caches")
    expect(pressed < 16, f"{pressed:.0f} MiB were reported while memory was short")
    expect(dropped > 700, f"only {dropped:.0f} MiB were reported while caches were dropped")
    yield (f"nothing for {_PRESSING} s, then 700 MiB within {took:.1f} s; while caches are"
           f" dropped by hand {dropped:.0f} MiB")


_FLUSHES = 10
_PAUSE_SECONDS = 0.3
_FLUSHED_MIB = 600


def _flush_some(guest: Guest, folder: str) -> int:
    """Free some memory and flush; return how many MiB are raw right after that."""
    raw = guest.run(f"echo | memtool hold {_FLUSHED_MIB} >/dev/null;"
                    f" echo 1 >{folder}/flush && cat {folder}/raw_bytes", timeout=90)
    return int(raw) // MIB


def flush(kernel: str) -> Iterator[str]:
    """A flush returns soon, once all memory that was surplus at its beginning is treated, even
    during a churn."""
    with make_guest(kernel, "flush", mem=_GUEST_MIB) as guest:
        folder = load_aerator(guest)
        churns = [guest.start_job(f"memtool churn {mib} 0 1000") for mib in (300, 40)]
        before = _amounts(guest, folder)
        began = time.monotonic()
        guest.run(f"for i in $(seq {_FLUSHES}); do sleep {_PAUSE_SECONDS};"
                  f" echo 1 >{folder}/flush || exit; done", timeout=90)
        took = time.monotonic() - began - _FLUSHES * _PAUSE_SECONDS
        after = _amounts(guest, folder)
        for churn in churns:
            churn.signal("KILL")
            churn.wait(check=False)
        left = [_flush_some(guest, folder) for _ in range(3)]
    reported = after["reported_bytes"] - before["reported_bytes"]
    expect(reported > _GUEST_MIB / 2, f"only {reported:.0f} MiB were reported")
    expect(took < _FLUSHES, f"{_FLUSHES} flushes took {took:.0f} s")
    expect(max(left) < _BATCH_MIB + _FRAGMENTS_MIB,
           f"flushes of {_FLUSHED_MIB} MiB each left {left} MiB raw")
    yield f"{_FLUSHES} flushes during a churn: {took:.1f} s, {reported:.0f} MiB"


# The window and some slack; without the early notification, two seconds more.
_NOTICED_SECONDS = 2.5


def notice(kernel: str) -> Iterator[str]:
    """A free is noticed early also if the kprobe is a breakpoint: without ftrace, and without
    jump optimization."""
    with make_guest(kernel, "notice", mem=_GUEST_MIB) as guest:
        guest.run("echo 0 >/proc/sys/debug/kprobes-optimization")
        load_aerator(guest, intake="reporting")
        probes = guest.run("grep __page_reporting_notify /sys/kernel/debug/kprobes/list")
        expect("[" not in probes, f"no breakpoint: {probes}")
        record_release(guest, "aerator", mib=600, ceiling=30)  # ends the reports of the load
        took = [record_release(guest, "aerator", mib=600, ceiling=30).seconds_to(0.9)
                for _ in range(3)]
    expect(min(took) < _NOTICED_SECONDS, f"90 % were back after {took} s")
    yield f"90 % are back after {min(took):.1f} s"


CASES = [Case(f"notice {TREATED}", functools.partial(notice, TREATED), TREATED),
         *on_kernels(flush, _KERNELS), *on_kernels(amounts, _KERNELS),
         *on_kernels(limits, _KERNELS), *on_kernels(rate, _KERNELS),
         *on_kernels(pressure, _KERNELS)]
