# SPDX-License-Identifier: GPL-2.0
"""The host's end of the connection to tests/guest/agent.c."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import NamedTuple

from .common import Deadline


class AgentGone(Exception):
    """QEMU has ended, and closed the connection."""


class AgentSilent(Exception):
    """No answer before the deadline. The agent is then unusable: a late answer would be taken
    for that of the next request."""


class Answer(NamedTuple):
    """The answer to one request."""

    status: int
    output: bytes


class Agent:
    """A connection to the agent, for one request at a time; a lock serializes threads."""

    def __init__(self, path: Path) -> None:
        self._buffer = b""
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except BaseException:
            self.close()
            raise

    def _fill(self, deadline: Deadline) -> None:
        if deadline.passed:
            raise AgentSilent
        self._socket.settimeout(deadline.left or 0.001)
        try:
            data = self._socket.recv(1 << 18)
        except TimeoutError:
            raise AgentSilent from None
        except ConnectionError:
            raise AgentGone from None
        if not data:
            raise AgentGone
        self._buffer += data

    def _read_line(self, deadline: Deadline) -> str:
        while b"\n" not in self._buffer:
            self._fill(deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def _read_bytes(self, count: int, deadline: Deadline) -> bytes:
        while len(self._buffer) < count:
            self._fill(deadline)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def wait_ready(self, timeout: float) -> None:
        """Wait for the agent's first line, which it sends when the guest has booted."""
        line = self._read_line(Deadline(timeout))
        if line != "ready":
            raise ValueError(f"not the agent's first line: {line!r}")

    def request(self, command: str, timeout: float) -> Answer:
        """Run a shell command in the guest and wait for its end."""
        encoded = command.encode()
        with self._lock:
            deadline = Deadline(timeout)
            self._send(b"%d\n%s" % (len(encoded), encoded), timeout)
            status, length = self._read_line(deadline).split()
            return Answer(int(status), self._read_bytes(int(length), deadline))

    def send_last(self, command: str) -> None:
        """Send a request that ends the guest, and has no answer."""
        encoded = command.encode()
        with self._lock:
            self._send(b"%d\n%s" % (len(encoded), encoded), 10)

    def _send(self, data: bytes, timeout: float) -> None:
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise AgentSilent from None
        except ConnectionError:
            raise AgentGone from None

    def close(self) -> None:
        self._socket.close()
