# SPDX-License-Identifier: GPL-2.0
"""What a guest makes its host do, as QEMU's trace events in its log tell it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .guest import Guest

# For Guest's qemu_args.
TRACE = ("-trace", "enable=virtio_queue_notify",
         "-trace", "enable=ram_block_discard_range", "-msg", "timestamp=on")

# The queue of reports where the device has no other queue that is optional. No
# other device uses the one of that number once the guest has booted.
_REPORTING_QUEUE = 3

_DISCARD = re.compile(r"@(\d+\.\d+):ram_block_discard_range \w+@0x[0-9a-f]+ \+"
                      r" 0x([0-9a-f]+): .* ret: 0$", re.MULTILINE)


@dataclass(frozen=True)
class Discard:
    """Memory of the guest that QEMU gave back to its host."""

    time: float  # time.time()
    bytes: int


def _log(guest: Guest) -> str:
    return (guest.log_dir / "qemu.log").read_text()


def kicks(guest: Guest) -> int:
    """How often the guest has stopped to tell of reports since QEMU started, and
    of something else while it booted."""
    return _log(guest).count(f" n {_REPORTING_QUEUE} ")


def discards(guest: Guest) -> list[Discard]:
    """Since QEMU started."""
    return [Discard(float(match[1]), int(match[2], 16))
            for match in _DISCARD.finditer(_log(guest))]
