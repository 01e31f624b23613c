# SPDX-License-Identifier: GPL-2.0
"""A patched kernel, observed from the host: the host keeps no more memory than necessary."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

from aerator_vm import CommandFailed, Guest, Job
from aerator_vm.balloon import balloon_device, park_little

from .device import Host, device_guest
from .harness import (KASAN, MIB, MODULE, PARAMETERS, TREATED, TREATED_KERNELS, counters,
                      expect, expect_equal, is_debug, load_aerator, make_guest, module_file,
                      on_kernels, settled_free)
from .lifecycle import QUARANTINE

_TRACING = "/sys/kernel/tracing"

# Noise: memory that programs and the kernel allocate and free meanwhile, and the per-CPU
# lists; the maximum that was seen in guests of this size.
_NOISE = 4 * MIB

# Noise of the host: QEMU's own memory, with newly translated code.
_HOST_NOISE = 24 * MIB


def _flush(guest: Guest, folder: str) -> None:
    guest.run(f"echo 1 >{folder}/flush", timeout=90)


def _set(guest: Guest, name: str, value: object) -> None:
    guest.run(f"echo {value} >{PARAMETERS}/{name}")


def _hold(guest: Guest, words: str) -> Job:
    job = guest.start_job(f"memtool {words}")
    job.wait_for("touched", 120)
    return job


def _free(job: Job) -> None:
    job.tell()
    job.wait_for("freed")


def _host_memory(guest: Guest) -> int:
    return guest.host.memory_current() or guest.host.rss()


# Idle

# One shell that starts no program while it waits: the memory that a program frees at its end
# would merge into blocks, and be reported.
_WATCH = """
cd {tracing}
mkfifo /tmp/never
read -t {settle} _ <>/tmp/never
echo >trace
echo 1 >tracing_on
read -t {seconds} _ <>/tmp/never
echo 0 >tracing_on
"""
_IDLE_SECONDS = 60
_IDLE_SETTLE_SECONDS = 15
_EVENTS = ("workqueue/workqueue_queue_work", "workqueue/workqueue_execute_start",
           "timer/timer_start", "timer/timer_expire_entry", "aerator")
# Any function of the module.
_WORKS = r"\S+ \[aerator\]"
# Work that is queued in an interrupt: work that a task queues is not caused by a timer.
_QUEUED = re.compile(rf" \[(\d+)\] ..[hHsS]\S* .* workqueue_queue_work: .*function={_WORKS}")
_EXPIRED = re.compile(r" \[(\d+)\] .* timer_expire_entry: timer=(\S+)")
_STARTED = re.compile(r" timer_start: timer=(\S+)")
_OURS = re.compile(rf"function={_WORKS}| aerator_\w+: ")


def _trace(guest: Guest) -> list[str]:
    lost = guest.run(f"grep -h '^overrun' {_TRACING}/per_cpu/cpu*/stats")
    expect_equal(set(re.findall(r": (\d+)", lost)), {"0"}, "events that were lost")
    return guest.read(f"{_TRACING}/trace").splitlines()


def _our_timers(trace: list[str]) -> set[str]:
    """The timers that expired just before aerator's work was queued on the same processor."""
    expired: dict[str, str] = {}
    found = set()
    for line in trace:
        if match := _EXPIRED.search(line):
            expired[match[1]] = match[2]
        elif (match := _QUEUED.search(line)) and match[1] in expired:
            found.add(expired[match[1]])
    return found


def _wait_for_idle(guest: Guest, folder: str, reported: int) -> None:
    """Wait until aerator is idle, with this much reported in total. Memory in per-CPU lists is
    freed late."""
    deadline = time.monotonic() + 40
    while True:
        counted = counters(guest, folder)
        if (counted["reported_bytes"] >= reported
                and guest.read(f"{folder}/stage") == "idle"):
            return
        expect(time.monotonic() < deadline,
               f"not idle again with {reported} bytes reported: {counted}")
        time.sleep(0.2)


