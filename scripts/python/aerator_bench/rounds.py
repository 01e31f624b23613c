# SPDX-License-Identifier: GPL-2.0
"""The order of the measurements: each round has every contestant once, in random order.

Other load of the machine, and effects of a long run, then affect all contestants alike.
A figure of one run is compared only with figures of the same run.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.queues import SimpleQueue
from typing import NamedTuple

from aerator_vm import CommandFailed, GuestFailed
from aerator_vm.common import say

from . import cases
from .contestant import CONTESTANTS
from .figure import Case, Curve, Figure

_TRIES = 2

Found = list[Figure | Curve]


@dataclass(frozen=True)
class Turn:
    """One measurement of one contestant in one round."""

    case: str
    round: int
    contestant: str
    quick: bool


class Outcome(NamedTuple):
    """The result of a turn."""

    found: Found | str  # str: the reason why there are no figures
    again: str = ""  # the reason of a repetition, if there was one


Take = Callable[[Turn, Outcome], None]


def turns(case: Case, names: Sequence[str], number: int, quick: bool) -> list[Turn]:
    """The turns of a round. Each round has another order, which is the same in every run."""
    order = list(names)
    random.Random(f"{case.name} {number}").shuffle(order)
    return [Turn(case.name, number, name, quick) for name in order]


def measure(turn: Turn) -> Outcome:
    """Measure, and repeat it once if the guest fails, as an emulated one may; the report
    lists repetitions. No exception leaves this function, so that all turns are measured."""
    case, contestant = cases.load(turn.case), CONTESTANTS[turn.contestant]
    again = ""
    for _ in range(_TRIES):
        try:
            return Outcome(list(case.run(contestant, turn.quick)), again)
        except CommandFailed as failure:
            return Outcome(str(failure), again)
        except GuestFailed as failure:
            again = str(failure)
            say(f"{case.name}: {contestant.name} failed in round {turn.round}: {again}")
        except Exception:  # a bug in the case
            return Outcome(traceback.format_exc(), again)
    return Outcome(again, again)


def run(order: Sequence[Turn], jobs: int, take: Take) -> None:
    if jobs > 1:
        _run_together(order, jobs, take)
        return
    for number, turn in enumerate(order, 1):
        say(f"{turn.case}: round {turn.round}, {number} of {len(order)}: {turn.contestant}")
        take(turn, measure(turn))


def _cores(context: BaseContext, jobs: int) -> SimpleQueue[set[int]]:
    """A queue with the set of processors of each process."""
    cores = sorted(os.sched_getaffinity(0))
    queue = context.SimpleQueue()
    for number in range(jobs):
        queue.put({cores[number]} if jobs <= len(cores) else set(cores))
    return queue


def _pin(cores: SimpleQueue[set[int]]) -> None:
    os.sched_setaffinity(0, cores.get())


def _run_together(order: Sequence[Turn], jobs: int, take: Take) -> None:
    """Take several turns at a time, in processes, which stop their guest on SIGTERM. Each has
    a core of its own, if the machine has enough."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, context, _pin, (_cores(context, jobs),)) as pool:
        say(f"{order[0].case}: round {order[0].round}, {jobs} contestants at a time")
        pending: dict[Future[Outcome], Turn] = {pool.submit(measure, turn): turn
                                                for turn in order}
        try:
            for future in as_completed(pending):
                take(pending[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
