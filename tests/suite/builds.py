# SPDX-License-Identifier: GPL-2.0
"""Kernels that the module is built for, and not booted: others' names for what it uses,
other architectures, other releases of a series."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

from aerator_vm.common import BUILD, TOP

from .harness import Case, expect, run_script
from .static import silent


def _answer(*command: str) -> Path:
    """What a script of the checkout prints."""
    result = subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip())


def _stock_headers(kernel: str) -> Path:
    """The folder that a module for a stock kernel is built against."""
    tree = _answer("scripts/kernel", kernel)
    release = (tree / "release").read_text().strip()
    return tree / "lib/modules" / release / "build"


def _common(headers: Path) -> Path:
    """The headers that all flavours of a release have in common."""
    makefile = (headers / "Makefile").read_text()
    return Path(re.search(r"^include (\S+)/Makefile$", makefile, re.M)[1])


def _folder(name: str) -> Path:
    """An empty one, which the compiler of any suite sees."""
    folder = BUILD / "check" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _compile(name: str, suite: str, headers: Path, *arguments: str) -> None:
    """W=1, and no word of it."""
    silent(run_script("scripts/compile", name, suite, headers, "W=1", *arguments),
           "warnings")


# What names in 7.3's headers were in 6.17 and in the first releases of 6.18.
_NAMES_6_17 = {"VIRTIO_FEATURES_U64S": "VIRTIO_FEATURES_DWORDS",
               "VIRTIO_FEATURES_BITS": "VIRTIO_FEATURES_MAX",
               "VIRTIO_U64": "VIRTIO_DWORD"}


def virtio_names() -> None:
    """6.17 is in no suite any more: 7.3 with the names that it had for features. The
    compiler looks for headers in the folder that is named first."""
    headers = _stock_headers("7.3")
    folder = _folder("virtio-names/include/linux")
    for header in (_common(headers) / "include/linux").glob("virtio*.h"):
        text = header.read_text()
        for new, old in _NAMES_6_17.items():
            text = re.sub(rf"\b{new}\b", old, text)
        (folder / header.name).write_text(text)
    expect("VIRTIO_FEATURES_DWORDS" in (folder / "virtio_features.h").read_text(),
           "7.3 has other names now")
    _compile("virtio-names", "trixie", headers,
             f"NOSTDINC_FLAGS=-nostdinc -I{folder.parent}")


def _architecture(suite: str, *which: str) -> None:
    """It compiles, and links to nothing that the kernel does not export."""
    headers = _answer("scripts/headers", suite, *which) / "build"
    base = suite.removesuffix("-backports")
    _compile("-".join((suite, *which)), f"{base}/cross", headers)


def architecture(suite: str, architecture: str, flavour: str, series: str,
                 long: bool = False) -> Case:
    return Case(f"architecture {series} {flavour}",
                functools.partial(_architecture, suite, architecture, flavour, series),
                long=long)


CASES = [
    Case("virtio-names 7.3", virtio_names),
    architecture("bookworm", "i386", "686-pae", "6.1"),
    architecture("bookworm-backports", "arm64", "cloud-arm64", "6.12"),
    architecture("bookworm-backports", "ppc64el", "powerpc64le", "6.12"),
    architecture("bookworm-backports", "s390x", "s390x", "6.12"),
]
