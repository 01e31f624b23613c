# SPDX-License-Identifier: GPL-2.0
"""No page in use is ever reported: what programs hold stays what it was."""

from __future__ import annotations

from collections.abc import Iterator

from .harness import (DEBUG_KERNELS, GUEST_KERNELS, MIB, TREATED_KERNELS, counters, expect,
                      is_debug, is_treated, load_aerator, make_guest, on_kernels)

_SECONDS = 75
_DEBUG_SECONDS = 40


def integrity(kernel: str) -> Iterator[str]:
    """Eager settings, so that as much as can be is reported while two programs
    check gigabytes of their own and a third takes and frees."""
    # A kernel with checkers does a part in the time, and needs memory for them.
    part, seconds = (4, _DEBUG_SECONDS) if is_debug(kernel) else (1, _SECONDS)
    params = {"reactors": 2, "reactor_size": 64, "order": 4} if is_treated(kernel) else {}
    with make_guest(kernel, "integrity", mem=4096 // part + 512 * (part > 1),
                    time_limit=600) as guest:
        folder = load_aerator(guest, window_ms=0, **params)
        jobs = [guest.start_job(f"memtool pattern {1536 // part} {seconds}"),
                guest.start_job(f"memtool --small pattern {512 // part} {seconds}"),
                guest.start_job(f"memtool churn {700 // part} 100 {seconds}")]
        for job in jobs:
            yield job.wait(seconds + 180).strip()
        reported = counters(guest, folder)["reported_bytes"] // MIB
        expect(reported > 4096 // part, f"only {reported} MiB were reported meanwhile")
        yield f"{reported / 1024:.1f} GiB reported meanwhile"


# The checkers see more than the same kernel without them.
CASES = on_kernels(integrity, DEBUG_KERNELS, rarely=(*GUEST_KERNELS, *TREATED_KERNELS))
