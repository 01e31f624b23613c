# SPDX-License-Identifier: GPL-2.0
"""What two drivers made of the same actions, row by row, and whether that is alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# What one of two equal runs may take longer where guests are emulated.
_TIMES_LONGER = 1.5
_SECONDS_LONGER = 0.5
# What a kernel keeps in lists of its own varies by as much.
_MORE_MIB = 100


@dataclass(frozen=True)
class Row:
    """What came of one action of the host.

    answer   what anyone could see of it, and has to be the same
    seconds  how long it took
    mib      an amount that is similar in equal runs, and better if it is less
    shown    what differs from run to run, and is only there to be read
    """

    action: str
    answer: str
    seconds: float | None = None
    mib: float | None = None
    shown: str = ""

    @property
    def measured(self) -> str:
        """Figures, which differ from run to run."""
        figures = [f"{self.seconds:.2f} s" if self.seconds is not None else "",
                   f"{self.mib:.0f} MiB" if self.mib is not None else "", self.shown]
        return ", ".join(figure for figure in figures if figure)


@dataclass(frozen=True)
class Difference:
    """One that is meant: an action, what each of the two answers, and why."""

    action: str
    theirs: str  # regular expression, as the next
    ours: str
    why: str

    def explains(self, theirs: Row, ours: Row) -> bool:
        return bool(self.action == theirs.action
                    and re.fullmatch(self.theirs, theirs.answer)
                    and re.fullmatch(self.ours, ours.answer))


@dataclass(frozen=True)
class Pair:
    """One action's rows, of virtio_balloon and of aerator."""

    theirs: Row
    ours: Row
    why: str | None

    def faults(self) -> Iterator[str]:
        """What the user of aerator has lost."""
        theirs, ours = self.theirs, self.ours
        if ours.answer != theirs.answer and self.why is None:
            yield f"answered {ours.answer!r}, not {theirs.answer!r}"
        if _exceeds(ours.seconds, theirs.seconds, _TIMES_LONGER, _SECONDS_LONGER):
            yield f"took {ours.seconds:.2f} s, not {theirs.seconds:.2f}"
        if _exceeds(ours.mib, theirs.mib, 1, _MORE_MIB):
            yield f"{ours.mib:.0f} MiB, not {theirs.mib:.0f}"

    def table_row(self) -> str:
        return (f"| {self.theirs.action} | {self._answers()} | {self.theirs.measured}"
                f" | {self.ours.measured} |")

    def _answers(self) -> str:
        if self.theirs.answer == self.ours.answer:
            return self.ours.answer
        return (f"virtio_balloon: {self.theirs.answer}; aerator: {self.ours.answer}"
                f" ({self.why or 'NOT MEANT'})")


TABLE_HEAD = ("| action | answer of both | virtio_balloon | aerator |", "|---|---|---|---|")


def _exceeds(ours: float | None, theirs: float | None, times: float, more: float) -> bool:
    return ours is not None and theirs is not None and ours > times * theirs + more


def pair_up(theirs: Sequence[Row], ours: Sequence[Row],
            differences: Iterable[Difference]) -> list[Pair]:
    """Rows of the same script, which has the same actions in the same order."""
    actions = [row.action for row in theirs]
    if actions != [row.action for row in ours]:
        raise ValueError("the two scripts did not do the same")
    known = list(differences)
    return [Pair(their, our, next((one.why for one in known if one.explains(their, our)), None))
            for their, our in zip(theirs, ours)]


def faults(pairs: Iterable[Pair]) -> list[str]:
    """Of all rows, with their action."""
    return [f"{pair.theirs.action}: {fault}" for pair in pairs for fault in pair.faults()]
