# SPDX-License-Identifier: GPL-2.0
"""What a guest spends, in instructions: guests in which a nanosecond is one of them.

Such a guest has one processor and does the same each time, whatever else the host
does. Its clock also moves while it is idle, at no cost of real time, so that what
counts is when it was busy: /proc/timer_list has the idle time to the nanosecond. (A
program that spins meanwhile, and sums up what others took of its time, finds the
same: 2653 against 2628 thousand where virtio_balloon reports 1 GiB.)

The clock goes on between two commands that a guest is given: what must not have
begun before the first look at it has to be in one command with that.
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

# For Guest. Nothing is where chance puts it.
MACHINE: dict[str, Any] = {"icount": True, "append": "norandmaps", "qemu_args": TRACE,
                           "time_limit": 600}

# By then virtio_balloon has reported all there is, and aerator has looked for the
# last time.
SETTLED_SECONDS = 60

_CLOCK = r"grep -E '^now at|\.idle_sleeptime' /proc/timer_list"


def spent(guest: Guest, *commands: str) -> list[int]:
    """What passes in a guest from before each of some shell commands until after it,
    the same few millions for looking at the clock each time included."""
    script = "\n".join((_CLOCK, *(f"{{ {command}; }} >&2 || exit\n{_CLOCK}"
                                  for command in commands)))
    output = guest.run(script, timeout=300)
    now, idle = (list(map(int, re.findall(pattern, output, re.MULTILINE)))
                 for pattern in (r"^now at (\d+)", r"\.idle_sleeptime *: (\d+)"))
    busy = [moment - slept for moment, slept in zip(now, idle, strict=True)]
    return [later - sooner for sooner, later in pairwise(busy)]


def settle(guest: Guest) -> None:
    """Have all reported that a driver would, and leave it alone for longer than any
    of them looks ahead."""
    flush = f"{balloon_device(guest)}/aerator/flush"
    guest.run(f"sleep {SETTLED_SECONDS}; [ ! -e {flush} ] || echo 1 >{flush} || exit;"
              f" sleep {SETTLED_SECONDS}", timeout=150)


# Faults

# In fresh processes, and only the first after boot: later the figures go up and
# down in steps, on all kernels, with the state of the free lists.
FAULTS = {"4 KiB": "memtool --small faults 64 3", "2 MiB": "memtool faults 128 3"}
_PROCESSES = 6


def fault_instructions(guest: Guest, size: str) -> float:
    """From the fault that brings a page of that size to the end of its unmapping."""
    output = guest.run(f"for i in $(seq {_PROCESSES}); do {FAULTS[size]}; done", timeout=200)
    return median(float(text) for text in re.findall(r"^fault_ns (\S+)", output, re.MULTILINE))


# Reports

# By how much two quiet minutes differ, in instructions.
QUIET_NOISE = 100_000


@dataclass(frozen=True)
class Report:
    """What a guest spent to report what was freed: instructions, and with whom it
    had to do for that."""

    mib: int
    instructions: int
    kicks: int
    interrupts: int

    def row(self, what: str) -> str:
        return (f"{what:40} {self.mib:5} MiB {self.instructions / 1000:8.0f} k"
                f" {self.kicks:5} kicks {self.interrupts:5} interrupts")


def _count(guest: Guest) -> tuple[int, int]:
    """Kicks and interrupts; the latter are shared by all queues of the balloon."""
    name = balloon_device(guest).rpartition("/")[2]
    line = guest.run(f"grep -w {name} /proc/interrupts", check=False).split()
    return kicks(guest), int(line[1]) if line else 0


def release(guest: Guest, mib: int, order: int | None = None,
            starter: str = "/dev/null") -> Report:
    """Free so much, in one piece or as every other block of an order, and report it:
    aerator can be told by a file to begin then. virtio_balloon begins two seconds
    later, and takes half a minute for all of it; it would be no comparison if we had
    begun when only a part of it was free. In the same command aerator is told to end:
    what memtool holds besides is free as well by then, and the clock goes on."""
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
