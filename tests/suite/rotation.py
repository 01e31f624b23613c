# SPDX-License-Identifier: GPL-2.0
"""Rare cases in rotation: each commit runs another part of them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable

from aerator_vm.common import TOP

from .harness import KASAN, TREATED, Case

# Number of cases in a part. Measuring cases come last in a run: a short part gets to them.
_PART = 10


def _commits() -> int:
    """The number of commits; 0 where there is no history."""
    result = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=TOP, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return int(result.stdout or 0)


def rotated(cases: Iterable[Case]) -> list[Case]:
    """The rare cases, without those whose kernel would have to be built. The groups are mixed,
    and the start depends on the number of commits."""
    rare = sorted((case for case in cases
                   if case.rare and case.built_kernel in (None, TREATED, KASAN)),
                  key=lambda case: hashlib.sha256(case.name.encode()).digest())
    start = _commits() * _PART % max(len(rare), 1)
    return (rare[start:] + rare[:start])[:_PART]