def idle(kernel: str) -> Iterator[str]:
    """When all free memory is treated, aerator has no timer and no work, until the next free."""
    with make_guest(kernel, "idle", mem=1024) as guest:
        park_little(guest)
        folder = load_aerator(guest, window_ms=250)
        _flush(guest, folder)
        guest.run(f"cd {_TRACING} && echo 0 >tracing_on && echo 16384 >buffer_size_kb")
        for event in _EVENTS:
            guest.run(f"echo 1 >{_TRACING}/events/{event}/enable")

        def wake() -> set[str]:
            """Free memory, wait until aerator is idle again; return aerator's timers."""
            before = counters(guest, folder)
            guest.run(f"echo >{_TRACING}/trace; echo 1 >{_TRACING}/tracing_on")
            _free(_hold(guest, "hold 64"))
            _wait_for_idle(guest, folder, before["reported_bytes"] + 48 * MIB)
            guest.run("sleep 3")
            guest.run(f"echo 0 >{_TRACING}/tracing_on")
            trace = _trace(guest)
            expect(any(" aerator_fill: " in line for line in trace), "no fill was traced")
            return _our_timers(trace)

        timers = wake()
        expect(timers, "no timer of ours was seen: neither would it be when idle")
        before = counters(guest, folder)
        guest.run(_WATCH.format(tracing=_TRACING, settle=_IDLE_SETTLE_SECONDS,
                                seconds=_IDLE_SECONDS),
                  timeout=_IDLE_SETTLE_SECONDS + _IDLE_SECONDS + 30)
        trace = _trace(guest)
        after = counters(guest, folder)

        ours = [line for line in trace if _OURS.search(line)
                or (match := _STARTED.search(line)) and match[1] in timers]
        expect(not ours, "\n".join(["while nothing was freed:", *ours[:20]]))
        expect(any(_STARTED.search(line) for line in trace), "no timer at all was traced")
        yield (f"{_IDLE_SECONDS} s: none of {len(timers)} timers of ours, no work, no"
               f" batch, in {len(trace)} events of others")
        expect(after["cycles"] - before["cycles"] <= 2, "batches in an idle guest")
        wake()


# Raw first

_RAW_MIB = 640


def _check_raw_first(guest: Guest, folder: str, small: str) -> str:
    """Of memory that is half raw and half treated, allocations take the raw half first."""
    _set(guest, "enabled", 1)
    held = _hold(guest, f"{small} hold {_RAW_MIB}")
    _flush(guest, folder)
    _set(guest, "enabled", 0)
    _free(held)
    held.tell()
    guest.run("sleep 1")
    counted = counters(guest, folder)
    expect(counted["raw_bytes"] > (_RAW_MIB - 40) * MIB, f"raw: {counted['raw_bytes']}")
    expect(counted["treated_bytes"] > _RAW_MIB * MIB, f"treated: {counted['treated_bytes']}")

    start, faults = _host_memory(guest), guest.host.minor_faults()
    first = _hold(guest, f"{small} hold {_RAW_MIB - 64}")
    middle, faulted = _host_memory(guest), guest.host.minor_faults() - faults
    second = _hold(guest, f"{small} hold {_RAW_MIB - 128}")
    end = _host_memory(guest)
    after = counters(guest, folder)  # the jobs still hold the memory
    for job in (first, second):
        _free(job)
        job.tell()

    fell = counted["treated_bytes"] - after["treated_bytes"]
    reused = after["reused_bytes"] - counted["reused_bytes"]
    expect(abs(reused - fell) < _NOISE and reused > (_RAW_MIB - 128 - 64) * 0.8 * MIB,
           f"reused_bytes rose by {reused}, treated_bytes fell by {fell}")
    raw, more = (middle - start) // MIB, (end - middle) // MIB
    expect(middle - start < _HOST_NOISE,
           f"the host had to give {raw} MiB for {_RAW_MIB - 64} MiB that it held")
    # Some raw memory is left, and is used first again.
    expect(more > (_RAW_MIB - 128 - 64) * 0.8, f"only {more} MiB for {_RAW_MIB - 128} MiB")
    return (f"{small or '--huge'}: {_RAW_MIB - 64} MiB raw cost the host {raw} MiB and {faulted}"
            f" faults, {_RAW_MIB - 128} MiB treated {more} MiB")


