# SPDX-License-Identifier: GPL-2.0
"""Every batch passes the stages in order, and counters and host agree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aerator_vm import Guest

from .harness import (BUILD_KERNELS, MIB, MODULE, balloon_device, counters,
                      expect, expect_equal, make_guest, on_kernels)

_TRACING = "/sys/kernel/tracing"
_EVENT = re.compile(r" aerator_(\w+): (.*)$", re.MULTILINE)
_ORDER = ["fill", "react", "settle", "decant"]
_KEYS = {"reactor", "cycle", "bytes", "blocks", "entries", "node", "zone", "treated", "us"}

Event = tuple[str, dict[str, str]]


def _events(guest: Guest) -> list[Event]:
    found = []
    for name, text in _EVENT.findall(guest.read(f"{_TRACING}/trace")):
        found.append((name, dict(pair.split("=") for pair in text.split())))
    return found


def _check_order(events: list[Event]) -> int:
    """Batch after batch: all stages, each once, and idle only in between."""
    cycle = 0
    rest = list(events)
    while rest:
        batch, rest = rest[:4], rest[4:]
        cycle += 1
        expect_equal([name for name, _ in batch], _ORDER, f"stages of batch {cycle}")
        for name, values in batch:
            expect_equal(set(values), _KEYS, f"keys of {name}")
            expect_equal(values["cycle"], str(cycle), f"cycle at {name}")
        while rest and rest[0][0] == "idle":
            expect_equal(rest.pop(0)[1]["cycle"], str(cycle), "cycle at idle")
    return cycle


def _sum(events: list[Event], key: str) -> int:
    return sum(int(values[key]) for name, values in events
               if name == "decant" and values["treated"] == "1")


def _treat(guest: Guest) -> None:
    """Some memory goes up and down, and all of it is treated in the end."""
    with_memory = guest.start_job("memtool hold 1500")
    with_memory.wait_for("touched")
    with_memory.tell()
    with_memory.wait_for("freed")
    guest.run(f"echo 1 >{balloon_device(guest)}/aerator/flush", timeout=90)


def stages(kernel: str) -> Iterator[str]:
    with make_guest(kernel, "stages", mem=2048) as guest:
        guest.insmod(MODULE, {"enabled": 0})
        guest.run(f"echo 1 >{_TRACING}/events/aerator/enable")
        with guest.host.madvise_traced() as dropped:
            guest.run("echo 1 >/sys/module/aerator/parameters/enabled")
            _treat(guest)
            # Nothing may be reported between the counters and the trace's end.
            guest.run("echo 0 >/sys/module/aerator/parameters/enabled")
            counted = counters(guest, f"{balloon_device(guest)}/aerator")
        events = _events(guest)

    cycles = _check_order(events)
    expect(cycles, "nothing was traced")
    expect_equal(events[-1][0], "idle", "last event")
    expect_equal(counted["cycles"], cycles, "cycles counted against traced")
    expect_equal(counted["reported_bytes"], _sum(events, "bytes"), "bytes counted against traced")
    expect_equal(counted["reported_blocks"], _sum(events, "blocks"), "blocks counted against traced")
    expect_equal(counted["chains"], cycles, "chains, one a batch")
    expect_equal(counted["kicks"], cycles, "kicks, one a batch")
    expect(counted["interrupts"] <= cycles, "more than one interrupt a batch")
    expect_equal(counted["errors"] + counted["settle_timeouts"], 0, "errors")
    expect_equal(counted["reported_bytes"], dropped.bytes, "bytes counted against madvise")
    entries = _sum(events, "entries")
    expect_equal(entries, dropped.calls, "entries traced against madvise calls")
    expect(dropped.bytes > 1500 * MIB, f"only {dropped.bytes // MIB} MiB came back")
    yield (f"{cycles} batches, {counted['reported_blocks']} blocks in {entries} entries,"
           f" {dropped.bytes // MIB} MiB in {dropped.calls} madvise calls")


CASES = on_kernels(stages, BUILD_KERNELS)
