# SPDX-License-Identifier: GPL-2.0
"""What aerator-fleet looks at, without a guest: fake QMP servers, and trees of prepared
files of /proc and /sys."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .harness import MIB

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}},
                    "capabilities": []}}
_NO_SUCH = {"error": {"class": "GenericError", "desc": "no such thing"}}
# QEMU's value of a statistic that the guest lacks.
_NONE = (1 << 64) - 1


def _return(value: object) -> dict[str, Any]:
    return {"return": value}


@dataclass
class Balloon:
    """The balloon of a fake guest."""

    actual: int = 1024 * MIB
    free: int = _NONE
    age: float | None = None  # of the statistics, seconds; None: there are none
    period: int = 1
    reporting: bool | None = True
    path: str = "/machine/peripheral-anon"
    kind: str = "virtio-balloon-pci"

    def get(self, name: str) -> dict[str, Any]:
        """The answer of qom-get."""
        if name == "guest-stats-polling-interval":
            return _return(self.period)
        if name == "free-page-reporting" and self.reporting is not None:
            return _return(self.reporting)
        if name == "guest-stats":
            last = 0 if self.age is None else int(time.time() - self.age)
            return _return({"last-update": last, "stats": {
                "stat-free-memory": self.free, "stat-swap-in": _NONE}})
        return _NO_SUCH


@dataclass
class Fake:
    """A fake guest: what its QEMU says, and how its server behaves."""

    name: str | None
    memory: int = 1024 * MIB
    balloon: Balloon | None = field(default_factory=Balloon)
    # The name of the function below that serves a client.
    serve: Callable[[Fake, socket.socket], None] | None = None
    # Whether the server accepts clients at all.
    accepts: bool = True

    def answer(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a command."""
        balloon = self.balloon
        if command == "qmp_capabilities":
            return _return({})
        if command == "query-name":
            return _return({"name": self.name} if self.name else {})
        if command == "query-memory-size-summary":
            return _return({"base-memory": self.memory, "plugged-memory": 0})
        if command == "qom-list":
            return _return([{"name": "device[0]", "type": f"child<{balloon.kind}>"}]
                           if balloon and arguments["path"] == balloon.path else [])
        if balloon and command == "query-balloon":
            return _return({"actual": balloon.actual})
        if balloon and command == "qom-get":
            return balloon.get(arguments["property"])
        if balloon and command == "qom-set":
            balloon.period = arguments["value"]
            return _return({})
        return _NO_SUCH


def _send(client: socket.socket, message: object) -> None:
    client.sendall(json.dumps(message).encode() + b"\r\n")


def serve_well(fake: Fake, client: socket.socket) -> None:
    """Answer each command, after an event."""
    _send(client, GREETING)
    for line in client.makefile():
        request = json.loads(line)
        _send(client, {"event": "NICE", "timestamp": {"seconds": 0}})
        _send(client, fake.answer(request["execute"], request.get("arguments", {})))


def serve_nothing(fake: Fake, client: socket.socket) -> None:
    """Say nothing, whatever the client says."""
    while client.recv(1000):
        pass


def serve_half(fake: Fake, client: socket.socket) -> None:
    """Say nothing any more when the balloon is asked for, as a QEMU that hangs."""
    _send(client, GREETING)
    for line in client.makefile():
        request = json.loads(line)
        if request["execute"] == "query-balloon":
            time.sleep(60)
        _send(client, fake.answer(request["execute"], request.get("arguments", {})))


def serve_cut(fake: Fake, client: socket.socket) -> None:
    """Close the connection in the middle of an answer."""
    _send(client, GREETING)
    client.recv(1000)
    client.sendall(b'{"return": ')


def serve_other(fake: Fake, client: socket.socket) -> None:
    """Speak another protocol."""
    client.sendall(b"220 mail.example.org ESMTP\r\n")
    client.recv(1)


def _run(fake: Fake, listener: socket.socket) -> None:
    serve = fake.serve or serve_well
    while fake.accepts:
        with contextlib.suppress(OSError), listener.accept()[0] as client:
            serve(fake, client)
    signal.pause()


class Servers(contextlib.AbstractContextManager["Servers"]):
    """A process for each fake guest, which ends with this block."""

    def __init__(self, folder: Path, *fakes: Fake) -> None:
        self.pids: list[int] = []
        self.sockets: list[str] = []
        for fake in fakes:
            path = str(folder / f"qmp-{len(self.pids)}")
            # Here, so that a client of this process can connect at once.
            self.pids.append(_fork(fake, path))
            self.sockets.append(path)

    @property
    def options(self) -> list[str]:
        return [word for path in self.sockets for word in ("--qmp", path)]

    def __exit__(self, *exc: object) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _fork(fake: Fake, path: str) -> int:
    """The process listens itself: SO_PEERCRED names the process that called listen()."""
    ready, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(1)
            os.write(tell, b".")
            _run(fake, listener)
        finally:
            os._exit(1)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    return pid


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Tree:
    """A folder with files of /proc and /sys/fs/cgroup."""

    def __init__(self, folder: Path, version: int = 2, swap: bool = True) -> None:
        self.folder = folder
        self.version = version
        self._mount = "/sys/fs/cgroup" if version == 2 else "/sys/fs/cgroup/memory"
        kind = "cgroup2 rw" if version == 2 else "cgroup rw,nosuid,memory"
        write(self.path("/proc/mounts"),
              f"proc /proc proc rw 0 0\ncgroup {self._mount} {kind} 0 0\n")
        write(self.path("/proc/swaps"), "Filename Type Size Used Priority\n"
              + ("/dev/sda2 partition 1048572 0 -2\n" if swap else ""))

    def path(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def group(self, group: str, file: str = "") -> Path:
        """The folder of a group, or a file in it."""
        return self.path(f"{self._mount}{group}/{file}")

    def process(self, pid: int, group: str, huge: int = 0, anon: int = 0,
                shmem: int = 0) -> None:
        """A process; sizes are in KiB."""
        line = f"0::{group}" if self.version == 2 else f"4:cpu,memory:{group}\n0::/"
        write(self.path(f"/proc/{pid}/cgroup"), f"1:name=systemd:/\n{line}\n")
        write(self.path(f"/proc/{pid}/status"), f"Name:\tqemu\nVmRSS:\t1 kB\nRssAnon:\t{anon} kB"
              f"\nRssShmem:\t{shmem} kB\nHugetlbPages:\t{huge} kB\n")

    def charge(self, group: str, current: int, *pids: int, swap: int | None = 0,
               file: int = 0, shmem: int = 0) -> None:
        """A group with its figures, in bytes, and its processes."""
        if self.version == 2:
            figures = {"memory.current": current, "memory.swap.current": swap}
            stat = f"anon 1\nfile {file}\nfile_mapped 3\nshmem {shmem}\n"
        else:
            figures = {"memory.usage_in_bytes": current}
            stat = f"cache 1\ntotal_cache {file}\ntotal_shmem {shmem}\n"
            stat += "" if swap is None else f"total_swap {swap}\n"
        write(self.group(group, "memory.stat"), stat)
        for name, value in figures.items():
            if value is not None:
                write(self.group(group, name), f"{value}\n")
        write(self.group(group, "cgroup.procs"), "".join(f"{pid}\n" for pid in pids))
