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

# Limits for added lines of code: of a series of patches, in total and in each patch; and of
# the older form, which is one patch, with the header and in one file.
LINES, LINES_IN_PATCH = 400, 130
OLD_LINES, OLD_LINES_IN = 250, {"mm/page_alloc.c": 40}
PATCHES = range(5, 9)

# Files of documents and tests, and those that are mostly the text of help.
_NOT_CODE = re.compile(r"Documentation/|.*/Kconfig|.*_kunit\.c$")


def _patches(series: str) -> list[Path]:
    return sorted(path for path in (TOP / "kpatch" / series).glob("[0-9]*.patch")
                  if not path.name.startswith("0000-"))


def _letter(series: str) -> Path:
    """The cover letter; a series in the older form has none."""
    return TOP / "kpatch" / series / "0000-cover-letter.patch"


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


def _counts(patch: Path) -> Counter[str]:
    """Added lines of code of each file."""
    return Counter({name: _code(lines) for name, lines in _added(patch).items()
                    if not _NOT_CODE.match(name)})


def _size_of_old_form(series: str) -> Iterable[str]:
    counts = Counter({HEADER.name: _code(HEADER.read_text().splitlines())})
    for patch in _patches(series):
        counts += _counts(patch)
    total = sum(counts.values())
    expect(total <= OLD_LINES, f"{total} added lines, {OLD_LINES} are allowed")
    for name, most in OLD_LINES_IN.items():
        expect(0 < counts[name] <= most,
               f"{counts[name]} added lines in {name}, 1 to {most} are allowed")
    yield f"{series}: {total} lines added; " + ", ".join(
        f"{Path(name).name} {lines}" for name, lines in counts.most_common())


def _size_of_series(series: str) -> Iterable[str]:
    patches = _patches(series)
    expect(len(patches) in PATCHES, f"{len(patches)} patches")
    added = {patch.name[:4]: sum(_counts(patch).values()) for patch in patches}
    for number, lines in added.items():
        expect(lines <= LINES_IN_PATCH,
               f"{lines} added lines in {number}, {LINES_IN_PATCH} are allowed")
    total = sum(added.values())
    expect(total <= LINES, f"{total} added lines, {LINES} are allowed")
    yield f"{series}: {total} lines added; " + ", ".join(
        f"{number} {lines}" for number, lines in added.items())


def size(series: str) -> Iterable[str]:
    """The patches of a series add no more lines than allowed, in total and each."""
    if _letter(series).exists():
        yield from _size_of_series(series)
    else:
        yield from _size_of_old_form(series)


def letter(series: str) -> None:
    """The cover letter lists the patches that are there, in their order."""
    listed = re.findall(r"^  (\S.*)$", _letter(series).read_text(), re.MULTILINE)
    subjects = []
    for patch in _patches(series):
        match = re.search(r"^Subject: \[PATCH[^]]*\] (.+(?:\n .+)*)", patch.read_text(),
                          re.MULTILINE)
        expect(match, f"{patch.name} has no subject")
        assert match
        subjects.append(match[1].replace("\n ", " "))
    missing = [subject for subject in subjects if subject not in listed]
    expect(subjects and not missing, f"not in the cover letter: {missing}")
    expect([line for line in listed if line in subjects] == subjects, f"order: {listed}")


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
    *on_kernels(letter, [series for series in SERIES if _letter(series).exists()]),
    Case("style-header", style_header),
    *on_kernels(applies, ("6.12",)),
]
