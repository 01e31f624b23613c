# SPDX-License-Identifier: GPL-2.0
"""No page in use is ever reported: the memory of programs keeps its content."""

from __future__ import annotations

from collections.abc import Iterator

from .harness import (DEBUG_KERNELS, GUEST_KERNELS, MIB, TREATED_KERNELS, counters, expect,
                      is_debug, is_treated, load_aerator, make_guest, on_kernels)

_SECONDS = 75
_DEBUG_SECONDS = 40


def integrity(kernel: str) -> Iterator[str]:
    """Programs find their memory unchanged while free memory is reported as often as possible:
    two programs check gigabytes, a third one allocates and frees."""
    # A debug kernel is slower, and needs memory for its checkers.
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


# Debug kernels find more than the same kernel without checkers.
CASES = on_kernels(integrity, DEBUG_KERNELS, rarely=(*GUEST_KERNELS, *TREATED_KERNELS))
