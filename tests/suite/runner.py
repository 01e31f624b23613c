# SPDX-License-Identifier: GPL-2.0
"""Runs the cases: each in a process of its own, several at a time.

The kernel counts the processor time of such a process including its children, and its
affinity is inherited by all of them.
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
# Nice level of cases that boot no guest: they get the processor time that guests leave, and
# at least a tenth.
_BACKGROUND = 10

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Time for processes that end a moment after their parent.
_REAP_SECONDS = 1


@dataclass(frozen=True)
class Result:
    """The result of a case; its CPU seconds include those of its guests and of all other
    child processes."""

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
    """Run @work in a child process, which ends when this process does; return its pid."""
    # Flush: otherwise the child would write the buffer again.
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Ctrl-C reaches only the parent, which then sends one signal to each child.
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
    """End this case: threads that wait for a guest get an exception, as all guests end."""
    end_all()
    sys.exit(128 + signal.SIGTERM)


# One case, in its process

def _try_case(case: Case, notes: list[str]) -> str | None:
    """Run a case and collect its notes; return the reason if it failed."""
    try:
        for _ in range(_STUCK_TRIES - 1):
            with contextlib.suppress(LineStuck):
                notes.extend(case.function() or ())
                return None
            retried("QEMU left an interrupt line up")
        notes.extend(case.function() or ())
    except (TestFailed, GuestFailed, CommandFailed) as failure:
        return str(failure)
    except Exception:  # a bug in one test must not end the others
        return traceback.format_exc()
    return None


def _reap() -> None:
    """Wait for orphans: bwrap ends before its child, whose time would otherwise not be counted
    for the case."""
    deadline = Deadline(_REAP_SECONDS)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] or not deadline.passed:
            time.sleep(0.01)


def _run_case(case: Case, folder: Path, cores: set[int]) -> None:
    """Run a case, on these cores if there are any; write the result to the case's folder."""
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
    """The notes of a case, the reason if it failed, and its retries."""
    path, retries = folder / "result", folder / "retries"
    found = (json.loads(path.read_text()) if path.exists() else
             {"reason": f"its process ended with status {os.waitstatus_to_exitcode(status)}"})
    return {**found, "retries": retries.read_text().splitlines() if retries.exists() else []}


# All cases

class _Kernels:
    """The kernels that the cases need and that are built here, unless the cache has them.

    They are built one after the other, with the processor time that cases leave: more than
    a third, as cases wait for timers. Measuring cases start after all kernels are built.
    """

    _IDLE = ("chrt", "--idle", "0")

    def __init__(self, cases: Iterable[Case]) -> None:
        needed = {kernel for case in cases if (kernel := case.built_kernel)}
        self._waiting = sorted(needed, key=lambda kernel: (is_debug(kernel), kernel))
        self._built: dict[str, bool] = {}
        self._pid = 0

    def begin(self) -> None:
        """Start the build of the next kernel, unless a build is running."""
        if self._waiting and not self._pid:
            self._pid = _begin(lambda: self._build(self._waiting[0]))

    def _build(self, kernel: str) -> None:
        """Build a kernel; scripts/kernel prints its progress to stderr."""
        subprocess.run([*self._IDLE, TOP / "scripts/kernel", kernel], check=True,
                       stdout=subprocess.DEVNULL)

    def ended(self, pid: int, status: int) -> bool:
        """Note the end of a build; returns False if the process was not a build."""
        if pid != self._pid:
            return False
        self._built[self._waiting.pop(0)] = status == 0
        self._pid = 0
        return True

    @property
    def pid(self) -> int:
        """The pid of the current build, or 0."""
        return self._pid

    def ready(self, case: Case) -> bool:
        return case.built_kernel is None or self._built.get(case.built_kernel, False)

    def lack(self, case: Case) -> bool:
        """Whether the build of the case's kernel has failed."""
        return not self._built.get(case.built_kernel or "", True)


