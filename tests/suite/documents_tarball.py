# SPDX-License-Identifier: GPL-2.0
"""The tarball of a release: no file is missing, the same bytes each time, and it builds."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from aerator_vm.common import BUILD

from .harness import expect, expect_equal, module_file, run_script
from .static import tracked

_KERNEL = "6.12"

# Files that a release must have, whatever git has.
_NEEDED = {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "dkms.conf", "kpatch/README",
           "include/linux/memory_aeration.h", "module/Kbuild", "module/main.c",
           "module/compat/Kbuild.include", "Documentation/aerator.4"}

# Settings of the user's environment, which must not change the tarball.
_HABITS = {"TZ": "Asia/Tokyo", "XZ_OPT": "-0", "GIT_CONFIG_COUNT": "1",
           "GIT_CONFIG_KEY_0": "tar.umask", "GIT_CONFIG_VALUE_0": "0077"}


def _own_git(scratch: Path) -> dict[str, str]:
    """An environment with a separate git index and object store: the checkout's stay as they
    are."""
    objects = run_script("git", "rev-parse", "--path-format=absolute", "--git-path", "objects")
    (scratch / "objects").mkdir()
    person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
              for key, value in (("NAME", "test"), ("EMAIL", "test"),
                                 ("DATE", "2026-01-01T00:00:00Z"))}
    return {**person, "GIT_INDEX_FILE": str(scratch / "index"),
            "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects.strip()}


def _commit() -> str:
    """Make a commit of all files of the checkout, committed or not."""
    run_script("git", "add", "--all")
    tree = run_script("git", "write-tree").strip()
    return run_script("git", "commit-tree", "-m", "as it is", tree).strip()


def _pack(scratch: Path) -> Path:
    """Pack twice, with different settings; the bytes are the same."""
    with mock.patch.dict(os.environ, _own_git(scratch)):
        commit = _commit()
        first = Path(run_script("scripts/package/dist", commit, scratch / "first").strip())
        with mock.patch.dict(os.environ, _HABITS):
            second = Path(run_script("scripts/package/dist", commit, scratch / "second").strip())
    expect(first.read_bytes() == second.read_bytes(), "two tarballs of a commit differ")
    return first


def _unpack(packed: Path) -> Path:
    run_script("tar", "-xf", packed, "-C", packed.parent)
    return packed.parent / packed.name.removesuffix(".tar.xz")


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _source_version(module: Path) -> str:
    """srcversion: the kernel's hash over the module's sources."""
    return run_script("modinfo", "-F", "srcversion", module).strip()


@contextlib.contextmanager
def _unpacked() -> Iterator[tuple[Path, Path]]:
    """The tarball, and the folder into which it was unpacked."""
    place = BUILD / "check"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dist-", dir=place) as name:
        packed = _pack(Path(name))
        yield packed, _unpack(packed)


def tarball() -> Iterator[str]:
    """The tarball has all files, and is the same each time."""
    with _unpacked() as (packed, folder):
        files = _files(folder)
        expect(not _NEEDED - files, f"{packed.name} lacks {sorted(_NEEDED - files)}")
        expect_equal(sorted(files ^ set(tracked())), [], "files in one of git and the tarball")
        yield f"{packed.name}: {len(files)} files, {packed.stat().st_size >> 10} KiB"


def tarball_builds() -> None:
    """The unpacked tarball builds the same module as the checkout, and the package."""
    with _unpacked() as (_, folder):
        built = Path(run_script(folder / "scripts/module", _KERNEL).split()[-1])
        expect_equal(_source_version(built), _source_version(module_file(_KERNEL)), "sources")
        deb = Path(run_script(folder / "scripts/package/deb").split()[-1])
        expect_equal(deb.name, f"aerator-dkms_{folder.name.partition('-')[2]}_all.deb", "package")
