# SPDX-License-Identifier: GPL-2.0
"""An installed Debian system: modified as a folder, booted from a disk image of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from .common import TOP, CommandFailed, ticking
from .firmware import Firmware
from .guest import Guest

_SCRIPT = TOP / "scripts/root"
# An emulated boot with systemd; it takes 20 s on an idle machine.
_BOOT_SECONDS = 300
# virtio_balloon still reports after its device was shut down, and then finds that its
# queue is broken.
_AT_POWER_OFF = (r"WARNING: .* virtballoon_free_page_report", "Call Trace:")


def _root(*command: str | Path) -> str:
    result = subprocess.run([_SCRIPT, *command], text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        raise CommandFailed(f"root {command[0]} {command[-1]}", result.returncode, result.stdout)
    return result.stdout


class Root:
    """A system that is unpacked at the start of its with block; the end removes it, and its
    disks.

    old, new    releases (uname -r): of the kernel that is installed, and of the one
                whose packages are in /root/next
    """

    def __init__(self, kernel: str, flavour: str, folder: Path) -> None:
        self._kernel, self._flavour, self._folder = kernel, flavour, folder
        self.tree = folder / "root"

    def __enter__(self) -> Root:
        self._folder.mkdir(parents=True, exist_ok=True)
        unpack = subprocess.run([_SCRIPT, "unpack", self._kernel, self._flavour, self.tree],
                                stdout=subprocess.PIPE, text=True, check=True)
        self.old, self.new = unpack.stdout.split()
        return self

    def __exit__(self, *exc: object) -> None:
        _root("remove", self.tree)
        shutil.rmtree(self._folder)

    def run(self, command: str) -> str:
        """Run a shell command in the system, as its root, without a network."""
        return _root("run", self.tree, command)

    def put(self, path: Path, where: str = "/root") -> str:
        """Copy a file or folder of the host into the system; return its path there."""
        target = f"{where}/{path.name}"
        with subprocess.Popen(["tar", "-c", "-C", path.parent, path.name],
                              stdout=subprocess.PIPE) as tar:
            subprocess.run([_SCRIPT, "run", self.tree, f"tar -x -C {where} --no-same-owner"],
                           stdin=tar.stdout, check=True)
        return target

    def image(self, name: str) -> Path:
        """The path of the disk image of that name."""
        return self._folder / f"{name}.img"

    def disk(self, name: str) -> Path:
        """Make a disk image of the current state of the system."""
        disk = self.image(name)
        with ticking(f"making the disk {disk.name}"):
            _root("image", self.tree, disk)
        return disk


def _of_disk(disk: Path, name: str) -> Path:
    """Copy a file out of the /boot of a disk image; return the path of the copy."""
    copy = disk.with_suffix(f".{name}")
    subprocess.run(["debugfs", "-R", f"dump /boot/{name} {copy}", disk], check=True,
                   env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return copy


def boot(disk: Path, release: str, name: str, append: str = "",
         firmware: Firmware | None = None, **arguments: Any) -> Guest:
    """A guest that boots its own kernel and initramfs from a disk; its changes stay on the
    disk."""
    files = _of_disk(disk, f"vmlinuz-{release}"), _of_disk(disk, f"initrd.img-{release}")
    if firmware:
        firmware.sign(files[0])
    drive = f"file={disk},if=none,id=root,format=raw,cache=unsafe"
    return Guest(files, name=name, append=f"root=/dev/vda rw {append}",
                 balloon={"free-page-reporting": True}, boot_limit=_BOOT_SECONDS,
                 allow=_AT_POWER_OFF,
                 qemu_args=("-drive", drive, "-device", "virtio-blk-pci,drive=root",
                            *(firmware.arguments() if firmware else ())),
                 **arguments)
