# SPDX-License-Identifier: GPL-2.0
"""A guest with a balloon, observed from the guest and from the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aerator_vm import Guest, QmpError

from .harness import MIB, TestFailed, balloon_device, meminfo

PAGE = 4096
_PATH = "/machine/peripheral/balloon"
# Time in which an emulated guest reaches any target.
_REACH_SECONDS = 60
# QEMU limits the rate of these events to one per second.
_EVENT_SECONDS = 4


def mib(count: int) -> str:
    """An amount in MiB and KiB, so that a difference of one page is visible."""
    whole, rest = divmod(count, MIB)
    return f"{whole} MiB" + (f" + {rest // 1024} KiB" if rest else "")


@dataclass
class Subject:
    """A guest, its size in bytes, and the name of its balloon's driver."""

    guest: Guest
    driver: str
    bytes: int
    total_kb: int = field(init=False)

    def __post_init__(self) -> None:
        self.look_again()

    def look_again(self) -> None:
        """Read MemTotal with an empty balloon again: a kernel that has just booted reserves
        some memory."""
        self.total_kb = meminfo(self.guest, "MemTotal")

    # The host's side

    def actual(self) -> int:
        """The guest's memory in bytes, as QEMU computes it from the balloon's size."""
        return self.guest.qmp.execute("query-balloon")["actual"]

    def aim(self, target: int) -> int:
        """Set the target; returns the size that the guest can reach, a multiple of the page
        size, as the device counts pages."""
        self.guest.qmp.execute("balloon", value=target)
        return self.bytes - max(self.bytes - target, 0) // PAGE * PAGE

    def wait_actual(self, wanted: int) -> float:
        """Wait until the guest has reached its target; returns the seconds."""
        return self.wait(f"actual is {mib(wanted)}", lambda: self.actual() == wanted)

    def reach(self, target: int) -> float:
        """Set a target and wait until it is reached; returns the seconds."""
        return self.wait_actual(self.aim(target))

    def wait(self, what: str, truth: Callable[[], bool],
             limit: float = _REACH_SECONDS) -> float:
        start = time.monotonic()
        while not truth():
            if time.monotonic() - start > limit:
                raise TestFailed(f"{self.driver}: not within {limit} s: {what},"
                                 f" actual is {mib(self.actual())}")
            time.sleep(0.01)
        return time.monotonic() - start

    def held(self) -> float:
        """MiB that the host has in use for the guest."""
        return (self.guest.host.memory_current() or self.guest.host.rss()) / MIB

    def announced(self, wanted: int) -> bool:
        """Whether QEMU has sent an event with that size."""
        try:
            while self.guest.qmp.wait_event("BALLOON_CHANGE", _EVENT_SECONDS)[
                    "data"]["actual"] != wanted:
                pass
        except QmpError:
            return False
        return True

    def poll_statistics(self, seconds: int) -> None:
        self.guest.qmp.execute("qom-set", path=_PATH, value=seconds,
                               property="guest-stats-polling-interval")

    def statistics(self) -> dict[str, Any]:
        return self.guest.qmp.execute("qom-get", path=_PATH, property="guest-stats")

    # The guest's side

    def device(self) -> str:
        """The device's name on the virtio bus, which differs after a hotplug."""
        return balloon_device(self.guest).rpartition("/")[2]

    def missing(self) -> str:
        """The decrease of MemTotal since look_again()."""
        return mib((self.total_kb - meminfo(self.guest, "MemTotal")) * 1024)
