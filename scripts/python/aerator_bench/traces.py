# SPDX-License-Identifier: GPL-2.0
"""Synthetic traces of free memory of a guest of 3 GiB, generated from a seed: each is a list
of (ms, MiB), which build/replay reads as lines."""

from __future__ import annotations

import math
import random

Points = list[tuple[float, float]]

# The most memory that can be free in such a guest, MiB.
_ALL = 2800.0


def _allocate(trace: Points, start: float, before: float, after: float, ms: float,
              steps: int = 16) -> float:
    """A program touches its memory step by step. Returns the time of the last step."""
    for step in range(1, steps + 1):
        trace.append((start + ms * step / steps, before + (after - before) * step / steps))
    return start + ms


def _churn(pause: float) -> Points:
    """512 MiB are taken and freed for a minute, with a constant pause, in seconds."""
    trace: Points = [(0, _ALL)]
    now = 3000.0
    while now < 60000:
        now = _allocate(trace, now, _ALL, _ALL - 512, 400) + 50
        trace.append((now, _ALL))
        now += 1000 * pause
    return trace


def _release() -> Points:
    """A large program ends. The per-CPU lists free the rest later."""
    trace: Points = [(0, _ALL)]
    _allocate(trace, 2000, _ALL, 0, 5000)
    return [*trace, (12000, 2750), (12500, 2760), (13000, 2780), (14000, _ALL)]


def _service(rng: random.Random, request: float, day: float, days: float) -> Points:
    """Memory in use follows the load of a day (256 to 2000 MiB; day is its length in seconds),
    and four requests per second take some for a moment."""
    trace: Points = [(0, _ALL)]
    for quarter in range(int(4 * day * days)):
        now = 2000.0 + 250 * quarter
        load = (1 - math.cos(2 * math.pi * quarter / (4 * day))) / 2
        free = _ALL - 256 - (2000 - 256) * load
        _allocate(trace, now, free, free - request * (0.5 + rng.random()), 80, steps=4)
        trace.append((now + 180, free))
    return trace


def _bursts(rng: random.Random, pause: float, size: float) -> Points:
    """Sizes, durations and pauses with heavy tails, for two minutes."""
    trace: Points = [(0, _ALL)]
    now = 1000.0
    while now < 120000:
        taken = min(2500, size * rng.paretovariate(2) / 2)
        now = _allocate(trace, now, _ALL, _ALL - taken, 100 + 300 * rng.random())
        now += 200 * rng.paretovariate(1.5)
        pieces = rng.choice((1, 2, 3))
        for piece in range(1, pieces + 1):
            trace.append((now, _ALL - taken + taken * piece / pieces))
            now += 100 * rng.random()
        now += 1000 * pause * (rng.paretovariate(1.5) - 1) * 0.5
    return trace


def _services(rng: random.Random) -> Points:
    """Eight programs, each with a size and a rhythm of its own, for two minutes."""
    changes: Points = []
    for _ in range(8):
        now, size = rng.random() * 3000, 50 + rng.random() * 250
        busy, idle = 0.1 + rng.random() * 3, 0.1 + rng.random() * 6
        while now < 120000:
            changes += [(now + 30 * step, -size / 8) for step in range(8)]
            now += 240 + 1000 * rng.expovariate(1 / busy)
            changes.append((now, size))
            now += 1000 * rng.expovariate(1 / idle)
    trace, free = [(0.0, _ALL)], _ALL
    for now, change in sorted(changes):
        free += change
        trace.append((now, max(free, 0)))
    return trace


def _build(rng: random.Random) -> Points:
    """Short processes, and a page cache that grows until it is dropped; twice."""
    trace: Points = [(0, _ALL)]
    now = 1000.0
    for _ in range(2):
        for process in range(120):
            free = _ALL - 8 * process
            now = _allocate(trace, now, free, free - 30 - 170 * rng.random(), 120, steps=6)
            now += 300 * rng.random()
            trace.append((now, free - 8))
            now += 20
        trace.append((now, _ALL))
        now += 20000
    return trace


def _leak() -> Points:
    """A program leaks memory, and is restarted; four times."""
    trace: Points = [(0, _ALL)]
    for start in range(0, 88000, 22000):
        trace += [(start + 200 * step, _ALL - 20 * step) for step in range(1, 101)]
        trace.append((start + 20500, _ALL))
    return trace


def _late() -> Points:
    """Memory is allocated again, slowly, shortly after a window would have reported it."""
    trace: Points = [(0, _ALL)]
    now = 1000.0
    for pause in (1000, 1300, 1600, 2000, 1100, 1500, 1300, 1300):
        now = _allocate(trace, now, _ALL, 800, 1500, steps=32) + 2000
        trace.append((now, _ALL))
        now += pause
    return trace


def make(seed: int) -> dict[str, str]:
    """Names of the traces, and the contents of their files."""
    rng = random.Random(seed)
    traces = {f"churn-{pause:g}": _churn(pause) for pause in (0.05, 0.1, 0.3, 1, 2, 3, 5, 10)}
    traces |= {"release": _release(), "leak": _leak(), "late": _late(), "build": _build(rng)}
    for name, request, day, days in (("service", 64, 60, 2), ("service-calm", 4, 60, 2),
                                     ("service-fast", 64, 15, 6), ("service-slow", 64, 300, 1)):
        traces[name] = _service(rng, request, day, days)
    for number in (1, 2, 3):
        for kind, pause, size in (("short", 0.5, 400), ("mid", 2, 400), ("long", 8, 600)):
            traces[f"bursts-{kind}-{number}"] = _bursts(rng, pause, size)
        traces[f"services-{number}"] = _services(rng)
    return {name: _text(points) for name, points in traces.items()}


def _text(points: Points) -> str:
    """The lines in order of time: frees and allocations overlap."""
    return "".join(f"{ms:.0f} {mib:.1f}\n" for ms, mib in sorted(points, key=lambda p: p[0]))
