# SPDX-License-Identifier: GPL-2.0
"""One QEMU: its command line, and a process that always ends with its parent."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from .agent import Agent
from .cgroup import ENTER, Cgroup
from .common import Deadline
from .host import HostProcess
from .qmp import Qmp

# The QEMU of this machine's architecture.
QEMU = "qemu-system-x86_64"
_START_SECONDS = 20
# Seconds between SIGTERM and SIGKILL, for timeout(1).
_KILL_AFTER_SECONDS = 5

# Print every kernel line from the first one on; after a failure end at once, without a loop
# of reboots; do not check the timer interrupt, which an emulator may delay, nor the kernel's
# ciphers, which takes an emulated guest a second.
_KERNEL_PARAMETERS = "ignore_loglevel panic=-1 oops=panic no_timer_check cryptomgr.notests"

_T = TypeVar("_T", Agent, Qmp)


class QemuFailed(Exception):
    """QEMU itself refused to start: a retry would not help."""


@dataclass(frozen=True)
class Architecture:
    """What depends on the architecture of a guest."""

    qemu: str
    machine: str
    tcg_cpu: str
    console: str  # kernel parameters
    native: bool  # KVM could run it


# TCG executes rep stosb byte by byte: without the flags erms and fsrm, a guest zeroes
# its memory 8 times faster.
#
# Before QEMU 8.0, cmpxchg16b overwrites processor flags that it should preserve with the
# content of a register. The kernel does not read these flags after the instruction, but a
# return from interrupt restores them from the stack, including the trap flag. Of ten boots
# of Linux 6.12 with systemd, five died; without the instruction (cx16) none of ten did.
_AMD64 = Architecture(QEMU, "q35", "max,-erms,-fsrm,-cx16",
                      "console=ttyS0 earlyprintk=serial,ttyS0,115200", True)

# The architecture's own algorithm of pointer authentication takes TCG most of the guest's
# time: this is a simpler one.
_ARM64 = Architecture("qemu-system-aarch64", "virt", "max,pauth-impdef=on",
                      "console=ttyAMA0 earlycon=pl011,0x9000000", False)


def _architecture(kernel: Path) -> Architecture:
    """The architecture of an image: the header of an arm64 kernel has these bytes at 56."""
    with kernel.open("rb") as image:
        return _ARM64 if image.read(60)[56:] == b"ARMd" else _AMD64


@dataclass(frozen=True)
class Machine:
    """The virtual hardware of a guest."""

    kernel: Path
    mem: float  # MiB
    smp: int
    balloon: Mapping[str, object] | None
    append: str
    qemu_args: Sequence[str]
    icount: bool
    tcg_thread: str  # multi or single
    time_limit: int  # seconds
    nodes: int = 1  # NUMA nodes with an equal part of the memory
    empty_nodes: int = 0  # additional NUMA nodes without memory
    more_memory: str = ""  # further options of -m: slots for hotplugged memory
    incoming: bool = False  # do not boot: the guest arrives by migration

    def arguments(self, initramfs: Path, sockets: Path, log: Path) -> list[str]:
        architecture = _architecture(self.kernel)
        return [
            architecture.qemu, "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot",
            *self._processor(architecture),
            "-machine", architecture.machine,
            "-m", f"{self.mem}M{self.more_memory}", *self._memory(),
            "-kernel", str(self.kernel), "-initrd", str(initramfs),
            "-append",
            f"{architecture.console} {_KERNEL_PARAMETERS} {self.append}".rstrip(),
            *self._serial(log),
            *self._channel("qmp", sockets), "-mon", "chardev=qmp,mode=control",
            *self._channel("agent", sockets), "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=agent,name=aerator.agent",
            *self._balloon(),
            "-pidfile", str(sockets / "pid"),
            *(("-incoming", _migration_uri(sockets)) if self.incoming else ()),
            *self.qemu_args,
        ]

    def _serial(self, log: Path) -> list[str]:
        """A serial port with one log per guest: the destination of a migration appends to the
        log of the source."""
        append = ",append=on" if self.incoming else ""
        return ["-chardev", f"file,id=serial,path={log}{append}", "-serial", "chardev:serial"]

    def _memory(self) -> list[str]:
        """Options of the memory; reserve=off allows a guest that is larger than its host."""
        if self.nodes + self.empty_nodes == 1:
            return ["-object", f"memory-backend-ram,id=ram,size={self.mem}M,reserve=off",
                    "-machine", "memory-backend=ram"]
        full = [word for node in range(self.nodes) for word in (
            "-object", f"memory-backend-ram,id=ram{node},reserve=off,"
                       f"size={self.mem // self.nodes}M",
            "-numa", f"node,nodeid={node},memdev=ram{node}")]
        return full + [word for node in range(self.empty_nodes)
                       for word in ("-numa", f"node,nodeid={self.nodes + node}")]

    def _processor(self, architecture: Architecture) -> list[str]:
        smp = ["-smp", str(self.smp)]
        cpu = ["-cpu", architecture.tcg_cpu]
        if self.icount:
            return [*smp, "-accel", "tcg,thread=single", *cpu,
                    "-icount", "shift=0,sleep=off"]
        if architecture.native and kvm_works():
            return [*smp, "-accel", "kvm", "-cpu", "host"]
        return [*smp, "-accel", f"tcg,thread={self.tcg_thread}", *cpu]

    @staticmethod
    def _channel(name: str, sockets: Path) -> list[str]:
        return ["-chardev",
                f"socket,id={name},path={sockets / name},server=on,wait=off"]

    def _balloon(self) -> list[str]:
        if self.balloon is None:
            return []
        options = [f"{key}={_option(value)}" for key, value in self.balloon.items()]
        return ["-device", ",".join(["virtio-balloon-pci,id=balloon", *options])]


def kvm_works() -> bool:
    """Whether KVM can be used: /dev/kvm may exist on a processor without virtualization."""
    flags = Path("/proc/cpuinfo").read_text()
    return (bool(re.search(r"^flags\s*:.*\b(vmx|svm)\b", flags, re.MULTILINE))
            and os.access("/dev/kvm", os.R_OK | os.W_OK))


def _migration_uri(sockets: Path) -> str:
    return f"unix:{sockets / 'migration'}"


def _option(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


_running: set[subprocess.Popen[bytes]] = set()
_ended = threading.Event()


def end_all() -> None:
    """End every QEMU of this process, and start no more of them. A thread that waits for a
    guest then gets an exception."""
    _ended.set()
    for process in list(_running):
        process.terminate()


@dataclass
class Qemu:
    """A running QEMU with the connections to it."""

    machine: Machine
    _process: subprocess.Popen[bytes] = field(init=False)
    _cgroup: Cgroup | None = field(init=False)

    def __post_init__(self) -> None:
        self._sockets = tempfile.TemporaryDirectory(prefix="aerator-vm-")
        self._cgroup = Cgroup.create()
        self._connections: list[Agent | Qmp] = []

    def start(self, initramfs: Path, serial_log: Path, messages: Path) -> None:
        """Start QEMU and connect to it; QEMU's own messages go to a file."""
        sockets = Path(self._sockets.name)
        command = self.machine.arguments(initramfs, sockets, serial_log)
        if _ended.is_set():
            raise QemuFailed("this process is ending")
        with messages.open("wb") as output:
            self._process = subprocess.Popen(
                self._guarded(command), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True)
        _running.add(self._process)
        if _ended.is_set():  # meanwhile
            self._process.terminate()
        try:
            self.agent = self._connect(Agent, sockets / "agent")
            self.qmp = self._connect(Qmp, sockets / "qmp")
        except QemuFailed as failure:
            raise QemuFailed(f"{failure}: {messages.read_text()}") from None
        pid = int((sockets / "pid").read_text())
        self.host = HostProcess(pid, self._cgroup)

    @property
    def migration_uri(self) -> str:
        """The address of incoming migrations, if the machine is a destination."""
        return _migration_uri(Path(self._sockets.name))

    def _guarded(self, command: list[str]) -> list[str]:
        """Wrap the command, so that it ends at its time limit, and if this process dies.

        timeout(1) is the child of this process, and QEMU is the only child of timeout: a
        SIGTERM for timeout reaches QEMU and no other process.
        """
        guarded = ["setpriv", "--pdeathsig", "TERM",
                   "timeout", "-k", str(_KILL_AFTER_SECONDS),
                   str(self.machine.time_limit), *command]
        if self._cgroup is None:
            return guarded
        return ["sh", "-c", ENTER, "sh", str(self._cgroup.path), *guarded]

    def _connect(self, connect: Callable[[Path], _T], path: Path) -> _T:
        """Connect, with retries: QEMU creates its sockets some time after its start."""
        deadline = Deadline(_START_SECONDS)
        while True:
            try:
                connection = connect(path)
            except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
                if self._process.poll() is not None:
                    raise QemuFailed(f"QEMU ended with status "
                                     f"{self._process.returncode}") from None
                if deadline.passed:
                    raise QemuFailed("QEMU does not listen") from None
                time.sleep(0.02)
            else:
                self._connections.append(connection)
                return connection

    def wait(self, timeout: float) -> int | None:
        """The exit status, None while QEMU runs; 124 means that the time limit was over."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End QEMU in whatever state it is, and clean up."""
        for connection in self._connections:
            connection.close()
        if hasattr(self, "_process"):
            self._process.terminate()
            self._process.wait()  # returns in any case: timeout(1) sends SIGKILL
            _running.discard(self._process)
        if self._cgroup:
            self._cgroup.remove()
        self._sockets.cleanup()
