# SPDX-License-Identifier: GPL-2.0
"""A service whose memory follows its load, over days that last a minute.

It grows for half a day and shrinks for the other half; meanwhile each request takes some
memory for a moment. The driver should report the memory that the falling load frees, but
not the memory that the next request needs: the host then holds little, and no request
waits for it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from aerator_vm.host import Sampler

from ..contestant import ALL, STOCK, TREATED, Contestant
from ..figure import Case, Figure
from ..goals import Goal
from ..held import figures, warm_up
from ..report import ratio_to
from ..results import Results

_MEM = 3072
_WORKLOAD = "ramp 400 1800 64"  # MiB: least, most, and of a request
_LEAD = f"{_WORKLOAD} 5 1"
# Metrics of the guest's time.
_TIMES = {"touch_s": "s", "p99_ms": "ms", "max_ms": "ms", "free_s": "s"}
# Noise of a ratio of two medians, each of three values, on a machine with other load.
_NOISE = {"gib_seconds": 0.05, "touch_s": 0.15}


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    seconds, days = (40, 1) if quick else (60, 2)
    variant = f"{days} x {seconds} s"
    with contestant.guest("ramp", mem=_MEM, time_limit=600) as guest:
        # The emulator translates code that runs for the first time, and needs memory for that.
        guest.run(_LEAD)
        warm_up(guest, _MEM)
        with Sampler(guest.host) as sampler:
            output = guest.run(f"{_WORKLOAD} {seconds} {days}", timeout=3 * seconds * days)
    yield from figures(sampler.samples, variant)
    for metric, unit in _TIMES.items():
        value = re.findall(rf"\b{metric} (\S+)", output)[0]
        yield Figure(variant, metric, float(value), unit)


def no_more_than_rival(results: Results, noise: Mapping[str, float]) -> Iterator[Goal]:
    """Goals for a stock and a patched kernel, one for each metric in @noise."""
    for variant in results.variants:
        for kernel, metric in itertools.product((STOCK, TREATED), noise):
            found = ratio_to(results, f"aerator-{kernel}", "virtio_balloon", variant, metric)
            yield Goal(f"{kernel}, {variant}: {metric}, times virtio_balloon's", found, 1,
                       noise=noise[metric])


def _goals(results: Results) -> Iterator[Goal]:
    yield from no_more_than_rival(results, _NOISE)


CASE = Case("ramp", "memory that grows and shrinks with the load of a day", ALL, _run,
            goals=_goals, times=tuple(_TIMES))
