# SPDX-License-Identifier: GPL-2.0
"""The rare cases of a commit: some for each commit, and others in rotation."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Iterable

from aerator_vm.common import TOP

from .harness import KASAN, TREATED, Case

# Cases for each commit, the most important first. "make test" leaves them out, since they take
# long and are seldom the first that find a fault.
EACH_COMMIT = (
    "package-upgrade 6.1", "libvirt 6.12", "drop-in 6.12", "transports 6.12",
    "takeover 6.12.95+deb12-cloud-amd64", "reports-asleep 6.12.95+deb12-cloud-amd64",
    "tarball-builds", "lintian", "rounds 6.12", "faults 6.12", "release 7.3",
    "oom-late 6.12-treated", "feature-pairs 6.12", "migration 6.12 aerator plain",
    "reports-scattered 6.12-treated", "faults 4KiB", "faults 2MiB", "regret 6.12",
    "turns 6.12-treated", "busy-node 6.12", "fleet-guests 6.12", "small-guests 6.12",
    "unknown-kernel 6.12", "why-hosts 6.12", "exports 6.12",
    "architecture 6.1 686-pae", "architecture 6.12 cloud-arm64")

# Number of further cases in a part. Measuring cases come last in a run: a short part gets to
# them.
_PART = 10


def _commits() -> int:
    """The number of commits; 0 where there is no history."""
    result = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=TOP, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return int(result.stdout or 0)


def rotated(cases: Iterable[Case]) -> list[Case]:
    """The rare cases of this commit, without those whose kernel would have to be built: those
    of each commit, then others. Of these the groups are mixed, and the start depends on the
    number of commits."""
    rare = {case.name: case for case in cases
            if case.rare and case.built_kernel in (None, TREATED, KASAN)}
    first = [rare.pop(name) for name in EACH_COMMIT if name in rare]
    others = sorted(rare.values(), key=lambda case: hashlib.sha256(case.name.encode()).digest())
    start = _commits() * _PART % max(len(others), 1)
    part = (others[start:] + others[:start])[:_PART]
    return first + [dataclasses.replace(case, late=True) for case in part]