@dataclass(frozen=True)
class _Running:
    """A case whose process is running."""

    case: Case
    folder: Path
    start: float
    cores: set[int]  # used by this case only

    def result(self, status: int, cpu_seconds: float) -> Result:
        return Result(self.case, seconds=time.monotonic() - self.start,
                      cpu_seconds=cpu_seconds, **_read_result(self.folder, status))


def _jobs() -> int:
    """The number of cases at a time. The processors of an emulated guest take turns on one of
    the host's. From three processors on, one is left for processes beside the guests."""
    cores = processors()
    return cores if cores < 3 else min(cores - 1, 4)


class Run:
    """A run: first cases that do not measure time, in parallel with cases that boot no guest;
    then measuring cases, each on cores of its own. The longest cases start first. Late cases
    do the same after all others."""

    def __init__(self, cases: Iterable[Case], expected: Mapping[str, float]) -> None:
        self._waiting = sorted(cases, key=lambda case: (
            case.late, case.cores > 0, case.background, -case.cores, -expected[case.name]))
        self._cores = sorted(os.sched_getaffinity(0))[:_jobs()]
        self._kernels = _Kernels(self._waiting)
        self._running: dict[int, _Running] = {}
        self._number = 0
        # Whether it waits for a case to end: an exception of a signal then loses no result.
        self.idle = False

    @property
    def left(self) -> list[Case]:
        """The cases that have not ended."""
        return [*(running.case for running in self._running.values()), *self._waiting]

    def results(self) -> Generator[Result, None, None]:
        """Yield results as cases end. When the caller closes the generator, all cases are
        stopped."""
        with tempfile.TemporaryDirectory(prefix="aerator-tests-") as folder:
            try:
                while self._waiting or self._running:
                    yield from self._begin_some(Path(folder))
                    yield from self._wait()
            finally:
                self._end()

    def _begin_some(self, folder: Path) -> Iterator[Result]:
        """Start all cases whose kernel is ready and for which there is room."""
        self._kernels.begin()
        for case in list(self._waiting):
            if self._kernels.lack(case):
                self._waiting.remove(case)
                yield Result(case, f"{case.kernel} could not be built, see the output of"
                                   " scripts/kernel")
            elif self._kernels.ready(case) and self._room(case):
                self._waiting.remove(case)
                self._start(case, folder)

    def _room(self, case: Case) -> bool:
        others = [running.case for running in self._running.values()]
        left = [*others, *(other for other in self._waiting if other.late <= case.late)]
        if case.late and not all(other.late for other in left):
            return False
        if case.cores:
            quiet = not self._kernels.pid and all(other.cores for other in left)
            return quiet and len(self._free_cores()) >= self._needs(case)
        # One case that boots no guest, and one that sleeps, do not reduce the number of others.
        # Once all cases of the first kind have run, one more guest uses what the others leave;
        # those of debug kernels leave nothing.
        background = sum(other.background for other in others)
        asleep = sum(other.sleeps for other in others)
        if case.background and not background or case.sleeps and not asleep:
            return True
        full = is_debug(case.kernel) or any(other.background for other in left)
        beside = min(background, 1) if full else 1
        return len(others) - beside - min(asleep, 1) < len(self._cores)

    def _needs(self, case: Case) -> int:
        """The number of cores for the case, limited by those of the machine."""
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
        """Wait until a case, or the build of a kernel, ends."""
        if not self._running and not self._kernels.pid:
            return
        self.idle = True
        pid, status, usage = os.wait4(-1, 0)
        self.idle = False
        _end_session(pid)
        if not self._kernels.ended(pid, status):
            yield self._running.pop(pid).result(status, usage.ru_utime + usage.ru_stime)

    def _end(self) -> None:
        """Stop all processes that still run."""
        pids = [pid for pid in (*self._running, self._kernels.pid) if pid]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            os.waitpid(pid, 0)
            _end_session(pid)


def _end_session(pid: int) -> None:
    """Kill processes that a terminated script has left in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
