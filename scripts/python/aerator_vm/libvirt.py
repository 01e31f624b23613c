# SPDX-License-Identifier: GPL-2.0
"""Test guests that libvirt runs, with a libvirtd of their own.

The daemon and its QEMUs run in a sandbox, in which only their work folder is writable. A
libvirt of this machine is therefore not affected, and all processes end with the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .agent import Agent
from .common import TOP, Deadline
from .cpio import append_files
from .guest import Guest
from .qemu import Qemu, QemuFailed, kvm_works

_TEMPLATE = TOP / "scripts" / "libvirt-domain.xml"
# The name in scripts/libvirt-domain.xml.
DOMAIN = "aerator"
_DAEMON_SECONDS = 60
_VIRSH_SECONDS = 120

# No virtlogd, and no AppArmor profile, which cannot be loaded in a sandbox.
_QEMU_CONF = 'security_driver = "none"\nstdio_handler = "file"\n'

# A libvirtd of root is a system daemon, and changes users and groups, which is impossible in
# a sandbox: run it as another user. It looks up the name of its client's user, so the
# sandbox has a passwd file with this user id, which the machine may not have.
_USER = "1000"
_USERS = {"passwd": f"root:x:0:0::/:/bin/sh\nuser:x:{_USER}:{_USER}::/:/bin/sh\n",
          "group": f"root:x:0:\nuser:x:{_USER}:\n"}


class VirshFailed(Exception):
    """virsh ended with an error; the message is its output."""


def _sandbox(work: Path, logs: Path) -> list[str]:
    """bwrap's command line: this machine's programs, two folders at the same path as outside,
    and a passwd file."""
    binds = [word for path in (work, logs) for word in ("--bind", str(path), str(path))]
    for name, lines in _USERS.items():
        (work / name).write_text(lines)
        binds += ["--ro-bind", str(work / name), f"/etc/{name}"]
    return ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net",
            "--die-with-parent", "--uid", _USER, "--gid", _USER,
            "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
            "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin",
            "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
            "--proc", "/proc", "--ro-bind", "/sys", "/sys",
            "--dev", "/dev", "--dev-bind-try", "/dev/kvm", "/dev/kvm", *binds]


def _option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


@dataclass
class Domain(Qemu):
    """A domain in a libvirtd of its own, which ends with it, or in that of another domain
    (@beside), which has to be there for longer than this one."""

    files: Mapping[str, Path | str] = field(default_factory=dict)
    name: str = DOMAIN
    reporting: bool = True
    beside: Domain | None = None

    @property
    def work(self) -> Path:
        """A folder that the daemon's sandbox shows."""
        return self.beside.work / self.name if self.beside else Path(self._sockets.name)

    @property
    def _daemon_work(self) -> Path:
        return self.beside.work if self.beside else self.work

    @property
    def uri(self) -> str:
        """libvirt's URI of the daemon."""
        return f"qemu+unix:///session?socket={self._daemon_work}/libvirt/libvirt-sock"

    def start(self, initramfs: Path, serial_log: Path, messages: Path) -> None:
        """Start the daemon if it is the domain's own, define and start the domain, and connect
        to its agent."""
        self.work.mkdir(exist_ok=True)
        append_files(initramfs, self.work / "initramfs", self.files)
        shutil.copyfile(self.machine.kernel, self.work / "vmlinuz")
        serial_log.unlink(missing_ok=True)
        if self.beside:
            self._process = self.beside._process
        else:
            self._start_daemon(serial_log.parents[1], messages)
        definition = self.work / "domain.xml"
        definition.write_text(self._definition(serial_log))
        try:
            self.virsh("define", str(definition))
            self.virsh("start", "--paused", self.name)
            self._enter_cgroup()
            self.virsh("resume", self.name)
        except VirshFailed as failure:
            raise QemuFailed(str(failure)) from None
        self.connect_agent()

    def _enter_cgroup(self) -> None:
        """Move QEMU from the daemon's cgroup to that of this domain, before it uses most of its
        memory."""
        if self.beside and self._cgroup:
            (self._cgroup.path / "cgroup.procs").write_text(str(self._pid()))

    def _pid(self) -> int:
        """QEMU's pid outside of the sandbox."""
        words = f"guest={self.name},".encode(), str(self.work).encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes()
                if line.startswith(b"/usr/bin/qemu") and all(word in line for word in words):
                    return int(path.parent.name)
        raise QemuFailed(f"no QEMU of the domain {self.name}")

    def stop(self) -> None:
        """End the domain, and the daemon if it is the domain's own."""
        if self.beside:
            with contextlib.suppress(VirshFailed):
                self.virsh("destroy", self.name)
            self.__dict__.pop("_process", None)
        super().stop()

    def connect_agent(self) -> Agent:
        """Make a new connection, for each QEMU. Old connections stay open: if one is closed,
        the agent ends."""
        self.agent = self._connect(Agent, self.work / "agent")
        return self.agent

    def virsh(self, *words: str) -> str:
        """Run a command of virsh and return its output."""
        result = subprocess.run(["virsh", "-q", "-c", self.uri, *words], env=self._environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=_VIRSH_SECONDS)
        if result.returncode:
            raise VirshFailed(result.stderr.strip())
        return result.stdout.strip()

    def memory_current(self) -> int | None:
        """Bytes that the host has in use for the sandbox."""
        return self._cgroup.memory_current() if self._cgroup else None

    def _environment(self) -> dict[str, str]:
        """Environment variables that put all of libvirt's files into the daemon's folder."""
        kinds = ("CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "RUNTIME_DIR")
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C",
                "HOME": str(self._daemon_work),
                **{f"XDG_{kind}": str(self._daemon_work) for kind in kinds}}

    def _start_daemon(self, logs: Path, messages: Path) -> None:
        config = self.work / "libvirt"
        config.mkdir()
        (config / "qemu.conf").write_text(_QEMU_CONF)
        with messages.open("wb") as output:
            self._process = subprocess.Popen(
                self._guarded([*_sandbox(self.work, logs), "libvirtd"]),
                env=self._environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True)
        deadline = Deadline(_DAEMON_SECONDS)
        while not self._daemon_answers():
            if deadline.passed or self._process.poll() is not None:
                raise QemuFailed(f"no answer from libvirtd: {messages.read_text()}")
            time.sleep(0.1)

    def _daemon_answers(self) -> bool:
        try:
            self.virsh("uri")
        except VirshFailed:
            return False
        return True

    def _definition(self, serial_log: Path) -> str:
        """The domain's XML: the template, with the same machine as class Qemu makes."""
        machine, work = self.machine, self.work
        domain = ET.parse(_TEMPLATE).getroot()
        like = machine.arguments(work / "initramfs", work, serial_log)
        for path, text in (("name", self.name), ("memory", str(machine.mem)),
                           ("vcpu", str(machine.smp)),
                           ("os/kernel", str(work / "vmlinuz")),
                           ("os/initrd", str(work / "initramfs")),
                           ("os/cmdline", _option(like, "-append"))):
            _part(domain, path).text = text
        _part(domain, "devices/memballoon").set("freePageReporting",
                                                "on" if self.reporting else "off")
        _part(domain, "devices/serial/source").set("path", str(serial_log))
        _part(domain, "devices/channel/source").set("path", str(work / "agent"))
        if not kvm_works():
            _emulate(domain, _option(like, "-cpu"))
        return ET.tostring(domain, encoding="unicode")


