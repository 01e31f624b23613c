# SPDX-License-Identifier: GPL-2.0
"""The figures of one case: stored in a file one by one, and looked up by name."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from .contestant import CONTESTANTS, Contestant
from .figure import Curve, Figure


FIGURES = "figures.csv"


class Row(NamedTuple):
    """A line of the figures' file."""

    case: str
    variant: str
    contestant: str
    kernel: str
    round: int
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Spread:
    """One figure over all rounds; inf is the time of an event that never happened."""

    median: float
    least: float
    most: float
    rounds: int


def heading(variant: str) -> str:
    """The heading of a variant in the table: that of "gap 1 s, window 500 ms" is "gap 1 s"."""
    return variant.partition(", ")[0]


class Results:
    """The figures of a run so far."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = list(rows)

    @classmethod
    def read(cls, path: Path) -> Results:
        with path.open(newline="") as file:
            return cls(Row(line["case"], line["variant"], line["contestant"],
                           line["kernel"], int(line["round"]), line["metric"],
                           float(line["value"]), line["unit"])
                       for line in csv.DictReader(file))

    @property
    def variants(self) -> list[str]:
        return list(dict.fromkeys(row.variant for row in self.rows))

    def contestants(self, variant: str | None = None) -> list[str]:
        """Their names in the order of declaration, not in that of the rounds."""
        seen = {row.contestant for row in self.rows if variant in (None, row.variant)}
        return [name for name in CONTESTANTS if name in seen]

    def metrics(self, variant: str) -> dict[str, str]:
        """The metrics of a variant, with their units."""
        return {row.metric: row.unit for row in self.rows if row.variant == variant}

    def spread(self, contestant: str, variant: str, metric: str) -> Spread | None:
        """The spread of a figure; None if it was not measured, or does not exist."""
        values = [row.value for row in self.rows
                  if (row.contestant, row.variant, row.metric)
                  == (contestant, variant, metric) and not math.isnan(row.value)]
        if not values:
            return None
        return Spread(median(values), min(values), max(values), len(values))

    def median(self, contestant: str, variant: str, metric: str) -> float | None:
        spread = self.spread(contestant, variant, metric)
        return spread.median if spread else None


class Store:
    """A folder with the figures of one case. Each figure is written at once, so that an
    interrupted run keeps it."""

    def __init__(self, folder: Path, case: str) -> None:
        self.results = Results()
        self._case = case
        folder.mkdir(parents=True, exist_ok=True)
        self._figures = folder / FIGURES
        self._curves = folder / "curves.csv"
        _append(self._figures, [Row._fields])

    def add(self, contestant: Contestant, number: int,
            found: Iterable[Figure | Curve]) -> None:
        """Append the figures and curves of a contestant in one round."""
        for thing in found:
            if isinstance(thing, Curve):
                _append(self._curves, ((contestant.name, number, thing.variant,
                                        f"{seconds:.3f}", f"{value:.6g}")
                                       for seconds, value in thing.points))
                continue
            row = Row(self._case, thing.variant, contestant.name, contestant.kernel,
                      number, thing.metric, thing.value, thing.unit)
            self.results.rows.append(row)
            _append(self._figures, [row])


def _append(path: Path, rows: Iterable[Iterable[object]]) -> None:
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
