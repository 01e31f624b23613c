# SPDX-License-Identifier: GPL-2.0
"""Guests that follow traces of free memory, compared with the optimum, and with the replay.

The optimum knows the future: it treats memory at once if that stays free for longer than
refault_ms, and leaves all other memory alone. An emulated guest is late when it touches much
memory: it prints the trace as it was followed, and optimum and replay are those of that trace.
"""

from __future__ import annotations

import bisect
import json
import math
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from aerator_vm import Guest
from aerator_vm.common import BUILD, TOP
from aerator_vm.host import Sample, Sampler
from aerator_vm.release import host_memory

from .. import plots, traces
from ..contestant import ALL, STOCK, TREATED, Contestant
from ..figure import Case, Figure
from ..goals import Goal
from ..held import GIB, refaulted, wait_for_rest, warm_up
from ..report import ratio_to
from ..results import Results

_MEM = 3584
_NAMES = ("churn-0.3", "churn-1", "churn-5", "release", "service-fast", "bursts-short-1",
          "bursts-mid-1", "services-1")
_QUICK = ("churn-1",)
_SEED = 1
_FILE = "/trace"
_REFAULT_SECONDS = 2
# The time after a trace, in which the last release has to end.
_REST_SECONDS = 20
# How often the guest is asked for its time.
_CLOCK_TRIES = 5
# What the lists of two processors keep of a release, and for how long (see "What is parked" in
# Documentation/policy.md).
_LISTED_MIB = 40
_LISTED_MS = 3000
_BEGAN = re.compile(r"# began (\S+)")
# Limits for the mean of all traces, each of which is followed once.
_AT_MOST = {TREATED: 1.4, STOCK: 1.7}
_INTAKES = {TREATED: "treated", STOCK: "reporting"}
# Largest difference between the cost in a guest and by replay, as a part of the latter.
_APART = 0.15

_Points = Sequence[tuple[float, float]]  # ms, MiB that are free from then on


class _Trace(NamedTuple):
    """Points (seconds, bytes in use from then on), and the costs of optimum and replay."""

    times: Sequence[float]
    used: Sequence[float]
    optimum: float  # GiB * s
    replayed: float

    def in_use(self, seconds: float) -> float:
        return self.used[max(0, bisect.bisect_right(self.times, seconds) - 1)]


def _cost(held: float, again: float) -> float:
    return held + _REFAULT_SECONDS * again


def _replayed(contestant: Contestant, path: Path) -> Mapping[str, float]:
    found: Mapping[str, float] = json.loads(subprocess.run(
        [BUILD / "replay", "--refault", str(1000 * _REFAULT_SECONDS),
         "--intake", _INTAKES.get(contestant.kernel, "reporting"),
         "--driver", contestant.driver or "virtio_balloon", path], check=True,
        stdout=subprocess.PIPE).stdout)
    return found


def _read(contestant: Contestant, text: str, path: Path) -> _Trace:
    path.write_text(text)
    points = [(float(ms), float(mib)) for ms, mib in
              (line.split() for line in text.splitlines() if not line.startswith("#"))]
    most = max(mib for _, mib in points)
    found = _replayed(contestant, path)
    return _Trace([ms / 1000 for ms, _ in points],
                  [(most - mib) * (1 << 20) for _, mib in points],
                  _cost(found["optimum_held_gib_s"], found["optimum_refaulted_gib"]),
                  _replayed_cost(contestant, points, path))


def _listed(points: _Points) -> Iterator[tuple[float, float, float]]:
    """The points, each with the MiB that per-CPU lists hold from then on: of what is freed, up
    to _LISTED_MIB, until nothing is allocated or freed for a while."""
    listed, before = 0.0, points[0][1]
    for (ms, mib), (after, _) in zip(points, [*points[1:], (math.inf, 0)]):
        listed = min(_LISTED_MIB, listed + max(0, mib - before))
        yield ms, mib, listed
        if listed and after > ms + _LISTED_MS:
            listed = 0
            yield ms + _LISTED_MS, mib, 0
        before = mib


def _replayed_cost(contestant: Contestant, points: _Points, path: Path) -> float:
    """The replay is of free memory as a driver sees it: without what per-CPU lists hold. That
    costs the host as much, whatever the driver does."""
    listed = list(_listed(points))
    path.write_text("".join(f"{ms:.0f} {mib - kept:.3f}\n" for ms, mib, kept in listed))
    found = _replayed(contestant, path)
    kept = sum(kept * (after - ms) for (ms, _, kept), (after, *_) in pairwise(listed))
    return _cost(found["held_gib_s"] + kept / 1024 / 1000, found["refaulted_gib"])


