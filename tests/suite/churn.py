# SPDX-License-Identifier: GPL-2.0
"""A guest that takes memory back all the time pays no more than before.

What it pays is host faults: each block that was reported and is used again is
one, or many. They are counted from outside, driver against driver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .harness import (MIB, MODULE, counters, expect, load_aerator, make_guest,
                      on_kernels)

_CHURN_MIB = 512
_SECONDS = 25
_GAPS_MS = (300, 1000)

# Where passes fall between two frees is luck, for both of them.
_NOISE = 1.25


@dataclass(frozen=True)
class Cost:
    faults: int
    rounds: int

    @property
    def a_round(self) -> float:
        return self.faults / self.rounds


def _churn(kernel: str, driver: str, gap_ms: int) -> Cost:
    with make_guest(kernel, f"churn-{driver}-{gap_ms}", mem=3072) as guest:
        guest.run("modprobe virtio_balloon")
        if driver == "aerator":
            guest.insmod(MODULE)
        # The first time costs host faults with any driver, and is not counted.
        guest.run(f"memtool churn {_CHURN_MIB} {gap_ms} 5")
        before = guest.host.minor_faults()
        output = guest.run(f"memtool churn {_CHURN_MIB} {gap_ms} {_SECONDS}",
                           timeout=_SECONDS + 60)
        rounds = re.search(r"rounds (\d+)", output)
        assert rounds, output
        return Cost(guest.host.minor_faults() - before, int(rounds[1]))


def churn(kernel: str) -> Iterator[str]:
    failed = []
    for gap_ms in _GAPS_MS:
        ours = _churn(kernel, "aerator", gap_ms)
        theirs = _churn(kernel, "virtio_balloon", gap_ms)
        line = (f"gap {gap_ms} ms: {ours.a_round:.0f} host faults a round"
                f" ({ours.rounds} rounds), virtio_balloon {theirs.a_round:.0f}"
                f" ({theirs.rounds})")
        yield line
        if ours.a_round > theirs.a_round * _NOISE:
            failed.append(line)
    expect(not failed, "more than virtio_balloon: " + "; ".join(failed))


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


CASES = [*on_kernels(churn, ("6.12",)), *on_kernels(regret, ("6.12",))]
