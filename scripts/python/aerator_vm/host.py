# SPDX-License-Identifier: GPL-2.0
"""Measuring one QEMU process from the host: memory, faults, processor time."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .cgroup import Cgroup
from .common import Deadline

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """The host's figures of a guest at one moment."""

    time: float  # time.monotonic()
    memory_current: int | None  # bytes, of the cgroup
    rss: int  # bytes
    minor_faults: int


class HostProcess:
    """A QEMU process, and the cgroup that has only this process, if there is one."""

    def __init__(self, pid: int, cgroup: Cgroup | None) -> None:
        self.pid = pid
        self._cgroup = cgroup
        self._proc = Path("/proc", str(pid))

    def memory_current(self) -> int | None:
        """Bytes that the host has in use for the guest (cgroup): the correct measure."""
        return self._cgroup.memory_current() if self._cgroup else None

    def rss(self) -> int:
        """Bytes mapped; only an additional figure, see cgroup.py."""
        return int((self._proc / "statm").read_text().split()[1]) * _PAGE

    def minor_faults(self) -> int:
        return int(self._stat()[9])

    def cpu_seconds(self) -> float:
        stat = self._stat()
        return (int(stat[13]) + int(stat[14])) / _TICKS

    def sample(self) -> Sample:
        return Sample(time.monotonic(), self.memory_current(), self.rss(),
                      self.minor_faults())

    def _stat(self) -> list[str]:
        """The fields of stat; their index is that of proc(5) less 1. A name may have spaces."""
        text = (self._proc / "stat").read_text()
        return ["", "", *text[text.rindex(")") + 2:].split()]

    def ram_range(self) -> range:
        """The addresses of the guest's memory: the largest non-executable mapping of QEMU."""
        largest = range(0)
        for line in (self._proc / "maps").read_text().splitlines():
            addresses, mode = line.split()[:2]
            # TCG's code buffer may be as large, but is executable.
            if not mode.startswith("rw-"):
                continue
            start, end = (int(number, 16) for number in addresses.split("-"))
            largest = max(largest, range(start, end), key=len)
        return largest

    @contextlib.contextmanager
    def madvise_traced(self) -> Iterator[MadviseCount]:
        """Count the guest memory that QEMU drops while the with block runs.

        The guest's own counters can be compared with it. strace stops QEMU at each
        system call, so times measured in the block are meaningless.
        """
        count = MadviseCount()
        ram = self.ram_range()
        with tempfile.TemporaryDirectory(prefix="aerator-strace-") as directory:
            output = Path(directory, "trace")
            tracer = _attach_strace(self.pid, output)
            try:
                yield count
            finally:
                _detach_strace(tracer)
                count.add_trace(output.read_text(), ram)


class Sampler:
    """Records samples at an interval, in a thread, while its with block runs."""

    def __init__(self, process: HostProcess, interval: float = 0.02) -> None:
        self.samples: list[Sample] = []
        self._process = process
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)

    def _record(self) -> None:
        due = time.monotonic()
        while not self._done.is_set():
            try:
                self.samples.append(self._process.sample())
            except (FileNotFoundError, ProcessLookupError):
                return  # the guest has ended; the samples so far stay valid
            due = max(due + self._interval, time.monotonic())
            self._done.wait(due - time.monotonic())

    def start(self) -> Sampler:
        self._thread.start()
        return self

    def stop(self) -> list[Sample]:
        self._done.set()
        self._thread.join()
        return self.samples

    def __enter__(self) -> Sampler:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


@dataclass
class MadviseCount:
    """MADV_DONTNEED calls on guest memory; complete after the end of the with block."""

    calls: int = 0
    bytes: int = 0

    # 123 madvise(0x7f00, 4096, MADV_DONTNEED) = 0, or in two lines if another
    # thread was traced in between. Calls of one thread do not overlap.
    _CALL = re.compile(r"^(\d+) +madvise\((0x[0-9a-f]+), (\d+), MADV_DONTNEED"
                       r"(?:\) += (-?\d+)| <unfinished)")
    _RESUMED = re.compile(r"^(\d+) +<\.\.\. madvise resumed>.*\) += (-?\d+)")

    def add_trace(self, trace: str, ram: range) -> None:
        """Count the calls in strace's lines. Calls outside of @ram are stacks of ended threads."""
        pending: dict[str, int] = {}
        for line in trace.splitlines():
            if call := self._CALL.match(line):
                thread, start, length, status = call.groups()
                pending[thread] = int(length) if int(start, 16) in ram else 0
            elif resumed := self._RESUMED.match(line):
                thread, status = resumed.groups()
            else:
                continue
            if status is not None:
                self._add(pending.pop(thread, 0), status)

    def _add(self, length: int, status: str) -> None:
        if length and status == "0":
            self.calls += 1
            self.bytes += length


def _attach_strace(pid: int, output: Path) -> subprocess.Popen[str]:
    """Start strace and return when it traces every thread."""
    messages = output.with_suffix(".messages")
    with messages.open("w") as stderr:
        tracer = subprocess.Popen(
            ["strace", "-f", "-e", "trace=madvise", "-e", "signal=none",
             "-o", output, "-p", str(pid)],
            stdin=subprocess.DEVNULL, stderr=stderr, text=True,
            start_new_session=True)
    deadline = Deadline(20)
    while "attached" not in messages.read_text():
        if tracer.poll() is not None or deadline.passed:
            _detach_strace(tracer)
            raise RuntimeError(f"strace: {messages.read_text().strip()}")
        time.sleep(0.02)
    return tracer


def _detach_strace(tracer: subprocess.Popen[str]) -> None:
    tracer.terminate()
    try:
        tracer.wait(20)
    except subprocess.TimeoutExpired:
        tracer.kill()
        tracer.wait()