def raw_first(kernel: str) -> Iterator[str]:
    """Allocations use raw memory, which the host still holds, before treated memory."""
    with make_guest(kernel, "raw-first", mem=1536) as guest:
        park_little(guest)
        folder = load_aerator(guest)
        # QEMU needs memory to translate code that runs for the first time.
        for size in ("", "--small"):
            _free(_hold(guest, f"{size} hold 64"))
        yield _check_raw_first(guest, folder, "")
        yield _check_raw_first(guest, folder, "--small")


# Orders

_FRAGMENTS_MIB = 300


def _check_counts(guest: Guest, folder: str) -> dict[str, int]:
    """Free memory is raw or treated. One shell reads all counts; each processor may have some
    pages that are not yet added to MemFree."""
    output = guest.run(f"cat {folder}/raw_bytes {folder}/treated_bytes;"
                       " grep MemFree /proc/meminfo")
    raw, treated, free = map(int, re.findall(r"\d+", output))
    expect(abs(raw + treated - free * 1024) < 4 * MIB,
           f"raw {raw} and treated {treated} are not the {free} kB that are free")
    return {"raw": raw, "treated": treated}


def _check_order(guest: Guest, folder: str, order: int, block: int, returns: bool) -> str:
    """Free every other block of 2^block pages, with the order set to order."""
    held = _hold(guest, f"--small hold {_FRAGMENTS_MIB} {block}")
    _set(guest, "order", order)
    _flush(guest, folder)
    before = counters(guest, folder)["treated_bytes"]
    with guest.host.madvise_traced() as dropped:
        _free(held)
        _flush(guest, folder)
    counts = _check_counts(guest, folder)
    treated = (counts["treated"] - before) / MIB
    held.tell()
    back = dropped.bytes / MIB
    half = _FRAGMENTS_MIB / 2
    what = (f"of {half:.0f} MiB in blocks of {4 << block} KiB {back:.0f} came back"
            f" with order={order}")
    if returns:
        expect(0.85 * half < back < 1.15 * half, what)
        expect(0.85 * half < treated < 1.15 * half, f"treated rose by {treated:.0f} MiB")
    else:
        expect(back < 0.15 * half, what)
        expect(counts["raw"] > 0.85 * half * MIB, f"only {counts['raw']} bytes are raw")
    return f"{what}, {counts['raw'] // 1024} KiB stayed raw"


def orders(kernel: str) -> Iterator[str]:
    """Fragments are reported down to the set order, and no smaller ones."""
    with make_guest(kernel, "orders") as guest:
        park_little(guest)
        folder = load_aerator(guest, reactor_size=1024)
        yield _check_order(guest, folder, 9, 5, False)
        yield _check_order(guest, folder, 4, 5, True)
        yield _check_order(guest, folder, 4, 2, False)
        yield _check_order(guest, folder, 0, 2, True)
        _flush(guest, folder)
        guest.run("sleep 2")
        _flush(guest, folder)
        raw = _check_counts(guest, folder)["raw"]
        expect(raw < _NOISE, f"{raw} bytes stay raw with order=0")
        yield f"order=0 leaves {raw // 1024} KiB raw"


# Split

_SPLITS = 8
# Memory that a program frees at its start is raw, as are the blocks with which it merges.
_SPLIT_RAW = 2 * MIB
# One shell that starts programs, none of which ends meanwhile.
_SPLIT = """
amounts() {{
	read raw <{folder}/raw_bytes
	read treated <{folder}/treated_bytes
	echo $raw $treated
}}
mkfifo /tmp/said /tmp/never
exec 3<>/tmp/said 4<>/tmp/never
amounts
round=0
while [ $((round += 1)) -le {rounds} ]; do
	memtool --small hold 1 >&3 <&4 &
	read _ <&3
	amounts
done
"""


