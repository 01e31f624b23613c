# SPDX-License-Identifier: GPL-2.0
"""No page in use is ever reported: what programs hold stays what it was."""

from __future__ import annotations

from collections.abc import Iterator

from .harness import counters, expect, load_aerator, make_guest, on_kernels

_SECONDS = 75


def integrity(kernel: str) -> Iterator[str]:
    """Eager settings, so that as much as can be is reported while two programs
    check gigabytes of their own and a third takes and frees."""
    with make_guest(kernel, "integrity", mem=4096, time_limit=600) as guest:
        folder = load_aerator(guest, window_ms=0)
        jobs = [guest.start_job(f"memtool pattern 1536 {_SECONDS}"),
                guest.start_job(f"memtool --small pattern 512 {_SECONDS}"),
                guest.start_job(f"memtool churn 700 100 {_SECONDS}")]
        for job in jobs:
            yield job.wait(_SECONDS + 180).strip()
        counted = counters(guest, folder)
        expect(counted["reported_bytes"] > 4 << 30,
               f"only {counted['reported_bytes']} bytes were reported meanwhile")
        yield f"{counted['reported_bytes'] / (1 << 30):.1f} GiB reported meanwhile"


CASES = on_kernels(integrity)
