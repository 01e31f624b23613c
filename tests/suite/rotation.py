# SPDX-License-Identifier: GPL-2.0
"""Of what a run leaves out for its time, a part at a time: another one for each commit."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable

from aerator_vm.common import TOP

from .harness import KASAN, TREATED, Case

# Cases of a part. Those that measure come last in a run: a part has an end.
_PART = 10


def _commits() -> int:
    """The number of commits; 0 where there is no history."""
    result = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=TOP, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return int(result.stdout or 0)


def rotated(cases: Iterable[Case]) -> list[Case]:
    """The rare ones, but for those whose kernel would have to be built first, in an order
    that has no long row of one group, from where this commit begins."""
    rare = sorted((case for case in cases
                   if case.rare and case.built_kernel in (None, TREATED, KASAN)),
                  key=lambda case: hashlib.sha256(case.name.encode()).digest())
    start = _commits() * _PART % max(len(rare), 1)
    return (rare[start:] + rare[:start])[:_PART]
