# SPDX-License-Identifier: GPL-2.0
"""A guest's balloon as the guest shows it."""

from __future__ import annotations

from .guest import Guest


def balloon_device(guest: Guest) -> str:
    """The balloon's folder in sysfs: that of the virtio device with number 5."""
    return guest.run("dirname $(grep -l 0x0005 /sys/bus/virtio/devices/*/device)"
                     ).strip()


def park_little(guest: Guest) -> None:
    """Limit the per-CPU lists to about 1 MiB, as they always are before Linux 5.14: they may
    have tens of MiB of free pages, which count neither as raw nor as treated."""
    fraction = "/proc/sys/vm/percpu_pagelist_high_fraction"
    guest.run(f"[ ! -e {fraction} ] || echo 1000000 >{fraction}")
