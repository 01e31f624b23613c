# SPDX-License-Identifier: GPL-2.0
"""The cost of the window's length: a short one costs the guest, a long one the host."""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm import Guest
from aerator_vm.events import TRACE

from .. import plots
from ..contestant import PARAMETERS, STOCK, TREATED, Contestant
from ..figure import Case, Figure
from ..held import warm_up
from .churn import BESIDE, MEM, TIMES, gap_figures, lead, variant

_GAPS = (0.3, 1)
_WINDOWS_MS = (0, 250, 500, 1000, 1200, 1500, 2000, 4000)


def _with_window(guest: Guest, contestant: Contestant, gap: float, window_ms: int,
                 seconds: int) -> Iterator[Figure]:
    guest.run(f"echo {window_ms} >{PARAMETERS}/window_ms")
    name = f"{variant(gap)}, window {window_ms} ms"
    yield Figure(name, "window_ms", window_ms, "ms")
    yield from gap_figures(guest, contestant, gap, name, seconds)


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    seconds = 5 if quick else 12
    with contestant.guest("window", mem=MEM, qemu_args=TRACE, time_limit=1800) as guest:
        lead(guest)
        warm_up(guest, MEM)
        for gap in _GAPS:
            if contestant.driver != "aerator":
                yield from gap_figures(guest, contestant, gap, variant(gap), seconds)
                continue
            for window_ms in _WINDOWS_MS:
                yield from _with_window(guest, contestant, gap, window_ms, seconds)


CASE = Case("window", "churn and the last free, at several lengths of aerator's window",
            [f"{driver}-{kernel}" for kernel in (STOCK, TREATED)
             for driver in ("virtio_balloon", "aerator")],
            _run, plot=plots.window, times=TIMES, beside=("window_ms", *BESIDE))
