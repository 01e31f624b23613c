# SPDX-License-Identifier: GPL-2.0
"""A guest whose balloon is looked at from both sides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aerator_vm import Guest, QmpError

from .harness import MIB, TestFailed, balloon_device, meminfo

PAGE = 4096
_PATH = "/machine/peripheral/balloon"
# No target is further away than this, also where guests are emulated.
_REACH_SECONDS = 60
# QEMU holds such events back so that there is no more than one a second.
_EVENT_SECONDS = 4


def mib(count: int) -> str:
    """Bytes, so that one page more or less is seen."""
    whole, rest = divmod(count, MIB)
    return f"{whole} MiB" + (f" + {rest // 1024} KiB" if rest else "")


@dataclass
class Subject:
    """A guest of so many bytes, whose balloon the driver of that name has."""

    guest: Guest
    driver: str
    bytes: int
    total_kb: int = field(init=False)

    def __post_init__(self) -> None:
        self.look_again()

    def look_again(self) -> None:
        """What MemTotal is while nothing is in the balloon: a kernel that has just booted
        takes some for itself."""
        self.total_kb = meminfo(self.guest, "MemTotal")

    # The host's side

    def actual(self) -> int:
        """What the host believes that the guest has."""
        return self.guest.qmp.execute("query-balloon")["actual"]

    def aim(self, target: int) -> int:
        """Tell the guest to have so much; returns what it can come to: the device
        counts pages that the guest is to give."""
        self.guest.qmp.execute("balloon", value=target)
        return self.bytes - max(self.bytes - target, 0) // PAGE * PAGE

    def wait_actual(self, wanted: int) -> float:
        """Seconds until the guest has come to its target."""
        return self.wait(f"actual is {mib(wanted)}", lambda: self.actual() == wanted)

    def reach(self, target: int) -> float:
        """The seconds that it takes from one target to another."""
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
        """MiB that the host has in use for it."""
        return (self.guest.host.memory_current() or self.guest.host.rss()) / MIB

    def announced(self, wanted: int) -> bool:
        """Whether the host was told of that size without asking."""
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
        """Its name on the bus: another one after it was plugged again."""
        return balloon_device(self.guest).rpartition("/")[2]

    def missing(self) -> str:
        """How much less than at first the guest says that it has."""
        return mib((self.total_kb - meminfo(self.guest, "MemTotal")) * 1024)
