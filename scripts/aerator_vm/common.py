# SPDX-License-Identifier: GPL-2.0
"""What all parts share: where things are, how failure and progress are said."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"

# A step that is shorter than this needs no line of its own.
PROGRESS_SECONDS = 3


class GuestFailed(Exception):
    """The guest, not the command it ran, went wrong; it is of no more use."""


class CommandFailed(Exception):
    """A command in the guest ended with a status other than 0."""

    def __init__(self, command: str, status: int, output: str) -> None:
        super().__init__(f"status {status} from: {command}\n{output}".rstrip())
        self.command = command
        self.status = status
        self.output = output


class Deadline:
    """A point in time that several waits together must not go beyond."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, never below 0: can be given to any timeout parameter."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._end


def processors() -> int:
    """Those that this process may run on, which may be fewer than there are."""
    return len(os.sched_getaffinity(0))


def say(line: str) -> None:
    """Progress goes to stderr: stdout carries what a program answers."""
    print(line, file=sys.stderr, flush=True)


# The file, by this name in the environment, that lists what was done once more.
RETRIES = "AERATOR_RETRIES"


def retried(why: str) -> None:
    """Something is done once more, though it went wrong: say so, and have it counted in
    the results of the tests. A line of its own, from whatever process."""
    line = " ".join(why.split())
    say(f"once more: {line}")
    if path := os.environ.get(RETRIES):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@contextlib.contextmanager
def ticking(what: str) -> Iterator[None]:
    """Say every few seconds that a step still runs, so nobody thinks it hangs."""
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
