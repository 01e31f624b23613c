# SPDX-License-Identifier: GPL-2.0
"""What aerator is for, both at once: soon back, and nobody slowed down.

The benchmark's goals (scripts/aerator_bench), of a run that is short: each is missed
only if that is beyond what such a run does not know better.
"""

from __future__ import annotations

from collections.abc import Iterator

from aerator_bench import cases
from aerator_bench.caserun import TABLE, CaseRun, Options, prepare
from aerator_bench.goals import Goal
from aerator_vm.common import retried

from .harness import TREATED, Case, expect

# Passes and frees meet by chance. What was bad luck in one round is not in the median
# of two, what is bad is so in both.
_ROUNDS = 2


def quick() -> Iterator[str]:
    """The benchmark's goals, in a run that is short."""
    missed: list[Goal] = []
    run = CaseRun(cases.load(cases.QUICK), Options())
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
    expect(not run.again, "guests that failed, and were started again:\n" + "\n".join(run.again))
    expect(not missed, "\n".join(map(str, missed)))


CASES = [Case("bench-quick", quick, TREATED, cores=2)]
