# SPDX-License-Identifier: GPL-2.0
"""The figures of one case: kept in a file as they come, and asked for by name."""

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
    """One figure over all rounds; inf is of what never happened."""

    median: float
    least: float
    most: float
    rounds: int


def heading(variant: str) -> str:
    """What "gap 1 s, window 500 ms" stands under, with "gap 1 s" of those without."""
    return variant.partition(", ")[0]


class Results:
    """What a run has found so far."""

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
        """In the order in which they are declared, not in that of the rounds."""
        seen = {row.contestant for row in self.rows if variant in (None, row.variant)}
        return [name for name in CONTESTANTS if name in seen]

    def metrics(self, variant: str) -> dict[str, str]:
        """Each with its unit."""
        return {row.metric: row.unit for row in self.rows if row.variant == variant}

    def spread(self, contestant: str, variant: str, metric: str) -> Spread | None:
        """None if there is no figure: not measured, or there is none to have."""
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
    """A folder with what one case found, written as it comes: a run that is
    interrupted keeps it."""

    def __init__(self, folder: Path, case: str) -> None:
        self.results = Results()
        self._case = case
        folder.mkdir(parents=True, exist_ok=True)
        self._figures = folder / FIGURES
        self._curves = folder / "curves.csv"
        _append(self._figures, [Row._fields])

    def add(self, contestant: Contestant, number: int,
            found: Iterable[Figure | Curve]) -> None:
        """What a contestant brought back from a round."""
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
