# SPDX-License-Identifier: GPL-2.0
"""The policy's cost on traces of free memory, compared with the optimum."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aerator_bench import traces
from aerator_vm.common import TOP

from .harness import expect, expect_equal, run_script

_REPLAY = TOP / "build/replay"
_SEEDS = (1, 2, 3)


class _Bound(NamedTuple):
    """The limits of aerator's cost, as ratios to the optimum."""

    intake: str
    refault_ms: int
    mean: float
    worst: float


_BOUNDS = (
    _Bound("treated", 2000, 1.28, 1.7),
    _Bound("treated", 5000, 1.33, 1.8),
    _Bound("reporting", 2000, 1.30, 1.8),
    _Bound("reporting", 5000, 1.34, 1.9),
)

# Invalid traces, each for one reason.
_BAD_TRACES = (
    b"", b"# a comment\n", b"1000\n", b"0 1 2 3\n", b"zero 5\n", b"0 1x\n", b"0 5\n1 5 5\n",
    b"-1 5\n", b"0 -5\n", b"nan 5\n", b"0 nan\n", b"0 inf\n", b"0 1e30\n", b"1e30 5\n",
    b"5 1\n4 1\n", b"0 5 6\n", b"0 5\0\n", b"\xff\xfe\n",
)

_BAD_OPTIONS = (
    ("--refault", "-1"), ("--refault", "60001"), ("--refault", "2s"), ("--refault", ""),
    ("--intake", "both"), ("--driver", "none"), ("--window", "soon"), ("--window", "60001"),
    ("--speed", "2"), ("--refault",),
)


def _ratios(refault_ms: int, intake: str, driver: str, paths: list[Path]) -> list[float]:
    """The ratio of the cost of each trace to its optimum."""
    output = run_script(_REPLAY, "--refault", str(refault_ms), "--intake", intake,
                        "--driver", driver, *paths)
    found = [json.loads(line) for line in output.splitlines()]
    expect_equal([one["name"] for one in found], [path.stem for path in paths], "names")
    return [(one["held_gib_s"] + refault_ms / 1000 * one["refaulted_gib"])
            / (one["optimum_held_gib_s"] + refault_ms / 1000 * one["optimum_refaulted_gib"])
            for one in found]


def _mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _check(bound: _Bound, paths: list[Path]) -> str:
    ours = _ratios(bound.refault_ms, bound.intake, "aerator", paths)
    rival = _ratios(bound.refault_ms, bound.intake, "virtio_balloon", paths)
    worst = max(range(len(ours)), key=ours.__getitem__)
    line = (f"{bound.intake}, refault {bound.refault_ms} ms: {_mean(ours):.3f} of the optimum,"
            f" worst {ours[worst]:.2f} ({paths[worst].stem}); virtio_balloon"
            f" {_mean(rival):.3f}, {max(rival):.2f}")
    expect(min(ours) > 0.999, f"better than the optimum: {line}")
    expect(_mean(ours) <= bound.mean and ours[worst] <= bound.worst,
           f"more than {bound.mean} or {bound.worst}: {line}")
    expect(_mean(ours) < _mean(rival), f"no better than virtio_balloon: {line}")
    return line


def _write_traces(folder: Path) -> Iterator[Path]:
    for seed in _SEEDS:
        (folder / str(seed)).mkdir()
        for name, text in traces.make(seed).items():
            path = folder / str(seed) / f"{name}.txt"
            path.write_text(text)
            yield path


def _refused(status: int, *arguments: str | Path) -> None:
    """The program fails, with one line that has the reason, and prints no figures."""
    result = subprocess.run([_REPLAY, *arguments], capture_output=True, timeout=60)
    said = result.stderr.decode(errors="replace")
    expect(result.returncode == status and not result.stdout and said.count("\n") == 1
           and said.startswith("replay: "),
           f"{arguments}: status {result.returncode}, {result.stdout!r}, {said!r}")


def _bad_input(folder: Path, good: Path) -> str:
    for number, text in enumerate(_BAD_TRACES):
        path = folder / f"bad-{number}.txt"
        path.write_bytes(text)
        _refused(1, path)
    _refused(1, folder / "none.txt")
    _refused(1, folder)
    for options in _BAD_OPTIONS:
        _refused(2, *([good] if len(options) > 1 else []), *options)
    _refused(2)
    return f"{len(_BAD_TRACES) + 2} bad traces, {len(_BAD_OPTIONS) + 1} bad command lines"


def replay() -> list[str]:
    run_script("make", "-s", "replay")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = list(_write_traces(folder))
        notes = [f"{len(paths)} traces", *(_check(bound, paths) for bound in _BOUNDS)]
        return [*notes, _bad_input(folder, paths[0])]
