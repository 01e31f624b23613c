# SPDX-License-Identifier: GPL-2.0
"""A guest that frees and allocates the same memory all the time (churn).

The cost, compared with virtio_balloon and with no reports, is measured by group bench.
"""

from __future__ import annotations

from collections.abc import Iterator

from .harness import (DEBUG_KERNELS, MIB, TREATED, counters, expect,
                      load_aerator, make_guest, on_kernels)

_CHURN_MIB = 512
_EAGER_SECONDS = 30


def regret(kernel: str) -> Iterator[str]:
    """Churn with long times of use is learnt, too: the policy sees the fall of free memory
    when it begins, not at the next free. The window becomes longer than the pause, and the
    memory stays with the guest."""
    churn = f"memtool churn {_CHURN_MIB} 400"
    # With icount, a pause between two requests would add to the guest's time: use one request.
    with make_guest(kernel, "regret", icount=True) as guest:
        folder = load_aerator(guest)
        before, output, after = guest.run(
            f"cd {folder} && {churn} 12 1250 >/dev/null && cat reported_bytes &&"
            f" {churn} 20 1250 && cat reported_bytes", timeout=200).splitlines()
    reported = int(after) - int(before)
    rounds = int(output.split()[1])
    share = reported / (rounds * _CHURN_MIB * MIB)
    yield f"{share:.0%} of the freed memory was reported in {rounds} rounds"
    expect(share < 0.1, "memory that the guest soon allocates again is reported")


def churn_eager(kernel: str) -> Iterator[str]:
    """Memory checkers find nothing while large and small pages are reported and allocated as
    often as possible."""
    with make_guest(kernel, "churn-eager", mem=1536) as guest:
        folder = load_aerator(guest, window_ms=0, reactors=2, order=4)
        jobs = [guest.start_job(f"memtool churn 300 100 {_EAGER_SECONDS}"),
                guest.start_job(f"memtool --small churn 150 70 {_EAGER_SECONDS}")]
        for job in jobs:
            yield job.wait(_EAGER_SECONDS + 120).strip()
        reported = counters(guest, folder)["reported_bytes"]
        expect(reported > 2 << 30, f"only {reported} bytes were reported meanwhile")
        yield f"{reported / (1 << 30):.1f} GiB reported meanwhile"


CASES = [*on_kernels(regret, (TREATED,), rarely=("6.12",)),
         *on_kernels(churn_eager, DEBUG_KERNELS)]
