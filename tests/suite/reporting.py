# SPDX-License-Identifier: GPL-2.0
"""Stock kernels: what aerator takes for granted of the kernel's own page reporting, and
what holds where that is not so."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aerator_vm import Guest

from .harness import MIB, counters, expect, load_aerator, make_guest, on_kernels, wait_until

_STOCK = "6.12"

_ARMED = "/sys/kernel/debug/kprobes/enabled"
_TRACED = "/proc/sys/kernel/ftrace_enabled"
_DEAF = "the kprobe is in place, and is not hit"
_REST_SECONDS = 2
_HEARS = "frees are noticed early again"


def _log(guest: Guest) -> str:
    """What the kernel said since the last call."""
    return guest.run("dmesg -c")


def _release(guest: Guest, folder: str, mib: int = 300) -> float:
    """Seconds until the host was told of most of what was freed. Then nothing of ours is
    under way for long enough that the next free wakes it."""
    job = guest.start_job(f"memtool hold {mib}")
    job.wait_for("touched", 120)
    before = counters(guest, folder)["reported_bytes"]
    job.tell()
    took = wait_until("what was freed is reported", 60, lambda: (
        counters(guest, folder)["reported_bytes"] >= before + mib * MIB * 3 // 4))
    time.sleep(_REST_SECONDS)
    return took


def deaf_probe(kernel: str) -> Iterator[str]:
    """A probe that is switched off behind our back is found out by two frees, and
    said once; memory goes back all the same."""
    with make_guest(kernel, "deaf-probe", mem=1024) as guest:
        folder = load_aerator(guest)
        _log(guest)
        early = _release(guest, folder)
        expect("frees" not in _log(guest), "the log speaks of a probe that is hit")
        for switch, times in (_ARMED, 3), (_TRACED, 2):
            guest.run(f"echo 0 >{switch}")
            late = [_release(guest, folder) for _ in range(times)]
            log = _log(guest)
            expect(log.count(_DEAF) == 1, f"{switch}: not said once that the probe is deaf:\n{log}")
            guest.run(f"echo 1 >{switch}")
            _release(guest, folder)
            expect(_HEARS in _log(guest), f"{switch}: not said that the probe hears again")
            yield f"back after {early:.1f} s, {min(late):.1f} s without {switch}"


CASES = [*on_kernels(deaf_probe, (_STOCK,))]
