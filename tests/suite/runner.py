# SPDX-License-Identifier: GPL-2.0
"""How cases are run: each is a process of its own, and several run at a time.

The kernel counts the processor time of such a process and of all that it started, and
its affinity holds for all of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aerator_vm import CommandFailed, GuestFailed
from aerator_vm.common import RETRIES, TOP, Deadline, processors, retried
from aerator_vm.qemu import end_all

from .harness import RUN_FOLDER, Case, LineStuck, TestFailed, is_debug

_STUCK_TRIES = 3
# What boots no guest gets what guests leave of the processors, and a tenth at least.
_BACKGROUND = 10

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# For what ends a moment after the program that started it.
_REAP_SECONDS = 1


@dataclass(frozen=True)
class Result:
    """What came of a case; CPU seconds are those of its guests and of all else that it
    started."""

    case: Case
    reason: str | None  # why it failed
    notes: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    seconds: float = 0
    cpu_seconds: float = 0

    @property
    def failed(self) -> bool:
        return self.reason is not None


def _begin(work: Callable[[], None]) -> int:
    """Have a process do it, which ends when this one does; give its number."""
    # Or it would be written once more by what the child starts.
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Ctrl-C reaches the parent only, which then tells each child once.
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.signal(signal.SIGTERM, _end_child)
        work()
        status = 0
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value)


def _end_child(*_: object) -> None:
    """Its threads learn from their guests that it is over."""
    end_all()
    sys.exit(128 + signal.SIGTERM)


# One case, in its process

def _try_case(case: Case, notes: list[str]) -> str | None:
    """Run one, and collect what it has to say; return why it failed."""
    try:
        for _ in range(_STUCK_TRIES - 1):
            with contextlib.suppress(LineStuck):
                notes.extend(case.function() or ())
                return None
            retried("QEMU left an interrupt line up")
        notes.extend(case.function() or ())
    except (TestFailed, GuestFailed, CommandFailed) as failure:
        return str(failure)
    except Exception:  # a mistake in the test must not end the others
        return traceback.format_exc()
    return None


def _reap() -> None:
    """bwrap ends before its child does, whose time would count for no case then."""
    deadline = Deadline(_REAP_SECONDS)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] or not deadline.passed:
            time.sleep(0.01)


def _run_case(case: Case, folder: Path, cores: set[int]) -> None:
    """Leave what came of it in the case's folder. It runs on those cores, if any."""
    if cores:
        os.sched_setaffinity(0, cores)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    os.environ[RUN_FOLDER] = str(folder.parent)
    os.environ[RETRIES] = str(folder / "retries")
    if case.background:
        os.nice(_BACKGROUND)
    notes: list[str] = []
    reason = _try_case(case, notes)
    (folder / "result").write_text(json.dumps({"notes": notes, "reason": reason}))
    _reap()


def _read_result(folder: Path, status: int) -> dict[str, Any]:
    """Its notes, its reason and what was done once more."""
    path, retries = folder / "result", folder / "retries"
    found = (json.loads(path.read_text()) if path.exists() else
             {"reason": f"its process ended with status {os.waitstatus_to_exitcode(status)}"})
    return {**found, "retries": retries.read_text().splitlines() if retries.exists() else []}


# All of them

class _Kernels:
    """Those that cases need and that are built here, unless the cache has them.

    They are built one after the other, and get what cases leave of the processors' time:
    more than a third, as cases wait for timers. What measures waits until they are built.
    """

    _IDLE = ("chrt", "--idle", "0")

    def __init__(self, cases: Iterable[Case]) -> None:
        needed = {kernel for case in cases if (kernel := case.built_kernel)}
        self._waiting = sorted(needed, key=lambda kernel: (is_debug(kernel), kernel))
        self._built: dict[str, bool] = {}
        self._pid = 0

    def begin(self) -> None:
        """Build the next one, if none is being built."""
        if self._waiting and not self._pid:
            self._pid = _begin(lambda: self._build(self._waiting[0]))

    def _build(self, kernel: str) -> None:
        """scripts/kernel says on stderr how far it is."""
        subprocess.run([*self._IDLE, TOP / "scripts/kernel", kernel], check=True,
                       stdout=subprocess.DEVNULL)

    def ended(self, pid: int, status: int) -> bool:
        """Whether that was ours."""
        if pid != self._pid:
            return False
        self._built[self._waiting.pop(0)] = status == 0
        self._pid = 0
        return True

    @property
    def pid(self) -> int:
        """Of what builds one, or 0."""
        return self._pid

    def ready(self, case: Case) -> bool:
        return case.built_kernel is None or self._built.get(case.built_kernel, False)

    def lack(self, case: Case) -> bool:
        """Whether the one that the case needs could not be built."""
        return not self._built.get(case.built_kernel or "", True)


