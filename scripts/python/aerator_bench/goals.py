# SPDX-License-Identifier: GPL-2.0
"""Goals of the benchmark: each compares contestants of one run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """One figure and its upper limit.

    noise   how far chance may exceed the limit: a test tolerates that, the table does not
    found   the figure; None if a figure that it is computed from is missing
    """

    what: str
    found: float | None
    at_most: float
    unit: str = ""
    noise: float = 0

    @property
    def met(self) -> bool:
        return self.found is not None and self.found <= self.at_most

    @property
    def met_but_for_noise(self) -> bool:
        return self.found is not None and self.found <= self.at_most + self.noise

    def __str__(self) -> str:
        if self.found is None or math.isnan(self.at_most):
            return f"open    {self.what}: not measured"
        unit = f" {self.unit}" if self.unit else ""
        noise = f"; {self.noise:.4g}{unit} of noise" if self.noise else ""
        return (f"{'met   ' if self.met else 'MISSED'}  {self.what}: {self.found:.4g}{unit}"
                f" (at most {self.at_most:.4g}{unit}{noise})")


def ratio(one: float | None, other: float | None) -> float | None:
    """The ratio of two figures; 0 to 0 is 1. An infinite figure (an event that never happened)
    has an infinite ratio, even if the other figure is infinite, too."""
    if one is None or other is None:
        return None
    if one == math.inf:
        return math.inf
    if other == 0:
        return 1.0 if one == 0 else math.inf
    return one / other


def less(one: float | None, other: float | None) -> float | None:
    """The difference of two figures; None if one is missing."""
    return None if one is None or other is None else one - other


def total(figures: Iterable[float | None]) -> float | None:
    """The sum; None if a figure is missing, as the sum of the others would be too small."""
    values = list(figures)
    return None if not values or None in values else sum(v for v in values if v is not None)
