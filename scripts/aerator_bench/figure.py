# SPDX-License-Identifier: GPL-2.0
"""What a case is, and what it brings back."""

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

    variant: str  # of the case: "gap 0.3 s"; "gap 1 s, window 0 ms" is one of "gap 1 s"
    metric: str  # "gib_seconds"
    value: float
    unit: str  # "GiB*s"


@dataclass(frozen=True)
class Curve:
    """What a plot shows point by point, of one contestant in one round."""

    variant: str
    points: Sequence[tuple[float, float]]  # seconds, and what the case is about


@dataclass(frozen=True)
class Case:
    """A thing to measure.

    run         measures one contestant once, in a guest of its own, and yields
                what it finds; with True in a quarter of the time, if it can
    contestants names of those that take part
    goals       what has to come out, of the medians of one run
    plot        draws pictures of what was found into the case's folder, in which
                curves.csv is if there are any
    times       metrics that are to be compared with a guest that reports nothing,
                rather than with virtio_balloon's
    beside      metrics that the table would only be wider for: in summary.csv
    jobs        how many contestants may run at the same time, each in a guest: 1
                if that changes the figures
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