def _held(samples: Sequence[Sample], trace: _Trace) -> float:
    """GiB*s that the host held beyond the memory that the trace uses. The smallest sample is
    taken as the base, which every guest has."""
    began, least = samples[0].time, min(host_memory(sample) for sample in samples)
    return sum(max(0, host_memory(one) - least - trace.in_use(one.time - began))
               * (other.time - one.time)
               for one, other in pairwise(samples)) / GIB


def _forget(guest: Guest, contestant: Contestant) -> None:
    """Bind the driver anew. The replay knows nothing of the guest's past, so the guest must
    not have learnt from the warm-up."""
    guest.run(f"cd /sys/bus/virtio/drivers/{contestant.driver} && device=$(echo virtio*) &&"
              " echo $device >unbind && echo $device >bind")
    wait_for_rest(guest.host)


def _booted(guest: Guest) -> float:
    """The time of the guest's boot, by the host's clock: from the quickest of some answers."""
    def ask() -> tuple[float, float]:
        asked = time.monotonic()
        uptime = float(guest.run("cat /proc/uptime").split()[0])
        took = time.monotonic() - asked
        return took, asked + took / 2 - uptime
    return min(ask() for _ in range(_CLOCK_TRIES))[1]


def _follow(guest: Guest) -> tuple[Sequence[Sample], str]:
    """Samples of the host, and the trace as it was followed: both begin when the program does.
    The rest after the trace is a part of it: the same memory stays free."""
    booted = _booted(guest)
    with Sampler(guest.host) as sampler:
        text = guest.run(f"memtool follow {_FILE}", timeout=900)
        time.sleep(_REST_SECONDS)
    found = _BEGAN.match(text)
    assert found, text
    began = booted + float(found[1])
    samples = [sample for sample in sampler.samples if sample.time >= began]
    end = 1000 * (samples[-1].time - began)
    samples[0] = samples[0]._replace(time=began)
    return samples, f"{text.rstrip()}\n{end:.0f} {text.split()[-1]}\n"


def _figures(contestant: Contestant, name: str, text: str) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text)
        with contestant.guest(f"traces-{name}", mem=_MEM, time_limit=1800,
                              files={_FILE: path}) as guest:
            warm_up(guest, _MEM)
            _forget(guest, contestant)
            samples, followed = _follow(guest)
            (guest.log_dir / "followed").write_text(followed)
        trace = _read(contestant, followed, path)
    held, again = _held(samples, trace), refaulted(samples) / GIB
    cost = _cost(held, again)
    yield Figure(name, "held_gib_s", held, "GiB*s")
    yield Figure(name, "refaulted_gib", again, "GiB")
    yield Figure(name, "cost", cost, "GiB*s")
    yield Figure(name, "times_optimum", cost / trace.optimum, "1")
    yield Figure(name, "times_replay", cost / trace.replayed, "1")


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    subprocess.run(["make", "-s", "-C", TOP, "replay"], check=True)
    texts = traces.make(_SEED)
    for name in _QUICK if quick else _NAMES:
        yield from _figures(contestant, name, texts[name])


def _mean(results: Results, name: str) -> float | None:
    """The geometric mean over all traces; None if one is missing."""
    found = [results.median(name, variant, "times_optimum") for variant in results.variants]
    if not found or None in found:
        return None
    return math.exp(sum(math.log(value) for value in found if value) / len(found))


def _apart(times: float | None) -> float | None:
    return None if times is None else abs(times - 1)


def _goals(results: Results) -> Iterator[Goal]:
    for kernel, most in _AT_MOST.items():
        yield Goal(f"{kernel}: cost, times the optimum, mean of all traces",
                   _mean(results, f"aerator-{kernel}"), most)
        for variant in results.variants:
            yield Goal(f"{kernel}, {variant}: cost, times virtio_balloon's",
                       ratio_to(results, f"aerator-{kernel}", "virtio_balloon", variant,
                                "times_optimum"), 1)
            yield Goal(f"{kernel}, {variant}: cost in the guest, apart from the replay's",
                       _apart(results.median(f"aerator-{kernel}", variant, "times_replay")),
                       _APART)


CASE = Case("traces", "cost of guests that follow traces, next to the optimum",
            [name for name in ALL if not name.startswith("none")], _run, _goals,
            plots.traces, jobs=2)
