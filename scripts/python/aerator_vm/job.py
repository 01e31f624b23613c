# SPDX-License-Identifier: GPL-2.0
"""A command that runs in the guest while the test does something else."""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING

from .common import CommandFailed, Deadline, GuestFailed

if TYPE_CHECKING:
    from .guest import Guest

# Long enough that polling does not disturb a measurement.
_POLL_SECONDS = 0.2

# $0 is the job's directory, $1 the command, which gets a session of its own, so
# that a signal reaches all its processes and no others. The FIFO is opened for reading
# and writing, so that the open does not block and the input never ends.
_WRAPPER = """
setsid sh -c "$1" <>"$0/in" >"$0/out" 2>&1 &
echo $! >"$0/pid"
wait $!
echo $? >"$0/status"
"""

_START = """
mkdir -p {dir} && mkfifo {dir}/in && : >{dir}/out || exit
sh -c {wrapper} {dir} {command} &
until [ -s {dir}/pid ]; do sleep 0.01; done
"""


class Job:
    """Made by Guest.start_job(). Its input is a FIFO that tell() writes to."""

    def __init__(self, guest: Guest, number: int, command: str) -> None:
        self.command = command
        self._guest = guest
        self._dir = f"/tmp/jobs/{number}"
        guest.run(_START.format(dir=self._dir, wrapper=shlex.quote(_WRAPPER),
                                command=shlex.quote(command)))

    def _poll(self) -> tuple[int | None, str]:
        """The status, None while the job runs, and the output, complete if there is a status."""
        text = self._guest.run(f"read status 2>/dev/null <{self._dir}/status;"
                               f'echo "$status"; cat {self._dir}/out')
        status, _, output = text.partition("\n")
        return (int(status) if status else None), output

    def output(self) -> str:
        """What the job has written so far."""
        return self._poll()[1]

    def ended(self) -> bool:
        """Whether the job has ended."""
        return self._poll()[0] is not None

    def tell(self, line: str = "") -> None:
        """Write one line to the job's input."""
        self._guest.run(f"echo {shlex.quote(line)} >{self._dir}/in")

    def signal(self, name: str) -> None:
        """Send a signal, such as "TERM", to the job and its children."""
        self._guest.run(f'kill -{name} "-$(cat {self._dir}/pid)"')

    def wait_for(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Wait until the output matches a regular expression."""
        deadline = Deadline(timeout)
        while True:
            status, output = self._poll()
            if match := re.search(pattern, output):
                return match
            if status is not None:
                raise CommandFailed(self.command, status, output)
            self._pause(deadline, f"{pattern!r} in the output of")

    def wait(self, timeout: float = 60, check: bool = True) -> str:
        """Wait for the end and return the output."""
        deadline = Deadline(timeout)
        while True:
            status, output = self._poll()
            if status is not None:
                break
            self._pause(deadline, "the end of")
        if check and status:
            raise CommandFailed(self.command, status, output)
        return output

    def _pause(self, deadline: Deadline, awaited: str) -> None:
        if deadline.passed:
            raise GuestFailed(f"waited in vain for {awaited} {self.command!r}:"
                              f"\n{self.output()}")
        time.sleep(_POLL_SECONDS)
