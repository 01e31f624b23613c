# SPDX-License-Identifier: GPL-2.0
"""Tables of the figures: a short one in Markdown, and summary.csv with all figures."""

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
    """The ratio of the medians; None if one is missing, or for the reference itself. A
    reference without windows has only the figure of the variant's heading."""
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
    """A cell: the median, the least and the most of the rounds, the ratio to the reference."""
    if spread is None:
        return "-"
    text = _number(spread.median)
    if spread.rounds > 1:
        text += f" ({_number(spread.least)}..{_number(spread.most)})"
    says_more = times is not None and 0 < times < math.inf
    return text + (f" {times:.2f}x" if says_more else "")


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as Markdown, aligned in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def _rows(case: Case, results: Results, variants: Sequence[str]) -> Iterator[list[str]]:
    """The header, and then the rows of each variant's contestants."""
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
    """The table: median, least and most of all rounds, and the ratio to virtio_balloon on the
    same kernel (for the guest's times, to a guest that reports nothing)."""
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
    """Write all figures, with more digits than the table."""
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
