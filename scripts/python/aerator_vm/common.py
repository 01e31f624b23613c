# SPDX-License-Identifier: GPL-2.0
"""Shared by all modules: paths, exceptions, deadlines, progress messages."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BUILD = TOP / "build"

# A step that is shorter than this prints no progress.
PROGRESS_SECONDS = 3


class GuestFailed(Exception):
    """The guest itself failed, not a command in it; it cannot be used any more."""


class CommandFailed(Exception):
    """A command in the guest ended with a status other than 0."""

    def __init__(self, command: str, status: int, output: str) -> None:
        super().__init__(f"status {status} from: {command}\n{output}".rstrip())
        self.command = command
        self.status = status
        self.output = output


class Deadline:
    """A point in time that limits several waits together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left, never below 0: usable as any timeout parameter."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._end


def processors() -> int:
    """The number of processors in this process's affinity mask."""
    return len(os.sched_getaffinity(0))


def say(line: str) -> None:
    """Print a progress line to stderr: stdout has a program's result."""
    print(line, file=sys.stderr, flush=True)


# The environment variable with the path of the file that lists retries.
RETRIES = "AERATOR_RETRIES"


def retried(why: str) -> None:
    """Report that a failed step is tried again, and count it in the results of the tests.
    Any process may call this: each call appends one line to the file."""
    line = " ".join(why.split())
    say(f"once more: {line}")
    if path := os.environ.get(RETRIES):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@contextlib.contextmanager
def ticking(what: str) -> Iterator[None]:
    """Print every few seconds that a step still runs."""
    done = threading.Event()
    start = time.monotonic()

    def tick() -> None:
        while not done.wait(PROGRESS_SECONDS):
            say(f"  {what} ... {time.monotonic() - start:.0f} s")

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
