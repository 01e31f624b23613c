# SPDX-License-Identifier: GPL-2.0
"""A memory cgroup for one process tree, to measure its memory in use.

RSS is not a correct measure: if all of a huge page but one small page was dropped, RSS
counts only the small page, while the host still has the whole huge page in use.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "aerator-"
_numbers = itertools.count()
_V2_USAGE = "memory.current"

# Run by sh with the cgroup as $1: writing 0 moves the writer.
ENTER = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'


class Cgroup:
    """A new group below, or beside, that of this process."""

    def __init__(self, path: Path, usage_file: str) -> None:
        self.path = path
        self._usage = path / usage_file

    @classmethod
    def create(cls) -> Cgroup | None:
        """Make a group; None where the system allows no memory cgroup."""
        for parent, usage_file in _parents():
            _remove_orphans(parent)
            path = parent / f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
            try:
                path.mkdir()
            except OSError:
                continue
            group = cls(path, usage_file)
            if group._usable():
                return group
            group.remove()
        return None

    def _usable(self) -> bool:
        """Whether a process can enter: this depends on more than file modes, so try it."""
        trial = subprocess.run(["sh", "-c", ENTER, "sh", self.path, "true"],
                               stderr=subprocess.DEVNULL, check=False)
        return trial.returncode == 0 and self._usage.exists()

    @property
    def version(self) -> str:
        return "v2" if self._usage.name == _V2_USAGE else "v1"

    def memory_current(self) -> int:
        """Bytes in use by the group."""
        return int(self._usage.read_text())

    def remove(self) -> None:
        """Remove the group; retry for a while, as its last process may just have ended."""
        for _ in range(100):
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)
            else:
                return


def version() -> str | None:
    """The version of the cgroups that this process can make, or None if it can make none."""
    group = Cgroup.create()
    if group is None:
        return None
    group.remove()
    return group.version


def _parents() -> Iterator[tuple[Path, str]]:
    """Groups in which a child could be made, best first, each with its usage file's name."""
    mounts = _cgroup_mounts()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and "v2" in mounts:
            # A v2 group with processes cannot have children with controllers, so
            # the new group is made beside it, or higher.
            own = mounts["v2"] / path.lstrip("/")
            for group in (own, *own.parents):
                if _has_memory_children(group):
                    yield group, _V2_USAGE
        elif "memory" in controllers.split(",") and "v1" in mounts:
            yield mounts["v1"] / path.lstrip("/"), "memory.usage_in_bytes"


def _cgroup_mounts() -> dict[str, Path]:
    """Mount points: key "v2", and key "v1" for that of v1's memory controller."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, options = line.split()[:4]
        if kind == "cgroup2":
            mounts.setdefault("v2", Path(path))
        elif kind == "cgroup" and "memory" in options.split(","):
            mounts.setdefault("v1", Path(path))
    return mounts


def _has_memory_children(group: Path) -> bool:
    try:
        return "memory" in (group / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def _remove_orphans(parent: Path) -> None:
    """Remove groups of runs that were killed before they could clean up."""
    for path in parent.glob(f"{_PREFIX}*-*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            try:
                path.rmdir()
            except OSError:
                pass  # its QEMU has not ended yet; the next run removes it
