# SPDX-License-Identifier: GPL-2.0
"""Definitions of a case, and of the figures and curves that it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .contestant import Contestant

if TYPE_CHECKING:
    from .goals import Goal
    from .results import Results


@dataclass(frozen=True)
class Figure:
    """One number of one contestant in one round."""

    variant: str  # "gap 0.3 s"; "gap 1 s, window 0 ms" is a subvariant of "gap 1 s"
    metric: str  # "gib_seconds"
    value: float
    unit: str  # "GiB*s"


@dataclass(frozen=True)
class Curve:
    """Points of a plot, of one contestant in one round."""

    variant: str
    points: Sequence[tuple[float, float]]  # seconds, and the value


@dataclass(frozen=True)
class Case:
    """One measurement, its contestants and its goals.

    run         measures one contestant once, in a guest of its own, and yields its
                figures; with True it takes a quarter of the time, if the case can
    contestants names of the contestants
    goals       yields the goals, from the medians of one run
    plot        draws pictures into the case's folder, which has curves.csv if the
                case yields curves
    times       metrics that are compared with a guest that reports nothing, instead
                of with virtio_balloon
    beside      metrics that are left out of the table, and are in summary.csv only
    jobs        number of contestants that may run at the same time, each in a guest:
                1 if parallel runs change the figures
    """

    name: str
    about: str
    contestants: Sequence[str]
    run: Callable[[Contestant, bool], Iterator[Figure | Curve]]
    goals: Callable[[Results], Iterator[Goal]] | None = None
    plot: Callable[[Path, Results], None] | None = None
    times: Sequence[str] = ()
    beside: Sequence[str] = ()
    jobs: int = 1
