# SPDX-License-Identifier: GPL-2.0
"""The tests: each group is a module; GROUPS lists them in the order of a run."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace

from .harness import Case

GROUPS = ("static", "builds", "documents", "patch", "unit", "params", "policy", "reporting",
          "numa", "stages", "silence", "device", "faults", "inflate", "hosts", "waits",
          "lifecycle", "loads", "takeover", "suspend", "libvirt", "migration", "integrity",
          "offline", "together", "soak", "treated", "kernel", "tool", "fleet", "package",
          "cost", "release", "churn", "features", "dropin", "arm64", "bench")


def load(groups: Iterable[str]) -> list[Case]:
    """The cases of these groups, in the order of GROUPS."""
    wanted = set(groups)
    modules = [(group, importlib.import_module(f"suite.{group}"))
               for group in GROUPS if group in wanted]
    return [replace(case, group=group) for group, module in modules for case in module.CASES]
