# SPDX-License-Identifier: GPL-2.0
"""QEMU's trace events, read from its log: kicks of a guest, and memory that QEMU dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .guest import Guest

# For Guest's qemu_args.
TRACE = ("-trace", "enable=virtio_queue_notify",
         "-trace", "enable=ram_block_discard_range", "-msg", "timestamp=on")

# The reporting queue, in a device without other optional queues. After boot, no
# other device uses its queue of that number.
_REPORTING_QUEUE = 3

_DISCARD = re.compile(r"@(\d+\.\d+):ram_block_discard_range \w+@0x[0-9a-f]+ \+"
                      r" 0x([0-9a-f]+): .* ret: 0$", re.MULTILINE)


@dataclass(frozen=True)
class Discard:
    """A range of the guest's memory that QEMU dropped."""

    time: float  # time.time()
    bytes: int


def _log(guest: Guest) -> str:
    return (guest.log_dir / "qemu.log").read_text()


def kicks(guest: Guest) -> int:
    """The number of kicks of the reporting queue since QEMU started; it includes kicks of
    other devices during boot."""
    return _log(guest).count(f" n {_REPORTING_QUEUE} ")


def discards(guest: Guest) -> list[Discard]:
    """All ranges that were dropped since QEMU started."""
    return [Discard(float(match[1]), int(match[2], 16))
            for match in _DISCARD.finditer(_log(guest))]