def split(kernel: str) -> Iterator[str]:
    """If a part of a treated block of 4 MiB is allocated, the rest stays treated. Each round
    allocates 1 MiB, so that in one of them most of a block is left."""
    with make_guest(kernel, "split") as guest:
        folder = load_aerator(guest, order=0)
        _flush(guest, folder)
        _set(guest, "enabled", 0)
        output = guest.run(_SPLIT.format(folder=folder, rounds=_SPLITS))
        found = [tuple(map(int, line.split())) for line in output.splitlines()]
        expect_equal(len(found), 1 + _SPLITS, "amounts that were read")
        fell = found[0][1] - found[-1][1]
        raw = max(raw for raw, _ in found)
        what = (f"{_SPLITS} times 1 MiB of small pages: treated fell by {fell / MIB:.1f} MiB,"
                f" no more than {raw / MIB:.1f} MiB were raw")
        expect(raw < _SPLIT_RAW, what)
        expect(fell < _SPLITS * MIB + _NOISE, what)
        yield what


# OOM

_OOM_ROUNDS = 6
_OOM_DEBUG_ROUNDS = 2
# Log lines of the OOM killer, and of a victim whose allocation fails. The test checks which
# program was killed.
_OOM_LINES = (r"Out of memory: Killed process \d+ \(memtool\)", r"Call Trace:",
              r"memtool: page allocation failure: order:0")


