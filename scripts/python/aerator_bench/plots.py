# SPDX-License-Identifier: GPL-2.0
"""Pictures of the figures: gnuplot draws them with scripts/plots/*.gp."""

from __future__ import annotations

import csv
import math
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from aerator_vm.common import TOP

from .contestant import CONTESTANTS
from .results import Results, heading

# A driver has a colour, a kernel the shade of it and the shape of its points.
_COLOURS = {"none": "#8a8a8a", "virtio_balloon": "#d9772b", "delay-250": "#b8a13a",
            "delay-10": "#8c4a9e", "aerator": "#1b6ca8"}
_KERNEL_COLOURS = {"none-6.12": "#bdbdbd", "none-7.3": "#5c5c5c", "aerator-6.12": "#63a8d8",
                   "virtio_balloon-6.12": "#eeb27f", "virtio_balloon-7.3": "#9c4d10"}
_POINTS = {"6.12": 6, "6.12-treated": 7, "7.3": 4}


def _colour(name: str) -> str:
    driver = name.removesuffix(f"-{CONTESTANTS[name].kernel}")
    return _KERNEL_COLOURS.get(name, _COLOURS[driver])


def _styles(names: Iterable[str]) -> list[str]:
    """Three lists in the same order: names, colours, shapes of points."""
    names = list(names)
    return [" ".join(names), " ".join(_colour(name) for name in names),
            " ".join(str(_POINTS[CONTESTANTS[name].kernel]) for name in names)]


def draw(script: str, *arguments: str | Path) -> None:
    subprocess.run(["gnuplot", "-c", TOP / "scripts/plots" / script, *arguments], check=True)


def _write_points(path: Path, results: Results, metrics: Iterable[str]) -> Path:
    """Write medians: contestant, variant, and a column for each metric. Infinite and missing
    values become NaN, and are not drawn."""
    metrics = list(metrics)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        for name in results.contestants():
            for variant in results.variants:
                medians = [results.median(name, variant, metric) for metric in metrics]
                if medians != [None] * len(metrics):
                    rows.writerow([name, variant, *(
                        "NaN" if value in (None, math.inf) else value for value in medians)])
    return path


def release(folder: Path, results: Results) -> None:
    """Host memory against time, all contestants and rounds."""
    draw("release.gp", folder / "curves.csv", folder / "release.png",
         *_styles(results.contestants()), str(max(row.round for row in results.rows)))


def churn(folder: Path, results: Results) -> None:
    """The guest's cost against the host's memory in use, for each gap."""
    points = _write_points(folder / "points.csv", results,
                           ("mean_gib", "refaulted_mib_round", "mean_ms"))
    for column, name, label in ((4, "refaults", "MiB to fault in again, a round"),
                                (5, "times", "ms for 512 MiB, on average")):
        draw("churn.gp", points, folder / f"{name}.png", *_styles(results.contestants()),
             " ".join(f"'{variant}'" for variant in results.variants), str(column), label)


def window(folder: Path, results: Results) -> None:
    """The cost of a window's length for the guest and for the host, with virtio_balloon as a
    line."""
    points = _write_points(folder / "points.csv", results,
                           ("window_ms", "refaulted_mib_round", "last_back_90_s"))
    for gap in dict.fromkeys(heading(variant) for variant in results.variants):
        draw("window.gp", points, folder / f"{gap.replace(' ', '-')}.png",
             *_styles(results.contestants()), gap)


def traces(folder: Path, results: Results) -> None:
    """Memory that the host holds for nothing against memory that is faulted in again, both
    relative to the least possible cost of the trace."""
    points = _write_points(folder / "points.csv", results,
                           ("refaulted_gib", "held_gib_s", "cost", "times_optimum"))
    names = list(results.contestants())
    draw("traces.gp", points, folder / "traces.png", *_styles(names),
         " ".join(name for name in names if name.endswith("-treated")))


def _against(folder: Path, results: Results, title: str, x: tuple[str, str],
             panels: Mapping[str, str]) -> None:
    """Metrics against another one, each with the label of its axis."""
    metric, label = x
    points = _write_points(folder / "points.csv", results, (metric, *panels))
    draw("against.gp", points, folder / f"{folder.name}.png",
         *_styles(results.contestants()), title, label,
         " ".join(f"'{text}'" for text in panels.values()))


def scale(folder: Path, results: Results) -> None:
    """The costs that grow with the guest's size, and those that should not."""
    _against(folder, results, "Free memory reported in guests of several sizes",
             ("size", "GiB that the guest has"),
             {"first": "k instructions for all of it, once",
              "again": "k instructions for 512 MiB later"})


def orders(folder: Path, results: Results) -> None:
    """Memory that the host gains from small blocks, and the decrease of QEMU's RSS."""
    _against(folder, results, "512 MiB freed in blocks of one order that cannot merge",
             ("order", "order of the blocks"),
             {"back": "MiB that the host has in use less",
              "rss_back": "MiB that QEMU has mapped less"})
