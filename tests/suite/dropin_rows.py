# SPDX-License-Identifier: GPL-2.0
"""Results of the same actions with two drivers, row by row, and their comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# The ratio by which two equal runs of emulated guests may differ.
_TIMES_LONGER = 1.5
_SECONDS_LONGER = 0.5
# The variation of memory in a kernel's own lists.
_MORE_MIB = 100


@dataclass(frozen=True)
class Row:
    """The result of one action of the host.

    answer   the visible result, which has to be the same with both drivers
    seconds  the time that the action took
    mib      an amount that is similar in equal runs; less is better
    shown    a figure that differs between runs, and is only printed
    """

    action: str
    answer: str
    seconds: float | None = None
    mib: float | None = None
    shown: str = ""

    @property
    def measured(self) -> str:
        """The row's figures, which differ between runs."""
        figures = [f"{self.seconds:.2f} s" if self.seconds is not None else "",
                   f"{self.mib:.0f} MiB" if self.mib is not None else "", self.shown]
        return ", ".join(figure for figure in figures if figure)


@dataclass(frozen=True)
class Difference:
    """An intended difference: an action, the answers of both drivers, and the reason."""

    action: str
    theirs: str  # regular expression, as "ours"
    ours: str
    why: str

    def explains(self, theirs: Row, ours: Row) -> bool:
        return bool(self.action == theirs.action
                    and re.fullmatch(self.theirs, theirs.answer)
                    and re.fullmatch(self.ours, ours.answer))


@dataclass(frozen=True)
class Pair:
    """The rows of one action: virtio_balloon's and aerator's."""

    theirs: Row
    ours: Row
    why: str | None

    def faults(self) -> Iterator[str]:
        """Respects in which aerator is worse."""
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
    """Pair the rows of two runs of the same script, which have the same actions in the same
    order."""
    actions = [row.action for row in theirs]
    if actions != [row.action for row in ours]:
        raise ValueError("the two scripts did not do the same")
    known = list(differences)
    return [Pair(their, our, next((one.why for one in known if one.explains(their, our)), None))
            for their, our in zip(theirs, ours)]


def faults(pairs: Iterable[Pair]) -> list[str]:
    """The faults of all pairs, each with its action."""
    return [f"{pair.theirs.action}: {fault}" for pair in pairs for fault in pair.faults()]
