# SPDX-License-Identifier: GPL-2.0
"""The kernel patch: its size, its style, and whether it applies."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from aerator_vm.common import TOP

from .harness import Case, expect, on_kernels, run_script

HEADER = TOP / "include/linux/memory_aeration.h"
SERIES = tuple(sorted(path.name for path in (TOP / "kpatch").iterdir()
                      if path.is_dir()))

# Limits for added lines of code in a series: in total, header included, and in each file.
LINES = 250
LINES_IN = {"mm/page_alloc.c": 40}


def _patches(series: str) -> list[Path]:
    return sorted((TOP / "kpatch" / series).glob("[0-9]*.patch"))


def _code(lines: Iterable[str]) -> int:
    """Lines that are neither empty nor comment."""
    found, inside = 0, False
    for line in lines:
        # Kernel code has no code on the lines of a comment.
        if inside or line.lstrip().startswith("/*"):
            inside = "*/" not in line
        elif line.strip() and not line.lstrip().startswith("//"):
            found += 1
    return found


def _added(patch: Path) -> dict[str, list[str]]:
    """The lines that a patch adds, file by file."""
    added: dict[str, list[str]] = {}
    name = ""
    for line in patch.read_text().splitlines():
        if match := re.match(r"\+\+\+ b/(.+)", line):
            name = match[1]
        elif line.startswith("+") and not line.startswith("+++"):
            added.setdefault(name, []).append(line[1:])
    return added


def size(series: str) -> Iterable[str]:
    """The patch of a series adds no more lines than allowed, in total and to each file."""
    counts: Counter[str] = Counter(
        {HEADER.name: _code(HEADER.read_text().splitlines())})
    for patch in _patches(series):
        for name, lines in _added(patch).items():
            counts[name] += _code(lines)
    total = sum(counts.values())
    expect(total <= LINES, f"{total} added lines, {LINES} are allowed")
    for name, most in LINES_IN.items():
        expect(0 < counts[name] <= most,
               f"{counts[name]} added lines in {name}, 1 to {most} are allowed")
    yield f"{series}: {total} lines added; " + ", ".join(
        f"{Path(name).name} {lines}" for name, lines in counts.most_common())


def style(series: str) -> None:
    """checkpatch finds nothing in the patches."""
    run_script("scripts/check/checkpatch", "--patch", *_patches(series))


def style_header() -> None:
    """checkpatch finds nothing in the header that the patches install."""
    run_script("scripts/check/checkpatch", HEADER)


def applies(series: str) -> None:
    """The patches apply to Debian's source with "git am", without fuzz, and completely."""
    source = Path(run_script("scripts/kernel-source", series).splitlines()[-1])
    patches = _patches(series)
    expect(patches, f"no patch for {series}")
    with tempfile.TemporaryDirectory(prefix="aerator-am-") as folder:
        tree = Path(folder)
        for name in {name for patch in patches for name in _touched(patch)}:
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / name).exists():
                shutil.copy(source / name, target)
        _git(tree, "init", "--quiet")
        _git(tree, "add", "--all", "--force")
        _git(tree, "commit", "--quiet", "--message", series)
        _git(tree, "am", "--quiet", *map(str, patches))


def _touched(patch: Path) -> list[str]:
    return re.findall(r"^diff --git a/\S+ b/(\S+)$", patch.read_text(), re.MULTILINE)


def _git(tree: Path, *command: str) -> None:
    result = subprocess.run(
        ["git", "-c", "user.name=test", "-c", "user.email=test@localhost",
         "-C", str(tree), *command], text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(result.returncode == 0, f"git {command[0]}:\n{result.stdout}")


CASES = [
    *on_kernels(size, SERIES),
    *on_kernels(style, SERIES),
    Case("style-header", style_header),
    *on_kernels(applies, ("6.12",)),
]
