# SPDX-License-Identifier: GPL-2.0
"""A guest frees most of its memory at once, and then does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm.release import Release, host_memory, record_release

from .. import plots
from ..contestant import ALL, CONTESTANTS, STOCK, TREATED, Contestant
from ..figure import Case, Curve, Figure
from ..goals import Goal
from ..results import Results

_MEM = 4096
_FREED_MIB = 3000
_VARIANT = f"{_FREED_MIB} MiB"
_MIB = 1 << 20
BACK_SECONDS = 1.5
# Newer kernels park tens of MiB of a large free in the lists of their processors.
_KEPT_MIB = 150


def figures(release: Release, mib: int, variant: str) -> Iterator[Figure | Curve]:
    """Times to shares of what came back in the end, and what did not."""
    for share in (0.5, 0.9, 0.99):
        yield Figure(variant, f"back_{share * 100:.0f}_s", release.seconds_to(share), "s")
    back = (release.held_bytes - release.stayed_bytes) / _MIB
    yield Figure(variant, "kept_mib", mib - back, "MiB")
    yield Curve(variant, [(sample.time - release.freed_at, host_memory(sample) / _MIB)
                          for sample in release.samples])


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure | Curve]:
    with contestant.guest("release", mem=_MEM) as guest:
        release = record_release(guest, contestant.name, mib=_FREED_MIB)
    yield from figures(release, _FREED_MIB, _VARIANT)


def goals(results: Results, variant: str, noise_seconds: float = 0,
          share: int = 99) -> Iterator[Goal]:
    """Soon, and no less than virtio_balloon brings."""
    for kernel in (STOCK, TREATED):
        ours = f"aerator-{kernel}"
        yield Goal(f"{kernel}, {variant}: {share} % back",
                   results.median(ours, variant, f"back_{share}_s"),
                   BACK_SECONDS, "s", noise_seconds)
        yield Goal(f"{kernel}, {variant}: kept of what was freed",
                   results.median(ours, variant, "kept_mib"), _KEPT_MIB, "MiB")


def _goals(results: Results) -> Iterator[Goal]:
    yield from goals(results, _VARIANT)


CASE = Case("release", f"a guest of {_MEM} MiB frees {_FREED_MIB} MiB at once, and is idle",
            [name for name in ALL if CONTESTANTS[name].driver], _run, _goals, plots.release,
            jobs=2)
