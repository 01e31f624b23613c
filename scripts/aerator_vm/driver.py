# SPDX-License-Identifier: GPL-2.0
"""A guest's balloon and who drives it."""

from __future__ import annotations

from collections.abc import Mapping

from .guest import Guest

MODULE = "/aerator.ko"


def bind(guest: Guest, driver: str, params: Mapping[str, object] | None = None) -> None:
    """Like in a distribution's guest, where virtio_balloon is there first."""
    guest.run("modprobe virtio_balloon")
    if driver == "aerator":
        guest.insmod(MODULE, params)
    # Fails if it has no device: what is measured would be another driver's.
    guest.run(f"ls -d /sys/bus/virtio/drivers/{driver}/virtio*")
