# SPDX-License-Identifier: GPL-2.0
"""A part of the cases release and churn, which checks their goals in minutes.

One guest does both: the release, which frees nearly all of its memory, is also the
warm-up of the churn.
"""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm.events import TRACE

from .. import churngoals
from ..contestant import STOCK, TREATED, Contestant
from ..figure import Case, Curve, Figure
from ..goals import Goal
from ..held import warm_up
from ..results import Results
from . import release
from .churn import BESIDE, MEM, TIMES, gap_figures, lead, variant

_FREED_MIB = 2600
_FREED = f"{_FREED_MIB} MiB"
_GAPS = (0.3, 1)
_SECONDS = 10

# The noise of one round of ten seconds.
# virtio_balloon's passes fall at random times between frees, and a pass may report what is
# allocated next: its refaults differ by half between two rounds, the time of its last free by
# a pass of two seconds.
# A gap of one second that takes 0.2 s more in an emulated guest is longer than the window
# learnt from it, and a batch of 128 MiB is reported: 18 MiB a round, over seven rounds. Two of
# them are half of what virtio_balloon has refaulted at a gap of 0.3 s.
# Other load on the host slows a guest down by a quarter and more: the cost of allocations is
# judged by refaulted memory, not by time. Newer kernels keep memory in per-CPU lists for
# seconds, more than a hundredth of the last free: the goal is for 90 % of it. Of all gaps,
# virtio_balloon holds least in that of one second, as it reports what the guest needs next.
_SHARE = 90
_NOISE = churngoals.Noise(back=f"last_back_{_SHARE}_s", refaulted_mib=36,
                          refaulted_ratio=0.5, time_ratio=None, back_seconds=0.5,
                          back_ratio=0.45, held_ratio=0.2)


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure | Curve]:
    with contestant.guest("quick", mem=MEM, qemu_args=TRACE) as guest:
        lead(guest)
        if contestant.driver == "aerator":
            yield from release.figures(
                release.recorded(guest, contestant, _FREED_MIB), _FREED_MIB, _FREED)
        else:
            warm_up(guest, MEM)
        for gap in _GAPS:
            yield from gap_figures(guest, contestant, gap, variant(gap),
                                   _SECONDS // 2 if quick else _SECONDS)


def _goals(results: Results) -> Iterator[Goal]:
    gaps = [variant(gap) for gap in _GAPS]
    yield from release.goals(results, _FREED, _NOISE.back_seconds, _SHARE)
    yield from churngoals.patched(results, gaps, _NOISE)
    yield from churngoals.stock(results, gaps, _NOISE)
    yield from churngoals.held(results, gaps, _NOISE)


CASE = Case("quick", "a part of release and churn, for tests",
            [f"{driver}-{kernel}" for kernel in (STOCK, TREATED)
             for driver in ("virtio_balloon", "aerator")],
            _run, _goals, times=TIMES, beside=BESIDE, jobs=2)