@dataclass(frozen=True)
class _Running:
    """A case whose process runs."""

    case: Case
    folder: Path
    start: float
    cores: set[int]  # for itself alone

    def result(self, status: int, cpu_seconds: float) -> Result:
        return Result(self.case, seconds=time.monotonic() - self.start,
                      cpu_seconds=cpu_seconds, **_read_result(self.folder, status))


def _jobs() -> int:
    """How many cases run at a time: the processors of an emulated guest take turns on
    one of the host's. One of three is left for what is around the guests."""
    cores = processors()
    return cores if cores < 3 else min(cores - 1, 4)


class Run:
    """First what need not be measured, and beside that what boots no guest; then what
    measures, each on cores of its own. What takes longest begins first."""

    def __init__(self, cases: Iterable[Case], expected: Mapping[str, float]) -> None:
        self._waiting = sorted(cases, key=lambda case: (
            case.cores > 0, case.background, -case.cores, -expected[case.name]))
        self._cores = sorted(os.sched_getaffinity(0))[:_jobs()]
        self._kernels = _Kernels(self._waiting)
        self._running: dict[int, _Running] = {}
        self._number = 0

    @property
    def left(self) -> list[Case]:
        """Those that did not end."""
        return [*(running.case for running in self._running.values()), *self._waiting]

    def results(self) -> Generator[Result, None, None]:
        """One by one, as cases end. When the caller wants no more, all are stopped."""
        with tempfile.TemporaryDirectory(prefix="aerator-tests-") as folder:
            try:
                while self._waiting or self._running:
                    yield from self._begin_some(Path(folder))
                    yield from self._wait()
            finally:
                self._end()

    def _begin_some(self, folder: Path) -> Iterator[Result]:
        """All for which there is room, and that have their kernel."""
        self._kernels.begin()
        for case in list(self._waiting):
            if self._kernels.lack(case):
                self._waiting.remove(case)
                yield Result(case, f"{case.kernel} could not be built, see what"
                                   " scripts/kernel said")
            elif self._kernels.ready(case) and self._room(case):
                self._waiting.remove(case)
                self._start(case, folder)

    def _room(self, case: Case) -> bool:
        others = [running.case for running in self._running.values()]
        if case.cores:
            quiet = not self._kernels.pid and all(
                other.cores for other in (*others, *self._waiting))
            return quiet and len(self._free_cores()) >= self._needs(case)
        # One that boots no guest runs beside as many that do: it gets what they leave.
        background = sum(other.background for other in others)
        if case.background:
            return not background or len(others) < len(self._cores)
        return len(others) - min(background, 1) < len(self._cores)

    def _needs(self, case: Case) -> int:
        """How many of the cores that there are."""
        return min(case.cores, len(self._cores))

    def _free_cores(self) -> list[int]:
        used = set().union(*(running.cores for running in self._running.values()))
        return [core for core in self._cores if core not in used]

    def _start(self, case: Case, folder: Path) -> None:
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        self._number += 1
        mine = folder / str(self._number)
        mine.mkdir()
        cores = set(self._free_cores()[:self._needs(case)])
        pid = _begin(lambda: _run_case(case, mine, cores))
        self._running[pid] = _Running(case, mine, time.monotonic(), cores)

    def _wait(self) -> Iterator[Result]:
        """For what ends next: a case, or the build of a kernel."""
        if not self._running and not self._kernels.pid:
            return
        pid, status, usage = os.wait4(-1, 0)
        _end_session(pid)
        if not self._kernels.ended(pid, status):
            yield self._running.pop(pid).result(status, usage.ru_utime + usage.ru_stime)

    def _end(self) -> None:
        """Whatever still runs."""
        pids = [pid for pid in (*self._running, self._kernels.pid) if pid]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            os.waitpid(pid, 0)
            _end_session(pid)


def _end_session(pid: int) -> None:
    """What a script left behind that was told to end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
