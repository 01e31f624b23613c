# SPDX-License-Identifier: GPL-2.0
"""One case from its first guest to its tables and pictures."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aerator_vm.common import BUILD, TOP, say, ticking

from . import cases, meta, report, rounds
from .contestant import CONTESTANTS
from .figure import Case
from .goals import Goal
from .results import FIGURES, Results, Store

TABLE = "table.md"
_META = "meta.json"


@dataclass(frozen=True)
class Options:
    """Options of a run; see scripts/bench --help."""

    jobs: int = 1
    short: bool = False
    contestants: Sequence[str] = ()
    out: Path = BUILD / "bench"


def prepare(names: Iterable[str], build: bool = True) -> None:
    """Build the kernels and modules that are missing, before the first guest boots."""
    contestants = [CONTESTANTS[name] for name in names]
    wanted = {("kernel", contestant.kernel) for contestant in contestants}
    if build:
        wanted |= {("module", contestant.kernel) for contestant in contestants
                   if contestant.driver == "aerator"}
    for script, kernel in sorted(wanted):
        with ticking(f"{script} {kernel}"):
            subprocess.run([TOP / "scripts" / script, kernel], check=True,
                           stdout=subprocess.DEVNULL)


class CaseRun:
    """A run of one case. The end of its with block writes the figures measured so far, also
    after an interrupt."""

    def __init__(self, case: Case, options: Options) -> None:
        self.missing: list[str] = []
        self.again: list[str] = []
        self.names = [name for name in case.contestants
                      if not options.contestants or name in options.contestants]
        self.name = case.name
        self._case = case
        self._options = options
        self._jobs = min(options.jobs, case.jobs)
        self._folder = options.out / case.name
        self._rounds = 0

    def __enter__(self) -> CaseRun:
        _keep_previous(self._folder)
        meta.forget(self.name, self.names)
        self._store = Store(self._folder, self._case.name)
        say(f"{self._case.name}: {self._case.about}")
        return self

    def round(self) -> None:
        """Measure every contestant once."""
        self._rounds += 1
        start = time.monotonic()
        rounds.run(rounds.turns(self._case, self.names, self._rounds, self._options.short),
                   self._jobs, self._take)
        say(f"{self._case.name}: round {self._rounds} took {time.monotonic() - start:.0f} s")

    def _take(self, turn: rounds.Turn, outcome: rounds.Outcome) -> None:
        found, again = outcome
        label = f"{turn.contestant}, round {turn.round}"
        if again:
            self.again.append(f"{label}: {again.splitlines()[0]}")
        if not isinstance(found, str):
            self._store.add(CONTESTANTS[turn.contestant], turn.round, found)
            return
        say(f"{turn.case}: no figures of {turn.contestant} in round {turn.round}:\n{found}")
        self.missing.append(label)

    def goals(self) -> list[Goal]:
        return list(self._case.goals(self._store.results)) if self._case.goals else []

    def __exit__(self, *exc: object) -> None:
        self._write_meta()
        show(self._case, self._options.out)

    def _write_meta(self) -> None:
        what = {**meta.collect(self._case.name, self.names), "rounds": self._rounds,
                "short": self._options.short, "guests_at_a_time": self._jobs,
                "missing": self.missing, "again": self.again}
        (self._folder / _META).write_text(json.dumps(what, indent=1) + "\n")


def show(case: Case, out: Path) -> None:
    """Make tables and pictures of the stored figures."""
    folder = out / case.name
    results = Results.read(folder / FIGURES)
    report.write_summary(folder / "summary.csv", case, results)
    meta_data = json.loads((folder / _META).read_text())
    # The figures of an older run have no list of repetitions.
    text = report.table(case, results, meta_data["missing"], meta_data.get("again", ()))
    (folder / TABLE).write_text(f"{text}\nMeasured {meta_data['date']}.\n")
    _join_tables(out)
    if case.plot and results.rows:
        case.plot(folder, results)


def _keep_previous(folder: Path) -> None:
    """Move the figures of the last run to another folder: they are kept, but never compared
    with those of this run."""
    if not folder.exists():
        return
    previous = folder.with_name(f"{folder.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    folder.rename(previous)
    say(f"figures of the last run are in {previous}")


def _join_tables(out: Path) -> None:
    """Write the tables of all cases to one file."""
    tables = [out / name / TABLE for name in cases.NAMES]
    (out / TABLE).write_text("\n".join(table.read_text() for table in tables
                                       if table.exists()))
