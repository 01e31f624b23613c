# SPDX-License-Identifier: GPL-2.0
"""The host's memory in use for a guest: figures over time, and the wait for a flat curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from aerator_vm import Guest
from aerator_vm.common import Deadline
from aerator_vm.host import HostProcess, Sample, Sampler
from aerator_vm.release import host_memory

from .figure import Figure

MIB = 1 << 20
GIB = 1 << 30

# virtio_balloon pauses for 2 s between its steps, and longer on a busy host.
_FLAT_SECONDS = 5
_FLAT_BYTES = 8 * MIB
_REST_SECONDS = 60
# Share of a guest's memory that its kernel, page structs and initramfs leave for programs.
_TOUCHABLE = 0.85


def gib_seconds(samples: Sequence[Sample],
                size: Callable[[Sample], int] = host_memory) -> float:
    """Host memory integrated over the time of the samples, GiB * s."""
    return sum((size(one) + size(next_one)) / 2 * (next_one.time - one.time)
               for one, next_one in pairwise(samples)) / GIB


def mean_gib(samples: Sequence[Sample], size: Callable[[Sample], int] = host_memory) -> float:
    return gib_seconds(samples, size) / (samples[-1].time - samples[0].time)


def mean_rss_gib(samples: Sequence[Sample]) -> float:
    """The mean RSS, as an additional figure: see cgroup.py for what RSS leaves out."""
    return mean_gib(samples, lambda sample: sample.rss)


def faults(samples: Sequence[Sample]) -> int:
    """Minor faults of QEMU from the first sample to the last."""
    return samples[-1].minor_faults - samples[0].minor_faults


def refaulted(samples: Sequence[Sample]) -> int:
    """The sum of all increases of host memory between two samples, in bytes.

    The number of faults is no measure: a fault may bring 4 KiB or 2 MiB. Memory that is
    faulted in while the same amount is dropped, between the same two samples, is missing.
    """
    return sum(max(0, host_memory(next_one) - host_memory(one))
               for one, next_one in pairwise(samples))


def figures(samples: Sequence[Sample], variant: str) -> Iterator[Figure]:
    """The host's figures over the time of the samples."""
    yield Figure(variant, "gib_seconds", gib_seconds(samples), "GiB*s")
    yield Figure(variant, "mean_gib", mean_gib(samples), "GiB")
    yield Figure(variant, "mean_rss_gib", mean_rss_gib(samples), "GiB")
    yield Figure(variant, "host_faults", faults(samples), "1")
    yield Figure(variant, "refaulted_gib", refaulted(samples) / GIB, "GiB")


def warm_up(guest: Guest, mem: int) -> None:
    """Have a guest with @mem MiB touch nearly all of it and free it, then rest.

    A guest that has run for a while has touched its memory before: the host then faults in
    only memory that was reported. The rest makes sure that no reports of the warm-up are
    under way when the measurement begins.
    """
    guest.run(f"echo | memtool hold {int(mem * _TOUCHABLE)}", timeout=180)
    wait_for_rest(guest.host)


def wait_for_rest(host: HostProcess) -> None:
    """Wait until the host's memory has not changed for a while, a minute at most."""
    deadline = Deadline(_REST_SECONDS)
    with Sampler(host, 0.1) as sampler:
        while not _flat(sampler.samples) and not deadline.passed:
            time.sleep(0.2)


def _flat(samples: Sequence[Sample]) -> bool:
    recent = [host_memory(sample) for sample in samples
              if sample.time >= samples[-1].time - _FLAT_SECONDS]
    return (bool(samples) and samples[-1].time - samples[0].time >= _FLAT_SECONDS
            and max(recent) - min(recent) <= _FLAT_BYTES)
