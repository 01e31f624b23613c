# SPDX-License-Identifier: GPL-2.0
"""The output of a run of the tests (KTAP), and the results that are kept for the next run."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence

from aerator_vm.common import BUILD

from .harness import Case
from .runner import Result, Run

_STATE = BUILD / "tests.json"

# Expected seconds of the longest cases until a run has measured them; other cases have a
# shorter default.
_LONG = {"package-upgrade 6.1": 300, "device-treated 6.12-treated-kasan": 330, "bench-quick": 200,
         "libvirt 6.12": 200, "drop-in 6.12": 100, "transports 6.12": 100,
         "oom 6.12-treated": 100, "waits 6.12": 90, "idle 6.12-treated": 90, "lifecycle 6.12": 80,
         "small-guests 6.12": 80, "sparse 6.12-treated": 70, "coccicheck": 120,
         "kunit 6.12-treated": 60, "notice 6.12-treated": 50,
         "together 6.12-treated-kasan aerator reporting": 100,
         "together 6.12-treated-kasan aerator treated": 100,
         "lifecycle 6.12-treated-kasan": 100}
_USUAL = 30


# How often it is looked whether all cases have ended that run even beyond the time limit.
_LOOK_SECONDS = 5


class _TimeUp(Exception):
    """The time limit of a run is over."""


class Busy(Exception):
    """Another run is active in this checkout."""


@contextlib.contextmanager
def only_run() -> Iterator[None]:
    """Take the lock of a run: two runs would overwrite each other's builds and logs."""
    BUILD.mkdir(exist_ok=True)
    folder = os.open(BUILD, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Busy(f"another run of the tests has {BUILD}: wait for it to end") from None
    finally:
        os.close(folder)


class Known:
    """The results of each case's last run."""

    def __init__(self) -> None:
        self._cases: dict[str, dict[str, float | bool]] = {}
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            self._cases = json.loads(_STATE.read_text())

    def seconds(self, case: Case) -> float:
        """The expected duration of a case."""
        return float(self._cases.get(case.name, {}).get(
            "seconds", _LONG.get(case.name, _USUAL)))

    def failed(self, case: Case) -> bool:
        return bool(self._cases.get(case.name, {}).get("failed"))

    def take(self, result: Result) -> None:
        """Store a result, at once: the run may be interrupted."""
        self._cases[result.case.name] = {"seconds": round(result.seconds, 1),
                                         "cpu_seconds": round(result.cpu_seconds, 1),
                                         "failed": result.failed}
        new = _STATE.with_suffix(".new")
        new.write_text(json.dumps(self._cases, indent=1) + "\n")
        new.replace(_STATE)


def list_cases(cases: Iterable[Case]) -> None:
    """Print group, name, expected seconds and description of each case."""
    known = Known()
    for case in cases:
        print(f"{case.group:11} {case.name:46} {known.seconds(case):4.0f} s  {case.about}")


def _times(result: Result) -> str:
    return f"{result.seconds:.0f} s, {result.cpu_seconds:.0f} s of CPU"


def _say_skipped(skipped: Sequence[Case]) -> None:
    """Print the cases that a run without --all leaves out, and the reasons."""
    for number, case in enumerate(skipped, 1):
        why = ("takes long" if case.long else "is for --debug" if case.debug else
               "its kernel is built for --all only")
        print(f"ok {number} {case.name} # SKIP {why}")


def _say_result(number: int, result: Result) -> None:
    lines = [*result.notes, *(f"once more: {why}" for why in result.retries),
             *(result.reason or "").splitlines()]
    for line in lines:
        print(f"# {line}")
    again = f", {len(result.retries)} once more" if result.retries else ""
    print(f"{'not ok' if result.failed else 'ok'} {number} {result.case.name}"
          f" # {_times(result)}{again}", flush=True)


def _say_end(results: Sequence[Result], left: Sequence[Case], skipped: int,
             durations: int) -> None:
    """Print a summary: of a long log, often only the end is shown."""
    for result in sorted(results, key=lambda result: -result.seconds)[:durations]:
        print(f"# {result.case.name}: {_times(result)}")
    cpu = sum(result.cpu_seconds for result in results)
    print(f"# {cpu:.0f} s of CPU, {skipped} left out")
    for result in results:
        for why in result.retries:
            print(f"# once more, {result.case.name}: {why}")
    for case in left:
        print(f"# not run, {case.name}")
    for result in results:
        if result.failed:
            print(f"# failed, {result.case.name}: {(result.reason or '').partition(chr(10))[0]}")


def _limit(run: Run, seconds: int) -> None:
    """End the run after this time, but not before only late cases are left; 0: no limit."""
    def time_up(*_: object) -> None:
        if run.idle and all(case.late for case in run.left):
            raise _TimeUp
        signal.alarm(_LOOK_SECONDS)

    signal.signal(signal.SIGALRM, time_up)
    signal.alarm(seconds)


def run_cases(cases: Sequence[Case], skipped: Sequence[Case],
              args: argparse.Namespace) -> int:
    """Run all cases, and print each result when the case ends. With a time limit they run in
    the given order, and late cases that have not ended by then are left out."""
    known = Known()
    run = Run(cases, {case.name: -number if args.rare else known.seconds(case)
                      for number, case in enumerate(cases)})
    _limit(run, args.rare)
    print(f"KTAP version 1\n1..{len(skipped) + len(cases)}", flush=True)
    _say_skipped(skipped)
    results: list[Result] = []
    with contextlib.suppress(_TimeUp), contextlib.closing(run.results()) as ended:
        for result in ended:
            results.append(result)
            known.take(result)
            _say_result(len(skipped) + len(results), result)
            if args.stop_early and result.failed:
                break
    signal.alarm(0)
    left = [] if args.rare else run.left
    _say_end(results, left, len(skipped) + len(run.left) - len(left), args.durations)
    failed = sum(result.failed for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0
