# SPDX-License-Identifier: GPL-2.0
"""The families of the module's files: a lower one knows of no higher one."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from aerator_vm.common import BUILD, TOP

from .harness import expect, module_objects, run_script

# From the lowest to the highest. A file is of the first that it matches. The values of the
# parameters are at the bottom, and what reads and writes them is at the top.
_FAMILIES = (
    ("params.h", "stats.h", "compat/*"),
    ("policy*", "window_min*", "reactor*"),
    ("trace*",),
    ("mm_*",),
    ("intake*",),
    ("balloon*", "sysfs*"),
    ("params.c", "main.c"),
)

_INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)


def _rank(path: str) -> int:
    """The number of its family."""
    for rank, patterns in enumerate(_FAMILIES):
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            return rank
    expect(False, f"{path} is of no family")
    return -1


def _includes(folder: Path) -> list[str]:
    """Headers of a higher family that a file includes."""
    upward = []
    for file in sorted(folder.glob("**/*.[ch]")):
        path = str(file.relative_to(folder))
        for name in _INCLUDE.findall(file.read_text()):
            header = str((file.parent / name).relative_to(folder))
            if _rank(header) > _rank(path):
                upward.append(f"{path} includes {header}")
    return upward


def _symbols(folder: Path, source: str) -> tuple[set[str], set[str]]:
    """The functions that an object defines for others, and what it has from others."""
    lines = run_script("nm", "-g", folder / source.replace(".c", ".o")).splitlines()
    words = [line.split() for line in lines]
    return ({word[-1] for word in words if word[-2] == "T"},
            {word[-1] for word in words if word[-2] == "U"})


def _calls(folder: Path, sources: list[str]) -> list[str]:
    """Functions of a higher family that a file calls, or has the address of."""
    symbols = {source: _symbols(folder, source) for source in sources}
    home = {name: source for source, (defined, _) in symbols.items() for name in defined}
    return [f"{source} calls {name}() of {home[name]}"
            for source, (_, wanted) in symbols.items()
            for name in sorted(wanted & home.keys()) if _rank(home[name]) > _rank(source)]


def seams(kernel: str) -> None:
    """No file of the module includes or calls one of a higher family."""
    objects = module_objects(kernel)
    built = BUILD / kernel / "module"
    sources = [str(path.relative_to(built)).replace(".o", ".c") for path in objects]
    expect(len(sources) > 30, f"only {len(sources)} objects in {built}")
    upward = _includes(TOP / "module") + _calls(built, sources)
    expect(not upward, "upward:\n" + "\n".join(upward))
