# SPDX-License-Identifier: GPL-2.0
"""A guest's balloon and its driver."""

from __future__ import annotations

from collections.abc import Mapping

from .guest import Guest

MODULE = "/aerator.ko"


def bind(guest: Guest, driver: str, params: Mapping[str, object] | None = None) -> None:
    """Bind a driver as in a distribution's guest, where virtio_balloon is loaded first."""
    guest.run("modprobe virtio_balloon")
    if driver == "aerator":
        guest.insmod(MODULE, params)
    # Fails if the driver has no device: otherwise another driver would be measured.
    guest.run(f"ls -d /sys/bus/virtio/drivers/{driver}/virtio*")
