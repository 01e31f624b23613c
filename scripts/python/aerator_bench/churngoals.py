# SPDX-License-Identifier: GPL-2.0
"""Goals for a guest that churns and then stops: its own cost, and that of the host."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .contestant import STOCK, TREATED
from .goals import Goal, less, ratio, total
from .results import Results

_REFAULTED = "refaulted_mib_round"
_REFAULT_SHARE = 0.05
_TIME_RATIO = 1.02
_BACK_SECONDS = 1.5
_TIMES_SOONER = 5


@dataclass(frozen=True)
class Noise:
    """How much worse than its goal a figure of few rounds may be by chance, and the name of
    the metric for the time of the last free.

    time_ratio  None where no guest without reports is measured: the allocation times of a
                short run depend more on the host's load than on the guest
    """

    back: str = "last_back_s"
    refaulted_mib: float = 2.5  # a round: the difference of two guests without reports
    refaulted_ratio: float = 0
    time_ratio: float | None = 0
    back_seconds: float = 0
    back_ratio: float = 0
    held_ratio: float = 0


def patched(results: Results, variants: Sequence[str], noise: Noise) -> Iterator[Goal]:
    """During the churn as good as no reports, afterwards as good as any driver."""
    ours, theirs, none = (f"{driver}-{TREATED}" for driver in
                          ("aerator", "virtio_balloon", "none"))
    for variant in variants:
        def figure(name: str, metric: str) -> float | None:
            return results.median(name, variant, metric)
        base = 0.0 if noise.time_ratio is None else figure(none, _REFAULTED)
        bound = less(figure(theirs, _REFAULTED), base)
        yield Goal(f"{TREATED}, {variant}: refaulted a round, beyond a guest that reports"
                   " nothing", less(figure(ours, _REFAULTED), base),
                   math.nan if bound is None else max(0, _REFAULT_SHARE * bound),
                   "MiB", noise.refaulted_mib)
        if noise.time_ratio is not None:
            yield Goal(f"{TREATED}, {variant}: mean allocation time, times that of a guest"
                       " that reports nothing",
                       ratio(figure(ours, "mean_ms"), figure(none, "mean_ms")),
                       _TIME_RATIO, noise=noise.time_ratio)
        yield Goal(f"{TREATED}, {variant}: last free back", figure(ours, noise.back),
                   _BACK_SECONDS, "s", noise.back_seconds)


def stock(results: Results, variants: Sequence[str], noise: Noise) -> Iterator[Goal]:
    """During the churn no worse than virtio_balloon, afterwards much sooner."""
    def to_theirs(variant: str, metric: str) -> float | None:
        return ratio(*(results.median(f"{driver}-{STOCK}", variant, metric)
                       for driver in ("aerator", "virtio_balloon")))
    for variant in variants:
        yield Goal(f"{STOCK}, {variant}: refaulted a round, times virtio_balloon's",
                   to_theirs(variant, _REFAULTED), 1, noise=noise.refaulted_ratio)
        yield Goal(f"{STOCK}, {variant}: last free back, times virtio_balloon's",
                   to_theirs(variant, noise.back), 1 / _TIMES_SOONER,
                   noise=noise.back_ratio)


def held(results: Results, variants: Sequence[str], noise: Noise) -> Iterator[Goal]:
    """Host memory over time is no more than with virtio_balloon, over all gaps together."""
    for kernel in (STOCK, TREATED):
        ours, theirs = (total(results.median(f"{driver}-{kernel}", variant, "gib_seconds")
                              for variant in variants)
                        for driver in ("aerator", "virtio_balloon"))
        yield Goal(f"{kernel}: GiB*s held, all gaps, times virtio_balloon's",
                   ratio(ours, theirs), 1, noise=noise.held_ratio)
