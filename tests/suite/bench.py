# SPDX-License-Identifier: GPL-2.0
"""The two aims of aerator at once: memory returns soon, and the guest is not slowed down.

A short run of the benchmark (scripts/python/aerator_bench) is compared with its goals: a goal is
missed only if the figure is beyond the limit by more than the noise of such a run.
"""

from __future__ import annotations

from collections.abc import Iterator

from aerator_bench import cases
from aerator_bench.caserun import TABLE, CaseRun, Options, prepare
from aerator_bench.goals import Goal
from aerator_vm.common import retried

from .harness import TREATED, Case, expect

# How passes and frees coincide is random. A bad figure of one round by chance is not in the
# median of two; a real fault shows in both.
_ROUNDS = 2


def quick() -> Iterator[str]:
    """A short run of the benchmark reaches its goals."""
    missed: list[Goal] = []
    run = CaseRun(cases.load(cases.QUICK), Options(jobs=2))
    prepare(run.names)
    with run:
        for _ in range(_ROUNDS):
            if missed:
                retried(f"{len(missed)} goals missed: {missed[0]}")
            run.round()
            missed = [goal for goal in run.goals() if not goal.met_but_for_noise]
            if not missed:
                break
    yield from (Options().out / cases.QUICK / TABLE).read_text().splitlines()
    expect(not run.missing, f"no figures of {', '.join(run.missing)}")
    expect(not run.again, "guests that failed and were restarted:\n" + "\n".join(run.again))
    expect(not missed, "\n".join(map(str, missed)))


CASES = [Case("bench-quick", quick, TREATED, cores=2)]
