# SPDX-License-Identifier: GPL-2.0
"""Appending files to an initramfs.

The kernel unpacks concatenated cpio archives one after another, so files of one
run need no rebuild of what all runs share.
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
    """Names and contents are aligned to 4 bytes in the newc format."""
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
    """The kernel makes no directory by itself."""
    for parent in reversed(path.parents):
        name = str(parent).lstrip("/")
        if name and name not in known:
            _write_entry(out, name, stat.S_IFDIR | 0o755)
            known.add(name)


def _content(path: Path) -> bytes:
    """Of a module what a kernel uses: nine tenths of the file are for debuggers, and an
    emulated guest takes a second to read them."""
    if path.suffix != ".ko":
        return path.read_bytes()
    with tempfile.NamedTemporaryFile(prefix="aerator-module-") as stripped:
        subprocess.run(["strip", "-g", "-o", stripped.name, path], check=True)
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
