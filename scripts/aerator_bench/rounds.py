# SPDX-License-Identifier: GPL-2.0
"""Who runs when: every contestant once a round, in an order that chance made once.

What the machine does meanwhile, and what a long run does to it, then meets all of
them alike. A figure of one run is compared with figures of that run only.
"""

from __future__ import annotations

import multiprocessing
import random
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from aerator_vm import CommandFailed, GuestFailed
from aerator_vm.common import say
from aerator_vm.release import NotReturned

from . import cases
from .contestant import CONTESTANTS
from .figure import Case, Curve, Figure

_TRIES = 2

Found = list[Figure | Curve]


@dataclass(frozen=True)
class Turn:
    """One contestant's in one round."""

    case: str
    round: int
    contestant: str
    quick: bool


# Gets each turn with what it found, or why there is nothing.
Take = Callable[[Turn, Found | str], None]


def turns(case: Case, names: Sequence[str], number: int, quick: bool) -> list[Turn]:
    """Each round has an order of its own, the same in every run."""
    order = list(names)
    random.Random(f"{case.name} {number}").shuffle(order)
    return [Turn(case.name, number, name, quick) for name in order]


def measure(turn: Turn) -> Found | str:
    """Take a turn, once again if its guest fails; give what was found, or why there
    is nothing. Others must get their turns whatever happens."""
    case, contestant = cases.load(turn.case), CONTESTANTS[turn.contestant]
    reason = ""
    for _ in range(_TRIES):
        try:
            return list(case.run(contestant, turn.quick))
        except (GuestFailed, CommandFailed, NotReturned) as failure:
            reason = str(failure)
        except Exception:  # a mistake in the case: it would be made again
            return traceback.format_exc()
        say(f"{case.name}: {contestant.name} failed in round {turn.round}: {reason}")
    return reason


def run(order: Sequence[Turn], jobs: int, take: Take) -> None:
    if jobs > 1:
        _run_together(order, jobs, take)
        return
    for number, turn in enumerate(order, 1):
        say(f"{turn.case}: round {turn.round}, {number} of {len(order)}: {turn.contestant}")
        take(turn, measure(turn))


def _run_together(order: Sequence[Turn], jobs: int, take: Take) -> None:
    """Several at a time, in processes: one that is told to end stops its guest."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, context) as pool:
        say(f"{order[0].case}: round {order[0].round}, {jobs} contestants at a time")
        pending: dict[Future[Found | str], Turn] = {pool.submit(measure, turn): turn
                                                    for turn in order}
        try:
            for future in as_completed(pending):
                take(pending[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
