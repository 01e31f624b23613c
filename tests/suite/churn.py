# SPDX-License-Identifier: GPL-2.0
"""A guest that takes memory back all the time: what of it goes to the host meanwhile.

What that costs, beside virtio_balloon and beside nobody, is for group bench.
"""

from __future__ import annotations

from collections.abc import Iterator

from .harness import (DEBUG_KERNELS, MIB, TREATED, counters, expect,
                      load_aerator, make_guest, on_kernels)

_CHURN_MIB = 512
_EAGER_SECONDS = 30


def regret(kernel: str) -> Iterator[str]:
    """Memory that is used for long before it is freed again: that it was taken
    back is seen when it is, not when it is freed the next time."""
    window_ms, gap_ms, use_ms = 250, 400, 5 * 250
    with make_guest(kernel, "regret") as guest:
        folder = load_aerator(guest, window_ms=window_ms)
        guest.run(f"memtool churn {_CHURN_MIB} {gap_ms} 12 {use_ms}")
        before = counters(guest, folder)["reported_bytes"]
        output = guest.run(f"memtool churn {_CHURN_MIB} {gap_ms} 20 {use_ms}")
        reported = counters(guest, folder)["reported_bytes"] - before
    rounds = int(output.split()[1])
    share = reported / (rounds * _CHURN_MIB * MIB)
    yield f"{share:.0%} of what was freed went to the host in {rounds} rounds"
    expect(share < 0.7, "all of it goes, round after round")


def churn_eager(kernel: str) -> Iterator[str]:
    """For checkers: as much as can be goes and comes, and is small and large."""
    with make_guest(kernel, "churn-eager", mem=1536) as guest:
        folder = load_aerator(guest, window_ms=0, reactors=2, order=4)
        jobs = [guest.start_job(f"memtool churn 300 100 {_EAGER_SECONDS}"),
                guest.start_job(f"memtool --small churn 150 70 {_EAGER_SECONDS}")]
        for job in jobs:
            yield job.wait(_EAGER_SECONDS + 120).strip()
        reported = counters(guest, folder)["reported_bytes"]
        expect(reported > 2 << 30, f"only {reported} bytes were reported meanwhile")
        yield f"{reported / (1 << 30):.1f} GiB reported meanwhile"


CASES = [*on_kernels(regret, ("6.12", TREATED), cores=1),
         *on_kernels(churn_eager, DEBUG_KERNELS)]
