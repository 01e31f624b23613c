# SPDX-License-Identifier: GPL-2.0
"""A test guest that libvirt runs, with a libvirtd of its own.

The daemon and the QEMU that it starts are in a sandbox. They see their work folder and
nothing else of this machine that can be written to, so a libvirt that is in use here
stays as it is; and all of them end with the sandbox, whichever way that ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .agent import Agent
from .common import TOP, Deadline
from .cpio import append_files
from .guest import Guest
from .qemu import Qemu, QemuFailed, kvm_works

_TEMPLATE = TOP / "scripts" / "libvirt-domain.xml"
# The name that it gives.
DOMAIN = "aerator"
_DAEMON_SECONDS = 60
_VIRSH_SECONDS = 120

# No daemon for logs beside it, and no AppArmor profile, which a sandbox cannot load.
_QEMU_CONF = 'security_driver = "none"\nstdio_handler = "file"\n'

# For root, libvirtd is a daemon for all users, and changes users and groups, which
# nobody can in a sandbox. It wants to know the name of whoever speaks to it, and the
# machine need not have a user of that number.
_USER = "1000"
_USERS = {"passwd": f"root:x:0:0::/:/bin/sh\nuser:x:{_USER}:{_USER}::/:/bin/sh\n",
          "group": f"root:x:0:\nuser:x:{_USER}:\n"}


class VirshFailed(Exception):
    """virsh ended with an error; what it said."""


def _sandbox(work: Path, logs: Path) -> list[str]:
    """The programs of this machine, two folders under their own names, and our users."""
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
    """A domain in a libvirtd of its own; stop() ends both."""

    files: Mapping[str, Path | str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return Path(self._sockets.name)

    def start(self, initramfs: Path, serial_log: Path, messages: Path) -> None:
        """Start the daemon, define and start the domain, and connect to its agent."""
        append_files(initramfs, self.work / "initramfs", self.files)
        shutil.copyfile(self.machine.kernel, self.work / "vmlinuz")
        serial_log.unlink(missing_ok=True)
        self._start_daemon(serial_log.parent, messages)
        definition = self.work / "domain.xml"
        definition.write_text(self._definition(serial_log))
        try:
            self.virsh("define", str(definition))
            self.virsh("start", DOMAIN)
        except VirshFailed as failure:
            raise QemuFailed(str(failure)) from None
        self.connect_agent()

    def connect_agent(self) -> Agent:
        """Anew for each QEMU. Old lines stay open: the agent would take their end for
        its own."""
        self.agent = self._connect(Agent, self.work / "agent")
        return self.agent

    def virsh(self, *words: str) -> str:
        """Run a command of virsh and give what it says."""
        uri = f"qemu+unix:///session?socket={self.work}/libvirt/libvirt-sock"
        result = subprocess.run(["virsh", "-q", "-c", uri, *words], env=self._environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=_VIRSH_SECONDS)
        if result.returncode:
            raise VirshFailed(result.stderr.strip())
        return result.stdout.strip()

    def memory_current(self) -> int | None:
        """Bytes that the host has in use for the sandbox."""
        return self._cgroup.memory_current() if self._cgroup else None

    def _environment(self) -> dict[str, str]:
        """All that libvirt keeps of a user is in the work folder."""
        kinds = ("CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "RUNTIME_DIR")
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C",
                "HOME": str(self.work), **{f"XDG_{kind}": str(self.work) for kind in kinds}}

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
        """The template, with the machine in it that a QEMU of ours would be."""
        machine, work = self.machine, self.work
        domain = ET.parse(_TEMPLATE).getroot()
        like = machine.arguments(work / "initramfs", work, serial_log)
        for path, text in (("memory", str(machine.mem)), ("vcpu", str(machine.smp)),
                           ("os/kernel", str(work / "vmlinuz")),
                           ("os/initrd", str(work / "initramfs")),
                           ("os/cmdline", _option(like, "-append"))):
            _part(domain, path).text = text
        _part(domain, "devices/serial/source").set("path", str(serial_log))
        _part(domain, "devices/channel/source").set("path", str(work / "agent"))
        if not kvm_works():
            _emulate(domain, _option(like, "-cpu"))
        return ET.tostring(domain, encoding="unicode")


def _part(domain: ET.Element, path: str) -> ET.Element:
    """One that is there once."""
    [found] = domain.findall(path)
    return found


def _emulate(domain: ET.Element, processor: str) -> None:
    """No KVM here, and a processor without the flags that "max,-FLAG..." is without."""
    domain.set("type", "qemu")
    cpu = _part(domain, "cpu")
    cpu.set("mode", "maximum")
    for flag in processor.split(",-")[1:]:
        ET.SubElement(cpu, "feature", policy="disable", name=flag)


class LibvirtGuest(Guest):
    """Guest's qmp and host are not there: libvirt has QEMU to itself."""

    domain: Domain

    def _start(self) -> None:
        self._qemu = self.domain = Domain(self._machine, self._files)
        self.domain.start(self._initramfs, self.serial_log, self.log_dir / "libvirtd.log")
        self._agent = self.domain.agent
        self._agent.wait_ready(self._boot_limit)

    def reconnect(self) -> None:
        """To the QEMU in which the guest goes on, and before it does so: it would see
        that nobody is there."""
        self._agent = self.domain.connect_agent()

    def finish(self, power_off: bool = True) -> None:
        """A guest does not see how it is destroyed: its log is complete before."""
        if self._finished:
            return
        self._finished = True
        self._check(self.dmesg())
        self._check(self._serial())
        self.domain.virsh("destroy", DOMAIN)
