# SPDX-License-Identifier: GPL-2.0
"""A guest that frees memory and allocates it again, over and over, and then stops.

Memory that was reported in a gap is a refault when the gap is over: the host has to fault
it in and zero it, and the guest waits for that. Memory that was not reported occupies the
host for nothing. After the last round all of it should be reported, and soon.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aerator_vm import Guest
from aerator_vm.events import TRACE, discards
from aerator_vm.host import Sample
from aerator_vm.release import NotReturned, Recording, Release, await_return

from .. import churngoals, plots
from ..contestant import ALL, Contestant
from ..figure import Case, Figure
from ..goals import Goal
from ..held import (GIB, MIB, faults, gib_seconds, mean_gib, mean_rss_gib, refaulted,
                    warm_up)
from ..results import Results

MEM = 3072
TIMES = ("mean_ms", "slice_p99_ms", "max_ms")
BESIDE = ("host_faults", "host_faults_round", "max_ms", "mean_rss_gib", "rounds")
GAPS = (0, 0.1, 0.3, 1, 3)
CHURN_MIB = 512
_LEAD_SECONDS = 3
# Rounds from which a driver may learn, and the time that each takes in addition to its gap.
_LEARN_ROUNDS = 12
_ROUND_SECONDS = 0.5
_SECONDS = 15
_SECONDS_LONG_GAP = 25
# Memory that is back after 20 s must still be seen to come to rest.
_CEILING_SECONDS = 25
# The longest time that the command needs to sort its times, and its end to reach the host.
_ANSWER_SECONDS = 0.1
# Mean and maximum are of whole rounds; the percentile is of all slices of 2 MiB, as a gap
# has less than a hundred rounds.
_LINE = re.compile(r"rounds (\d+) mean_ms (\S+) slice_p99_ms (\S+) max_ms (\S+)")


def variant(gap: float) -> str:
    return f"gap {gap:g} s"


class Churned(NamedTuple):
    """Figures of the time in which a guest churned: the host's, and the guest's own."""

    samples: Sequence[Sample]
    rounds: int
    mean_ms: float
    slice_p99_ms: float
    max_ms: float
    dropped: int  # bytes


def lead(guest: Guest) -> None:
    """Churn for a moment: the emulator translates code that runs for the first time, and
    needs memory for that."""
    _churn(guest, 0, _LEAD_SECONDS)


def _churn(guest: Guest, gap: float, seconds: int) -> str:
    return guest.run(f"memtool churn {CHURN_MIB} {gap * 1000:.0f} {seconds}",
                     timeout=seconds * 2 + 60)


def _counted(guest: Guest, recording: Recording, gap: float, seconds: int) -> Churned:
    before, began = len(discards(guest)), guest.host.sample()
    output = _churn(guest, gap, seconds)
    ended = guest.host.sample()
    dropped = sum(discard.bytes for discard in discards(guest)[before:])
    rounds, mean, slice_p99, most = _LINE.findall(output)[0]
    samples = [sample for sample in recording.samples
               if began.time < sample.time < ended.time]
    return Churned([began, *samples, ended], int(rounds), float(mean), float(slice_p99),
                   float(most), dropped)


class End(NamedTuple):
    """Figures of the time after the last free."""

    back_90_s: float  # seconds until 90 % of the memory returned in the end was back
    back_99_s: float
    for_nothing: float  # GiB*s that the host held after the end of the churn


# As if the host had held all memory of the last free until the end of the measurement.
_ALL_FOR_NOTHING = CHURN_MIB * MIB / GIB * _CEILING_SECONDS
_NEVER_BACK = End(math.inf, math.inf, _ALL_FOR_NOTHING)
# A guest that reports nothing: no times, and the host holds all of that memory.
_NOT_REPORTED = End(math.nan, math.nan, _ALL_FOR_NOTHING)


def _end(guest: Guest, recording: Recording, gap: float, ended_at: float) -> End:
    """The figures of a driver that reports. If less than half of the memory comes back, or
    the curve still falls at the ceiling, the times are infinite."""
    freed_at = recording.mark_free(ended_at - gap - _ANSWER_SECONDS)
    try:
        await_return(guest, recording, "", CHURN_MIB, _CEILING_SECONDS)
    except NotReturned:
        return _NEVER_BACK
    release = Release("", "", freed_at, recording.samples)
    after = [sample for sample in recording.samples if sample.time >= ended_at]
    rest = release.stayed_bytes / GIB * (after[-1].time - after[0].time)
    return End(release.seconds_to(0.9), release.seconds_to(0.99), gib_seconds(after) - rest)


def _figures(seen: Churned, end: End, seconds: int) -> Iterator[tuple[str, float, str]]:
    """Name, value and unit of each figure, the most important ones first."""
    yield "mean_gib", mean_gib(seen.samples), "GiB"
    # A guest that waits for the host churns for longer than it was told to.
    yield "gib_seconds", mean_gib(seen.samples) * seconds + end.for_nothing, "GiB*s"
    yield "refaulted_mib_round", refaulted(seen.samples) / MIB / seen.rounds, "MiB"
    yield "dropped_mib_round", seen.dropped / MIB / seen.rounds, "MiB"
    yield "mean_ms", seen.mean_ms, "ms"
    yield "slice_p99_ms", seen.slice_p99_ms, "ms"
    yield "max_ms", seen.max_ms, "ms"
    yield "last_back_90_s", end.back_90_s, "s"
    yield "last_back_s", end.back_99_s, "s"
    yield "host_faults_round", faults(seen.samples) / seen.rounds, "1"
    yield "host_faults", faults(seen.samples), "1"
    yield "mean_rss_gib", mean_rss_gib(seen.samples), "GiB"
    yield "rounds", seen.rounds, "1"


def gap_figures(guest: Guest, contestant: Contestant, gap: float, variant: str,
                seconds: int = _SECONDS) -> Iterator[Figure]:
    """Measure one gap, from a guest at rest until it is at rest again."""
    _churn(guest, gap, math.ceil(_LEARN_ROUNDS * (gap + _ROUND_SECONDS)))
    with Recording(guest.host) as recording:
        seen = _counted(guest, recording, gap, seconds)
        end = (_end(guest, recording, gap, seen.samples[-1].time) if contestant.driver
               else _NOT_REPORTED)
    for metric, value, unit in _figures(seen, end, seconds):
        yield Figure(variant, metric, value, unit)


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    with contestant.guest("churn", mem=MEM, qemu_args=TRACE, time_limit=900) as guest:
        lead(guest)
        warm_up(guest, MEM)
        for gap in GAPS:
            seconds = _SECONDS_LONG_GAP if gap > 1 else _SECONDS
            yield from gap_figures(guest, contestant, gap, variant(gap),
                                   seconds // 3 if quick else seconds)


def _goals(results: Results) -> Iterator[Goal]:
    noise, gaps = churngoals.Noise(), [variant(gap) for gap in GAPS]
    # In a longer gap, memory should be reported.
    short = [variant(gap) for gap in GAPS if gap <= 1]
    yield from churngoals.patched(results, short, noise)
    yield from churngoals.stock(results, gaps, noise)
    yield from churngoals.held(results, gaps, noise)


CASE = Case("churn", f"{CHURN_MIB} MiB touched and freed, over and over, with a gap between",
            ALL, _run, _goals, plots.churn, TIMES, BESIDE, jobs=2)
