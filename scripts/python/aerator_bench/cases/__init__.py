# SPDX-License-Identifier: GPL-2.0
"""The cases: one file each, which defines CASE."""

from __future__ import annotations

import importlib

from ..figure import Case

# In the order of the tables. The case "quick" is for tests: it is made of parts of others.
NAMES = ("release", "churn", "window", "ramp", "cache", "faults", "scale", "orders",
         "traces")
QUICK = "quick"


def load(name: str) -> Case:
    return importlib.import_module(f"{__name__}.{name}").CASE
