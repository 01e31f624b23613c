# SPDX-License-Identifier: GPL-2.0
"""Cost of a guest's work in instructions: one nanosecond of its clock is one instruction.

Such a guest (QEMU's icount) has one processor, and repeats exactly, whatever the load of
the host. Its clock also advances while it is idle, without real time passing, so only the
busy time counts: /proc/timer_list has the idle time in nanoseconds. (A program that spins
meanwhile, and adds up the time that others took from it, gives the same result: 2653
against 2628 thousand instructions for virtio_balloon's report of 1 GiB.)

The clock advances between two commands of the host. Work that must not begin before the
clock is first read has to be in the same command as that read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from aerator_vm import Guest, GuestFailed
from aerator_vm.balloon import balloon_device
from aerator_vm.events import TRACE, kicks

MIB = 1 << 20

# Arguments for Guest. Addresses are not randomized.
MACHINE: dict[str, Any] = {"icount": True, "append": "norandmaps", "qemu_args": TRACE,
                           "time_limit": 600}

# After this time virtio_balloon has reported all memory, and aerator has become idle.
SETTLED_SECONDS = 60

_CLOCK = r"grep -E '^now at|\.idle_sleeptime' /proc/timer_list"


def spent(guest: Guest, *commands: str) -> list[int]:
    """Instructions of each of some shell commands in a guest. Each includes the same few
    millions for reading the clock."""
    script = "\n".join((_CLOCK, *(f"{{ {command}; }} >&2 || exit\n{_CLOCK}"
                                  for command in commands)))
    output = guest.run(script, timeout=300)
    now, idle = (list(map(int, re.findall(pattern, output, re.MULTILINE)))
                 for pattern in (r"^now at (\d+)", r"\.idle_sleeptime *: (\d+)"))
    busy = [moment - slept for moment, slept in zip(now, idle, strict=True)]
    return [later - sooner for sooner, later in pairwise(busy)]


def settle(guest: Guest) -> None:
    """Wait until the driver has reported all it can, and then until it has become idle."""
    flush = f"{balloon_device(guest)}/aerator/flush"
    guest.run(f"sleep {SETTLED_SECONDS}; [ ! -e {flush} ] || echo 1 >{flush} || exit;"
              f" sleep {SETTLED_SECONDS}", timeout=150)


# Faults

# Only new processes, and the first ones after boot, give constant figures: later ones depend
# in steps on the state of the free lists, on all kernels.
FAULTS = {"4 KiB": "memtool --small faults 64 3", "2 MiB": "memtool faults 128 3"}
_PROCESSES = 6


def fault_instructions(guest: Guest, size: str) -> float:
    """Instructions from the fault for a page of that size until it is unmapped."""
    output = guest.run(f"for i in $(seq {_PROCESSES}); do {FAULTS[size]}; done", timeout=200)
    return median(float(text) for text in re.findall(r"^fault_ns (\S+)", output, re.MULTILINE))


# Reports

# By how much two quiet minutes differ, in instructions.
QUIET_NOISE = 100_000


@dataclass(frozen=True)
class Report:
    """The cost of reporting freed memory: instructions, kicks and interrupts."""

    mib: int
    instructions: int
    kicks: int
    interrupts: int

    def row(self, what: str) -> str:
        return (f"{what:40} {self.mib:5} MiB {self.instructions / 1000:8.0f} k"
                f" {self.kicks:5} kicks {self.interrupts:5} interrupts")


def _count(guest: Guest) -> tuple[int, int]:
    """Kicks and interrupts so far; all queues of the balloon may share an interrupt."""
    name = balloon_device(guest).rpartition("/")[2]
    line = guest.run(f"grep -w {name} /proc/interrupts", check=False).split()
    return kicks(guest), int(line[1]) if line else 0


def release(guest: Guest, mib: int, order: int | None = None,
            starter: str = "/dev/null") -> Report:
    """Free an amount, in one piece or as every other block of an order, and report it.

    virtio_balloon begins two seconds later, and takes half a minute. aerator, which would
    begin when only a part is free, is started by a file (starter) once all of it is free, so
    that both report the same. The same command also stops aerator: by then the other memory
    of memtool is free as well, and the clock advances until the next command."""
    words = (f"release {mib} {SETTLED_SECONDS} {starter}" if order is None else
             f"--small release {2 * mib} {SETTLED_SECONDS} {starter} {order}")
    before = _count(guest)
    output = guest.run(f"memtool {words} && echo 0 >{starter}", timeout=240)
    after = _count(guest)
    match = re.fullmatch(r"freed (\d+) busy_ns (\d+) then (\d+)\n", output)
    if not match:
        raise GuestFailed(f"no figures: {output}")
    return Report(int(match[1]) // MIB, int(match[2]) - int(match[3]),
                  after[0] - before[0], after[1] - before[1])
