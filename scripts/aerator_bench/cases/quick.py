# SPDX-License-Identifier: GPL-2.0
"""Enough of the cases release and churn to see in minutes that they still hold.

One guest does both: that it frees nearly all of its memory is what has to come
before the churn anyway.
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

# What one round of ten seconds does not know better. Where virtio_balloon's passes
# fall between frees is luck, and one may bring back what the next free needs: its
# refaults differ by half between two rounds, its last free by a pass of two seconds.
# A gap of a second that takes 0.2 s more in an emulated guest is longer than the window that
# it has taught, and a batch of 128 MiB goes: 18 MiB a round of seven.
# A host that others use takes a quarter of a guest's speed and more: what its allocations
# cost a guest is judged by the memory that they fault in again, not by their time. Newer kernels
# park memory in the lists of their processors for seconds, which is more than the last
# hundredth of a free: nine tenths are to be back in time. And of all gaps the one of a second
# is where virtio_balloon holds least, as it gives away what the guest wants back.
_SHARE = 90
_NOISE = churngoals.Noise(back=f"last_back_{_SHARE}_s", refaulted_mib=20,
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
