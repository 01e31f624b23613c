# SPDX-License-Identifier: GPL-2.0
"""A small QMP client: commands with a timeout, events in a queue."""

from __future__ import annotations

import collections
import json
import socket
from pathlib import Path
from typing import Any

from .common import Deadline


class QmpError(Exception):
    """QEMU refused a command, or did not answer in time."""


class Qmp:
    """One connection to a QMP server on a unix socket."""

    def __init__(self, path: Path, timeout: float = 10) -> None:
        self.events: collections.deque[dict[str, Any]] = collections.deque()
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
            self._read_message(Deadline(timeout))  # the greeting
            self.execute("qmp_capabilities", timeout=timeout)
        except BaseException:
            self.close()
            raise

    def _read_message(self, deadline: Deadline) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if deadline.passed:
                raise QmpError("no answer from QEMU in time")
            self._socket.settimeout(deadline.left or 0.001)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise QmpError("QEMU closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def execute(self, command: str, timeout: float = 10, **arguments: Any) -> Any:
        """Run a command and return its result; events that arrive meanwhile are queued."""
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        deadline = Deadline(timeout)
        self._socket.settimeout(timeout)
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self._read_message(deadline)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            elif "return" in message:
                return message["return"]

    def wait_event(self, name: str, timeout: float = 10) -> dict[str, Any]:
        """Wait for an event of that name, and remove the oldest one from the queue."""
        for event in self.events:
            if event["event"] == name:
                self.events.remove(event)
                return event
        deadline = Deadline(timeout)
        while True:
            message = self._read_message(deadline)
            if message.get("event") == name:
                return message
            if "event" in message:
                self.events.append(message)

    def close(self) -> None:
        self._socket.close()