def _part(domain: ET.Element, path: str) -> ET.Element:
    """The element at a path; there must be exactly one."""
    [found] = domain.findall(path)
    return found


def _emulate(domain: ET.Element, processor: str) -> None:
    """Use TCG instead of KVM, and remove the processor flags that "max,-FLAG..." names."""
    domain.set("type", "qemu")
    cpu = _part(domain, "cpu")
    cpu.set("mode", "maximum")
    for flag in processor.split(",-")[1:]:
        ET.SubElement(cpu, "feature", policy="disable", name=flag)


class LibvirtGuest(Guest):
    """A guest under libvirt. It has no qmp and no host attribute: libvirt alone controls QEMU.
    @domain, @reporting and @beside are for class Domain."""

    domain: Domain

    def __init__(self, kernel: str, *, domain: str = DOMAIN, reporting: bool = True,
                 beside: Domain | None = None, **machine: Any) -> None:
        super().__init__(kernel, **machine)
        self._options: dict[str, Any] = {"name": domain, "reporting": reporting,
                                         "beside": beside}

    def _start(self) -> None:
        self._qemu = self.domain = Domain(self._machine, self._files, **self._options)
        self.domain.start(self._initramfs, self.serial_log, self.log_dir / "libvirtd.log")
        self._agent = self.domain.agent
        self._agent.wait_ready(self._boot_limit)

    def reconnect(self) -> None:
        """Connect to the QEMU in which the guest continues, before the guest runs there: the
        agent ends if its port has no reader."""
        self._agent = self.domain.connect_agent()

    def finish(self, power_off: bool = True) -> None:
        """Check the log before the domain is destroyed: the guest logs nothing after that."""
        if self._finished:
            return
        self._finished = True
        self._check(self.dmesg())
        self._check(self._serial())
        self.domain.virsh("destroy", self.domain.name)