def oom(kernel: str) -> Iterator[str]:
    """On OOM with batches in flight, only the program that wants too much is killed, and no
    page is lost."""
    mem = 512
    rounds = _OOM_DEBUG_ROUNDS if is_debug(kernel) else _OOM_ROUNDS
    with make_guest(kernel, "oom", mem=mem, time_limit=900, allow=_OOM_LINES) as guest:
        folder = load_aerator(guest, window_ms=0, reactors=8, order=0)
        free = settled_free(guest)
        flusher = guest.start_job(f"while :; do echo 1 >{folder}/flush; done")
        churn = guest.start_job("memtool churn 60 5 1000")
        for number in range(rounds):
            job = guest.start_job(f"memtool {'--small ' * (number % 2)}hold {mem + 100}")
            job.wait(240, check=False)
            expect("touched" not in job.output(), "the program got all its memory")
        for job in (churn, flusher):
            with contextlib.suppress(CommandFailed):  # it may have been killed before
                job.signal("KILL")
        log = guest.dmesg()
        victims = re.findall(r"Killed process \d+ \((\S+)\)", log)
        expect(len(victims) >= rounds, f"killed: {victims}")
        expect_equal(set(victims), {"memtool"}, "killed programs")
        counted = counters(guest, folder)
        expect_equal(counted["errors"] + counted["settle_timeouts"], 0, "errors")
        lost = free - settled_free(guest)
        slack = 4096 + (mem * 1024 // QUARANTINE if is_debug(kernel) else 0)
        expect(abs(lost) < slack, f"{lost} kB of MemFree are gone")
        yield (f"{len(victims)} programs killed in {counted['cycles']} batches, free memory"
               f" differs by {-lost} kB")


# The host's delay. An allocation waits longer for a batch in flight.
_LATE_MS = 800
_LATE_MIB = 512
_LATE_ROUNDS = 3
# Memory that the program cannot have: that below the watermarks, and page tables.
_LATE_SPARE_MIB = 40
# One shell, so that no other request comes between the free and the next program.
_LATE_ROUND = """
mkfifo /tmp/line.{number}
: >/tmp/first.{number}
memtool --small hold {first} <>/tmp/line.{number} >/tmp/first.{number} &
until grep -q touched /tmp/first.{number}; do sleep 0.05; done
{before}
echo >/tmp/line.{number}
until grep -q freed /tmp/first.{number}; do :; done
{until}
echo | memtool --small hold {second}
echo >/tmp/line.{number}
wait
"""


_AT_HOST = "until [ $(cat /sys/kernel/debug/aerator_device/reporting/held) -gt 0 ]; do :; done"
_SLOW_FILL = "/slowfill.ko"
_SLOW_FILES = "/sys/module/slowfill/parameters"


def _available(guest: Guest) -> int:
    """MemAvailable in MiB, with batches in flight."""
    return settled_free(guest) // 1024


def _late_round(guest: Guest, number: int, until: str, before: str = "", more: int = 0) -> None:
    """Free a part, which is sent to the host; then allocate twice this amount, and @more MiB."""
    part = _LATE_MIB // 8
    output = guest.run(_LATE_ROUND.format(
        number=number, first=part + _LATE_SPARE_MIB // 2, second=2 * part + more,
        before=before, until=until), timeout=90)
    expect_equal(output.split()[::2], ["touched", "freed"], "the program's output")
    killed = re.findall(r"Killed process .*", guest.dmesg())
    expect(not killed, f"round {number}, with memory on its way to the host: {killed}")


def oom_late(kernel: str) -> Iterator[str]:
    """No program is killed for want of memory that is in flight, or about to be. Most of the
    free memory is allocated, a part is freed and sent to the host, and then a program wants
    nearly all memory."""
    with device_guest(kernel, "oom-late", mem=_LATE_MIB,
                      files={_SLOW_FILL: module_file(kernel, "tests/slowfill")}) as guest:
        host = Host(guest)
        park_little(guest)
        guest.insmod("/aerator_device.ko", {"late_ms": _LATE_MS})
        guest.insmod(MODULE, {"window_ms": 0, "order": 0})
        guest.run("sleep 3")
        free = _available(guest)
        part = _LATE_MIB // 8
        rest = guest.start_job(f"memtool --small hold {free - 2 * part - _LATE_SPARE_MIB}")
        rest.wait_for("touched", 120)
        host.write("reporting/behaviour", "late")
        for number in range(_LATE_ROUNDS):
            _late_round(guest, number, until=_AT_HOST)
        host.write("reporting/behaviour", "now")
        guest.insmod(_SLOW_FILL)
        # Only this part is raw. One batch is smaller than the part.
        folder = f"{balloon_device(guest)}/aerator"
        _late_round(guest, _LATE_ROUNDS, more=_LATE_SPARE_MIB // 2,
                    before=f"echo 1 >{folder}/flush; echo 0 >{PARAMETERS}/enabled",
                    until=f"echo 1 >{_SLOW_FILES}/armed; echo 1 >{PARAMETERS}/enabled")
        expect_equal(guest.read(f"{_SLOW_FILES}/met"), "Y", "memory ran out during a fill")
        yield (f"{_LATE_ROUNDS} programs of {2 * part} MiB of {free} MiB wait for the host,"
               " and one for a fill")
        rest.tell()
        rest.tell()
        guest.run("rmmod slowfill; rmmod aerator", timeout=30)
        expect_equal(host.read("violations"), 0, "violations")
        guest.run("rmmod aerator_device")


# Zones

_ZONES_MIB = 5120
_FILLED = re.compile(r" aerator_fill: .*\bblocks=[1-9]\d* .*\bnode=(\d+) zone=(\w+)")


def zones(kernel: str) -> Iterator[str]:
    """All zones are treated, in a guest with two nodes and memory above 4 GiB."""
    with make_guest(kernel, "zones", mem=_ZONES_MIB, nodes=2) as guest:
        folder = load_aerator(guest, intake="treated", enabled=0)
        guest.run(f"echo 1 >{_TRACING}/events/aerator/enable")
        _set(guest, "enabled", 1)
        _flush(guest, folder)
        found = set(_FILLED.findall(guest.read(f"{_TRACING}/trace")))
        counted = counters(guest, folder)
    wanted = {("0", "DMA"), ("0", "DMA32"), ("0", "Normal"), ("1", "Normal")}
    expect(wanted <= found, f"only {sorted(found)}")
    expect(counted["raw_bytes"] < _ZONES_MIB * MIB // 20, f"left raw: {counted}")
    yield (f"{len(found)} zones of 2 nodes, {counted['treated_bytes'] // MIB} MiB treated,"
           f" {counted['raw_bytes'] // MIB} MiB raw")


CASES = [*on_kernels(idle, (TREATED,), sleeps=True), *on_kernels(idle, ("6.12",), long=True),
         *on_kernels(raw_first, TREATED_KERNELS),
         *on_kernels(orders, TREATED_KERNELS), *on_kernels(split, TREATED_KERNELS),
         *on_kernels(zones, TREATED_KERNELS),
         *on_kernels(oom, (*TREATED_KERNELS, KASAN)), *on_kernels(oom_late, (TREATED,), long=True)]
