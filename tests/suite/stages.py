# SPDX-License-Identifier: GPL-2.0
"""Every batch passes the stages in order, and counters and host agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from aerator_vm import Guest

from .harness import (BUILD_KERNELS, DEBUG_KERNELS, MIB, PAGEALLOC, TREATED, TREATED_KERNELS,
                      balloon_driver, counters, expect, expect_equal, is_treated, load_aerator,
                      make_guest, on_kernels)

_TRACING = "/sys/kernel/tracing"
# Events of batches; those of the policy are left out.
_EVENT = re.compile(r" aerator_(?!policy)(\w+): (.*)$", re.MULTILINE)
_ORDER = ["fill", "react", "settle", "decant"]
_KEYS = {"reactor", "cycle", "bytes", "blocks", "entries", "node", "zone", "treated", "us"}

# The largest batch of either intake.
_BATCH_MIB = 128

# The number of entries of QEMU's queue, which is also the limit of a chain.
_QUEUE = 32

Event = tuple[str, dict[str, str]]


def batch_events(guest: Guest) -> list[Event]:
    found = []
    for name, text in _EVENT.findall(guest.read(f"{_TRACING}/trace")):
        found.append((name, dict(pair.split("=") for pair in text.split())))
    return found


def check_order(events: Iterable[Event], cycle: int = 0) -> int:
    """Each batch of one reactor, after batch @cycle, passes all stages once. Idle follows each
    batch, or, with page reporting, several of them. Return the number of the last batch."""
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


def _chains(events: list[Event]) -> int:
    return sum(-(-int(values["entries"]) // _QUEUE) for name, values in events
               if name == "react")


def _by_reactor(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event[1]["reactor"], []).append(event)
    return found


def _most_at_a_time(events: list[Event]) -> int:
    """The maximum number of reactors with a batch in flight at the same time."""
    busy: set[str] = set()
    most = 0
    for name, values in events:
        if name == "react":
            busy.add(values["reactor"])
        elif name == "settle":
            busy.discard(values["reactor"])
        most = max(most, len(busy))
    return most


def _sum(events: list[Event], key: str) -> int:
    return sum(int(values[key]) for name, values in events
               if name == "decant" and values["treated"] == "1")


def _treat(guest: Guest, folder: str, mib: int) -> None:
    """Allocate and free some memory, and flush: all of it is treated in the end."""
    with_memory = guest.start_job(f"memtool hold {mib}")
    with_memory.wait_for("touched", 120)
    with_memory.tell()
    with_memory.wait_for("freed")
    guest.run(f"echo 1 >{folder}/flush", timeout=90)


def _seconds(guest: Guest) -> int:
    return int(guest.run("date +%s"))


def _check_times(text: str, events: list[Event]) -> None:
    """The file stages has the numbers and times of the trace, where each is rounded down."""
    found = {name: (int(batches), int(us)) for name, batches, us in
             (line.split() for line in text.splitlines())}
    expect_equal(list(found), _ORDER, "stages in the file")
    for stage, (batches, us) in found.items():
        times = [int(values["us"]) for name, values in events if name == stage]
        expect_equal(batches, len(times), f"batches in {stage}")
        expect(sum(times) <= us <= sum(times) + batches,
               f"{stage}: {us} us in the file, {sum(times)} in the trace")


_PAGE_BYTES = 4096
# The order of blocks, unless a case sets another one.
_BLOCK_ORDER = 9


def _check_stages(kernel: str, name: str, mib: int, reactors: int, append: str = "",
                  params: Mapping[str, int] = MappingProxyType({})) -> Iterator[str]:
    with make_guest(kernel, name, mem=2048, append=append) as guest:
        folder = load_aerator(guest, enabled=0, **params)
        guest.run(f"echo 1 >{_TRACING}/events/aerator/enable")
        with guest.host.madvise_traced() as dropped:
            guest.run("echo 1 >/sys/module/aerator/parameters/enabled")
            began = _seconds(guest)
            _treat(guest, folder, mib)
            # Nothing may be reported between reading the counters and the end of the trace.
            guest.run("echo 0 >/sys/module/aerator/parameters/enabled")
            counted = counters(guest, folder)
            times = guest.read(f"{folder}/stages")
            ended = _seconds(guest)
        events = batch_events(guest)
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")

    traced = _by_reactor(events)
    cycles = sum(map(check_order, traced.values()))
    expect_equal(len(traced), reactors, "reactors that had a batch")
    at_a_time = _most_at_a_time(events)
    expect_equal(at_a_time, reactors, "batches at a time")
    most = max(int(values["bytes"]) for name, values in events if name == "react")
    expect(most <= _BATCH_MIB * MIB, f"a batch of {most} bytes")
    expect_equal(events[-1][0], "idle", "last event")
    expect_equal(counted["cycles"], cycles, "cycles counted against traced")
    expect_equal(counted["reported_bytes"], _sum(events, "bytes"),
                 "bytes counted against traced")
    expect_equal(counted["reported_blocks"], _sum(events, "blocks"),
                 "blocks counted against traced")
    expect(began <= counted["last_report"] <= ended,
           f"last_report {counted['last_report']}, reported from {began} to {ended}")
    _check_times(times, events)
    expect_equal(counted["chains"], _chains(events), "chains, as long as the queue at most")
    expect_equal(counted["kicks"], cycles, "kicks, one a batch")
    # One interrupt is for the test block that is sent before the first batch.
    expect(counted["interrupts"] <= counted["chains"] + 1, "more than one interrupt a chain")
    expect_equal(counted["errors"] + counted["settle_timeouts"], 0, "errors")
    expect(counted["reported_bytes"] > mib * MIB, "hardly anything was reported")
    entries = _sum(events, "entries")
    # QEMU keeps the reported memory of a guest that poisons free pages.
    kept = kernel == PAGEALLOC
    tried = _PAGE_BYTES << params.get("order", _BLOCK_ORDER)
    expect_equal(dropped.bytes, 0 if kept else counted["reported_bytes"] + tried,
                 "bytes counted against madvise")
    expect_equal(dropped.calls, 0 if kept else entries + 1,
                 "entries traced against madvise calls")
    yield (f"{cycles} batches, {at_a_time} at a time, {counted['reported_blocks']}"
           f" blocks in {entries} entries, {counted['chains']} chains,"
           f" {dropped.bytes // MIB} MiB in {dropped.calls} madvise calls")


def stages(kernel: str) -> Iterator[str]:
    """With default parameters, stages come in order, and counters, trace and host agree. The
    device is taken over before, and given back."""
    yield from _check_stages(kernel, "stages", 1500,
                             2 if is_treated(kernel) else 1)


def stages_many(kernel: str) -> Iterator[str]:
    """With several batches at a time and shuffled free lists, stages come in order, and
    counters, trace and host agree."""
    yield from _check_stages(kernel, "stages-many", 1200, 4, "page_alloc.shuffle=1",
                             {"reactors": 4, "reactor_size": 256})


CASES = [*on_kernels(stages, (*BUILD_KERNELS, *TREATED_KERNELS)),
         *on_kernels(stages_many, (TREATED, *DEBUG_KERNELS))]
