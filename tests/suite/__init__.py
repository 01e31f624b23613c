# SPDX-License-Identifier: GPL-2.0
"""The tests, one module a group, run in this order: cheap ones first."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from .harness import Case

GROUPS = ("static", "patch", "unit", "params", "policy", "stages", "release", "churn", "silence",
          "lifecycle", "suspend", "features", "integrity", "treated", "kernel", "cost", "bench")


def load(groups: Iterable[str]) -> list[Case]:
    """The cases of some groups, in the order of GROUPS."""
    wanted = set(groups)
    modules = [importlib.import_module(f"suite.{group}")
               for group in GROUPS if group in wanted]
    return [case for module in modules for case in module.CASES]
