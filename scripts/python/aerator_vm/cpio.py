# SPDX-License-Identifier: GPL-2.0
"""Appending files to an initramfs.

The kernel unpacks concatenated cpio archives one after another, so the files of one
run are appended to an archive that all runs share.
"""

from __future__ import annotations

import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO


def _write_padded(out: BinaryIO, data: bytes) -> None:
    """Write and pad to 4 bytes: the newc format aligns names and contents."""
    out.write(data)
    out.write(b"\0" * (-out.tell() % 4))


def _write_entry(out: BinaryIO, name: str, mode: int, data: bytes = b"") -> None:
    encoded = name.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor,
    # rdevmajor, rdevminor, namesize, check
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = "070701" + "".join(f"{field:08x}" for field in fields)
    _write_padded(out, header.encode() + encoded)
    _write_padded(out, data)


def _write_parents(out: BinaryIO, path: PurePosixPath, known: set[str]) -> None:
    """Write entries for all parents: the kernel creates no missing directories."""
    for parent in reversed(path.parents):
        name = str(parent).lstrip("/")
        if name and name not in known:
            _write_entry(out, name, stat.S_IFDIR | 0o755)
            known.add(name)


# strip knows the machine of its own architecture only: the number at byte 18 of an ELF file.
_STRIP = {183: "aarch64-linux-gnu-strip"}


def _content(path: Path) -> bytes:
    """The content of a file; a module without its debug sections, which are nine tenths of
    the file, and take an emulated guest a second to read."""
    if path.suffix != ".ko":
        return path.read_bytes()
    machine = int.from_bytes(path.read_bytes()[18:20], "little")
    with tempfile.NamedTemporaryFile(prefix="aerator-module-") as stripped:
        subprocess.run([_STRIP.get(machine, "strip"), "-g", "-o", stripped.name, path], check=True)
        return Path(stripped.name).read_bytes()


def append_files(base: Path, target: Path, files: Mapping[str, Path | str]) -> None:
    """Write base and the files {guest path: host path} to target."""
    known: set[str] = set()
    with target.open("wb") as out:
        with base.open("rb") as source:
            shutil.copyfileobj(source, out)
        for guest_path, host_path in files.items():
            path = PurePosixPath("/", guest_path)
            _write_parents(out, path, known)
            mode = stat.S_IFREG | (Path(host_path).stat().st_mode & 0o777)
            _write_entry(out, str(path).lstrip("/"), mode,
                         _content(Path(host_path)))
        _write_entry(out, "TRAILER!!!", 0)
