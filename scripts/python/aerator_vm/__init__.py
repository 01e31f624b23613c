# SPDX-License-Identifier: GPL-2.0
"""Test guests in QEMU: start them, run commands in them, measure them from the host.

    from aerator_vm import Guest, Sampler

    with Guest("6.1", mem=4096, balloon={"free-page-reporting": True}) as guest:
        guest.run("modprobe virtio_balloon")
        with Sampler(guest.host) as sampler:
            job = guest.start_job("memtool hold 3000")
            job.wait_for("touched")
            job.tell()
            job.wait_for("freed")

The end of the with block checks the kernel's log and powers the guest off; any
failure of the guest raises GuestFailed.
"""

from .common import CommandFailed, GuestFailed
from .guest import Guest
from .host import Sample, Sampler
from .job import Job
from .qmp import Qmp, QmpError

__all__ = ["CommandFailed", "Guest", "GuestFailed", "Job", "Qmp", "QmpError",
           "Sample", "Sampler"]
