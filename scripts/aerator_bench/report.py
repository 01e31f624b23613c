# SPDX-License-Identifier: GPL-2.0
"""What was found as tables: one to read, one with everything."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .contestant import CONTESTANTS
from .figure import Case
from .goals import ratio
from .results import Results, Spread, heading

_RIVAL = "virtio_balloon"
_NOBODY = "none"


def reference(contestant: str, driver: str) -> str:
    """The contestant with that driver on the same kernel."""
    return f"{driver}-{CONTESTANTS[contestant].kernel}"


def ratio_to(results: Results, contestant: str, driver: str, variant: str,
             metric: str) -> float | None:
    """Of the medians; None if one is missing, or for the reference itself, which may
    know no more than what the variant stands under."""
    other = reference(contestant, driver)
    theirs = (results.median(other, variant, metric)
              or results.median(other, heading(variant), metric))
    if other == contestant or not theirs:
        return None
    return ratio(results.median(contestant, variant, metric), theirs)


def _number(value: float) -> str:
    if value == math.inf:
        return "never"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cell(spread: Spread | None, times: float | None) -> str:
    """A median, what the rounds were between, and how many times the reference."""
    if spread is None:
        return "-"
    text = _number(spread.median)
    if spread.rounds > 1:
        text += f" ({_number(spread.least)}..{_number(spread.most)})"
    says_more = times is not None and 0 < times < math.inf
    return text + (f" {times:.2f}x" if says_more else "")


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """As Markdown, in columns that can be read as text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def _rows(case: Case, results: Results, variants: Sequence[str]) -> Iterator[list[str]]:
    """First the names of columns; then each variant's contestants."""
    metrics = {metric: unit for variant in variants
               for metric, unit in results.metrics(variant).items()
               if metric not in case.beside}
    yield ["", *(f"{metric}, {unit}" for metric, unit in metrics.items())]
    for variant in variants:
        _, comma, rest = variant.partition(", ")
        for name in results.contestants(variant):
            yield [f"{name}{comma}{rest}", *(
                _cell(results.spread(name, variant, metric), ratio_to(
                    results, name, _NOBODY if metric in case.times else _RIVAL, variant, metric))
                for metric in metrics)]


def table(case: Case, results: Results, missing: Iterable[str] = (),
          again: Iterable[str] = ()) -> str:
    """Median, least and most of all rounds, and the ratio to virtio_balloon of the
    same kernel (or to nobody, for what takes the guest's time)."""
    lines = [f"## {case.name}: {case.about}"]
    for head in dict.fromkeys(map(heading, results.variants)):
        variants = [variant for variant in results.variants if heading(variant) == head]
        lines += ["", f"### {head}", "", *_lines(list(_rows(case, results, variants)))]
    lines += ["", "Median (least..most), and how many times virtio_balloon's on that kernel."]
    if case.times:
        lines[-1] = lines[-1].replace("kernel.", f"kernel; {', '.join(case.times)}: how many"
                                      " times that of a guest that reports nothing.")
    lines += [f"Again: {what}" for what in again]
    lines += [f"Missing: {what}" for what in missing]
    if case.goals:
        lines += ["", "Goals:", "", *(f"    {goal}" for goal in case.goals(results))]
    return "\n".join(lines) + "\n"


def write_summary(path: Path, case: Case, results: Results) -> None:
    """Everything that the table has, and more digits."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["case", "variant", "contestant", "kernel", "metric", "unit", "rounds",
                       "median", "least", "most", "to_virtio_balloon", "to_none"])
        for variant in results.variants:
            for name in results.contestants(variant):
                for metric, unit in results.metrics(variant).items():
                    if spread := results.spread(name, variant, metric):
                        rows.writerow([
                            case.name, variant, name, CONTESTANTS[name].kernel, metric, unit,
                            spread.rounds, spread.median, spread.least, spread.most,
                            *(ratio_to(results, name, driver, variant, metric)
                              for driver in (_RIVAL, _NOBODY))])
