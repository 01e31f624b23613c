# SPDX-License-Identifier: GPL-2.0
"""The contestants (a kernel, a driver and its settings), and their guests."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aerator_vm import Guest
from aerator_vm.common import BUILD
from aerator_vm.driver import MODULE, bind

PARAMETERS = "/sys/module/aerator/parameters"
# Files beside a guest's logs: aerator's parameters, and the command lines of QEMU, of which
# there are several if a case has guests of several sizes.
SETTINGS = "settings"
MACHINES = "machines"
# Names of temporary folders, which differ between guests and have no meaning.
_TEMPORARY = re.compile(r"(/aerator-(?:vm|initramfs)-)\w+")
_DELAY = "/sys/module/page_reporting/parameters/page_reporting_delay_ms"


@dataclass(frozen=True)
class Contestant:
    """A kernel with a driver for the balloon, with the settings that a user would choose."""

    name: str
    kernel: str
    driver: str | None  # aerator, virtio_balloon, or None: nothing is reported
    params: Mapping[str, object] = field(default_factory=dict)  # of aerator
    delay_ms: int | None = None  # of 7.3's page reporting, if not its default

    def with_params(self, **params: object) -> Contestant:
        """The same contestant with other parameters."""
        return dataclasses.replace(self, params={**self.params, **params})

    @contextlib.contextmanager
    def guest(self, case: str, *, bound: bool = True, **machine: Any) -> Iterator[Guest]:
        """Boot a guest and, if @bound, bind the driver; @machine has arguments of Guest."""
        files = dict(machine.pop("files", {}))
        if self.driver == "aerator":
            files[MODULE] = BUILD / self.kernel / "aerator.ko"
        with Guest(self.kernel, name=f"bench-{case}-{self.name}", files=files,
                   balloon={"free-page-reporting": self.driver is not None},
                   **machine) as guest:
            _note_machine(guest)
            if bound:
                self._bind(guest)
            yield guest

    def _bind(self, guest: Guest) -> None:
        if self.delay_ms is not None:
            guest.run(f"echo {self.delay_ms} >{_DELAY}")
        bind(guest, self.driver or "virtio_balloon", self.params)
        self.note_settings(guest)

    def note_settings(self, guest: Guest) -> None:
        """Write the driver's parameters to a file for meta.py."""
        if self.driver == "aerator":
            (guest.log_dir / SETTINGS).write_text(
                guest.run(f"cd {PARAMETERS} && grep . *"))


def _note_machine(guest: Guest) -> None:
    """Write QEMU's command line to a file for meta.py; the same line only once."""
    words = Path("/proc", str(guest.host.pid), "cmdline").read_text().split("\0")[:-1]
    line = _TEMPORARY.sub(r"\1XXXXXXXX", shlex.join(words))
    path = guest.log_dir / MACHINES
    known = path.read_text().splitlines() if path.exists() else []
    if line not in known:
        path.write_text("\n".join((*known, line)) + "\n")


def _on(kernel: str) -> list[Contestant]:
    """All contestants of a kernel, with their drivers' defaults."""
    return [Contestant(f"none-{kernel}", kernel, None),
            Contestant(f"virtio_balloon-{kernel}", kernel, "virtio_balloon"),
            Contestant(f"aerator-{kernel}", kernel, "aerator")]


STOCK = "6.12"
TREATED = "6.12-treated"
NEWEST = "7.3"

CONTESTANTS = {contestant.name: contestant for contestant in (
    *_on(STOCK), *_on(TREATED), *_on(NEWEST),
    Contestant(f"delay-250-{NEWEST}", NEWEST, "virtio_balloon", delay_ms=250),
    Contestant(f"delay-10-{NEWEST}", NEWEST, "virtio_balloon", delay_ms=10),
)}

# aerator-6.12 takes blocks from the kernel's page reporting, aerator-6.12-treated
# from the patched allocator. 7.3 is there because its page reporting can have shorter delays.
ALL = tuple(name for name in CONTESTANTS if name != f"aerator-{NEWEST}")
