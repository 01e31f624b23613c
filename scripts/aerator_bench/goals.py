# SPDX-License-Identifier: GPL-2.0
"""What has to come out: each goal compares contestants of one run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """One figure and what it may be at most.

    noise   by how much more may be chance: a test forgives that, the table does not
    found   None if one of the figures that it is made of is missing
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
    """Nothing to nothing is one to one; never is no better for another's never."""
    if one is None or other is None:
        return None
    if one == math.inf:
        return math.inf
    if other == 0:
        return 1.0 if one == 0 else math.inf
    return one / other


def less(one: float | None, other: float | None) -> float | None:
    """What one has more than the other."""
    return None if one is None or other is None else one - other


def total(figures: Iterable[float | None]) -> float | None:
    """None if one is missing: a sum of the others would look better than it is."""
    values = list(figures)
    return None if not values or None in values else sum(v for v in values if v is not None)
