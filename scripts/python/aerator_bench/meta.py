# SPDX-License-Identifier: GPL-2.0
"""Metadata of a run (host, kernels, modules, settings), needed to reproduce its figures."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from aerator_vm import cgroup
from aerator_vm.common import BUILD, TOP, processors
from aerator_vm.guest import kernel_tree
from aerator_vm.qemu import QEMU, kvm_works

from .contestant import CONTESTANTS, MACHINES, SETTINGS

_THP = Path("/sys/kernel/mm/transparent_hugepage")


def _first_line(*command: str | Path) -> str:
    result = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=False)
    return result.stdout.partition("\n")[0]


def _host() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": processors(),
        "memory_mib": memory >> 20,
        "kernel": platform.release(),
        "transparent_hugepage": (_THP / "enabled").read_text().strip(),
        "transparent_hugepage_defrag": (_THP / "defrag").read_text().strip(),
        "memory_cgroup": cgroup.version() or "none: host memory is QEMU's RSS",
        "accelerator": "kvm" if kvm_works() else "tcg",
        "qemu": _first_line(QEMU, "--version"),
    }


def _module(kernel: str) -> dict[str, str]:
    path = BUILD / kernel / "aerator.ko"
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.exists() else {}


def _settings(case: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """aerator's parameters, as the guests noted them."""
    found = {}
    for name in names:
        path = BUILD / "log" / f"bench-{case}-{name}" / SETTINGS
        if path.exists():
            found[name] = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return found


def _notes(case: str, name: str, file: str) -> list[Path]:
    """The notes of a contestant's guests, of which a case may have several kinds."""
    return sorted((BUILD / "log").glob(f"bench-{case}*-{name}/{file}"))


def forget(case: str, names: Iterable[str]) -> None:
    """Delete the notes of an earlier run, before the first guest of this run boots."""
    for name in names:
        for file in (MACHINES, SETTINGS):
            for path in _notes(case, name, file):
                path.unlink()


def _machine(command: str) -> dict[str, str]:
    words = shlex.split(command)
    memory, processors = (words[words.index(option) + 1] for option in ("-m", "-smp"))
    return {"memory": memory, "processors": processors, "command": command}


def _machines(case: str, names: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    """QEMU's command lines of the guests, without duplicates."""
    return {name: [_machine(line) for path in _notes(case, name, MACHINES)
                   for line in path.read_text().splitlines()] for name in names}


def collect(case: str, names: Sequence[str]) -> dict[str, Any]:
    """Collect all metadata at the end of a run, when the guests have written their notes."""
    kernels = sorted({CONTESTANTS[name].kernel for name in names})
    modules = {CONTESTANTS[name].kernel for name in names
               if CONTESTANTS[name].driver == "aerator"}
    return {
        "command": shlex.join(sys.argv),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _first_line("git", "describe", "--always", "--dirty"),
        "case": case,
        "host": _host(),
        "kernels": {kernel: (kernel_tree(kernel) / "release").read_text().strip()
                    for kernel in kernels},
        "modules": {kernel: _module(kernel) for kernel in sorted(modules)},
        "settings": _settings(case, names),
        "machines": _machines(case, names),
    }
