# SPDX-License-Identifier: GPL-2.0
"""A guest's balloon as the guest shows it."""

from __future__ import annotations

from .guest import Guest


def balloon_device(guest: Guest) -> str:
    """Its folder in sysfs: the virtio device with number 5."""
    return guest.run("dirname $(grep -l 0x0005 /sys/bus/virtio/devices/*/device)"
                     ).strip()


def park_little(guest: Guest) -> None:
    """A processor may keep tens of MiB of free pages to itself, which are neither
    raw nor treated: now it is a MiB, as it always is before Linux 5.14."""
    fraction = "/proc/sys/vm/percpu_pagelist_high_fraction"
    guest.run(f"[ ! -e {fraction} ] || echo 1000000 >{fraction}")
