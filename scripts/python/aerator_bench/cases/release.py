# SPDX-License-Identifier: GPL-2.0
"""A guest frees most of its memory at once, and then does nothing.

back_99_s           until 99 % of the memory that came back in the end was back
back_99_of_freed_s  until 99 % of the freed memory was back: inf, if more than 1 % is kept
kept_mib            freed memory that did not come back
kept_rss_mib        the same, measured by QEMU's RSS
"""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm import Guest
from aerator_vm.release import NotReturned, Release, host_memory, record_release

from .. import plots
from ..contestant import ALL, CONTESTANTS, STOCK, TREATED, Contestant
from ..figure import Case, Curve, Figure
from ..goals import Goal
from ..results import Results

_MEM = 4096
_FREED_MIB = 3000
_VARIANT = f"{_FREED_MIB} MiB"
_MIB = 1 << 20
BACK_SECONDS = 1.5
# Newer kernels keep tens of MiB of a large free in per-CPU lists.
_KEPT_MIB = 150


def recorded(guest: Guest, contestant: Contestant, mib: int) -> Release:
    """Record a release; one whose curve does not come to rest is a result, too."""
    try:
        return record_release(guest, contestant.name, mib=mib)
    except NotReturned as failure:
        return failure.release


def _times(release: Release, mib: int) -> Iterator[tuple[str, float]]:
    for percent in (50, 90, 99):
        yield f"back_{percent}_s", release.seconds_to(percent / 100)
    for percent in (95, 99):
        yield (f"back_{percent}_of_freed_s",
               release.seconds_to_bytes(percent / 100 * mib * _MIB))


def figures(release: Release, mib: int, variant: str) -> Iterator[Figure | Curve]:
    """Times until shares of the memory were back, and the amount that was kept."""
    for metric, seconds in _times(release, mib):
        yield Figure(variant, metric, seconds, "s")
    back = (release.held_bytes - release.stayed_bytes) / _MIB
    yield Figure(variant, "kept_mib", mib - back, "MiB")
    rss_back = (release.held.rss - release.samples[-1].rss) / _MIB
    yield Figure(variant, "kept_rss_mib", mib - rss_back, "MiB")
    yield Curve(variant, [(sample.time - release.freed_at, host_memory(sample) / _MIB)
                          for sample in release.samples])


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure | Curve]:
    with contestant.guest("release", mem=_MEM) as guest:
        release = recorded(guest, contestant, _FREED_MIB)
    yield from figures(release, _FREED_MIB, _VARIANT)


def goals(results: Results, variant: str, noise_seconds: float = 0,
          share: int = 99) -> Iterator[Goal]:
    """Memory that comes back in the end comes soon, and little of it is missing."""
    for kernel in (STOCK, TREATED):
        ours = f"aerator-{kernel}"
        yield Goal(f"{kernel}, {variant} freed: {share} % of what comes back in the end is back",
                   results.median(ours, variant, f"back_{share}_s"),
                   BACK_SECONDS, "s", noise_seconds)
        yield Goal(f"{kernel}, {variant} freed: not back in the end",
                   results.median(ours, variant, "kept_mib"), _KEPT_MIB, "MiB")


def _goals(results: Results) -> Iterator[Goal]:
    yield from goals(results, _VARIANT)


CASE = Case("release", f"a guest of {_MEM} MiB frees {_FREED_MIB} MiB at once, and is idle",
            [name for name in ALL if CONTESTANTS[name].driver], _run, _goals, plots.release,
            jobs=2)
