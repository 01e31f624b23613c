# SPDX-License-Identifier: GPL-2.0
"""One file a case, each with CASE."""

from __future__ import annotations

import importlib

from ..figure import Case

# In the order of the tables. Quick is for tests: it is a part of others.
NAMES = ("release", "churn", "window", "ramp", "cache", "faults", "scale", "orders",
         "traces")
QUICK = "quick"


def load(name: str) -> Case:
    return importlib.import_module(f"{__name__}.{name}").CASE
