# SPDX-License-Identifier: GPL-2.0
"""Measures how soon a host gets freed guest memory back, with a given driver.

    from aerator_vm.release import measure_release

    release = measure_release("6.1", "aerator")
    print(release.seconds_to(0.99), release.held_bytes, release.stayed_bytes)
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .common import BUILD, Deadline
from .driver import MODULE, bind
from .guest import Guest
from .host import HostProcess, Sample, Sampler

DRIVERS = ("aerator", "virtio_balloon")

_MIB = 1 << 20
_FILL_SECONDS = 180
# Time between the last touch and the free, so that "held" is read from a flat curve.
_HOLD_SECONDS = 1
# The curve is at rest when it has changed by no more than this for several seconds:
# virtio_balloon pauses for 2 s between its steps, and longer on a busy host.
_FLAT_BYTES = 8 * _MIB
_FLAT_SECONDS = 5
_LOOK_SECONDS = 0.2


class NotReturned(Exception):
    """The host did not get the memory back, or the curve still fell at the time limit.

    release     the measurement until then
    """

    release: Release


class Phase(enum.Enum):
    FILL = "fill"  # the guest touches its memory
    FREE = "free"  # the guest was told to free it, and the host has got nothing back yet
    BACK = "back"  # the host gets it back


def host_memory(sample: Sample) -> int:
    """Host memory in bytes: that of the cgroup, or QEMU's RSS where there is no cgroup."""
    return sample.rss if sample.memory_current is None else sample.memory_current


def _last_before(samples: Sequence[Sample], at: float) -> Sample:
    return [sample for sample in samples if sample.time <= at][-1]


class Recording:
    """A measurement under way: samples are added while its with block runs."""

    def __init__(self, host: HostProcess) -> None:
        self._sampler = Sampler(host)
        self._began_at = time.monotonic()
        self._freed_at: float | None = None
        self._held_bytes = 0

    def __enter__(self) -> Recording:
        self._sampler.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._sampler.stop()

    @property
    def samples(self) -> Sequence[Sample]:
        return self._sampler.samples

    @property
    def memory(self) -> int:
        """Bytes that the host had in use for the guest at the last sample."""
        return host_memory(self.samples[-1]) if self.samples else 0

    @property
    def phase(self) -> Phase:
        if self._freed_at is None:
            return Phase.FILL
        if self._held_bytes - self.memory <= _FLAT_BYTES:
            return Phase.FREE
        return Phase.BACK

    @property
    def seconds(self) -> float:
        """Seconds since the free, or before the free since the beginning."""
        since = self._began_at if self._freed_at is None else self._freed_at
        return time.monotonic() - since

    def mark_free(self, at: float | None = None) -> float:
        """Set the time of the free: now, just before the guest is told to free, or @at if
        the guest freed by itself. Returns the time."""
        self._freed_at = time.monotonic() if at is None else at
        self._held_bytes = host_memory(_last_before(self.samples, self._freed_at))
        return self._freed_at

    def at_rest(self, freed_bytes: int) -> bool:
        """Whether the curve has been flat for long enough. Before half of the freed memory is
        back this is false, as the curve is also flat before a driver begins."""
        if self._held_bytes - self.memory < freed_bytes / 2:
            return False
        since = self.samples[-1].time - _FLAT_SECONDS
        recent = [host_memory(sample) for sample in self.samples
                  if sample.time >= since]
        return max(recent) - min(recent) <= _FLAT_BYTES


# Called with the recording at its start; its with block lasts as long as the recording.
Watch = Callable[[Recording], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True)
class Release:
    """One measurement. Times count from just before the guest is told to free, and so
    include the time that the free itself takes."""

    driver: str
    guest_kernel: str  # uname -r
    freed_at: float  # time.monotonic()
    samples: Sequence[Sample]
    ended: bool = True  # False: the curve was not at rest at the time limit

    @property
    def by_cgroup(self) -> bool:
        """Whether host memory is that of a cgroup; otherwise it is QEMU's RSS."""
        return self.samples[0].memory_current is not None

    @property
    def held(self) -> Sample:
        """The sample just before the free."""
        return _last_before(self.samples, self.freed_at)

    @property
    def held_bytes(self) -> int:
        """Host memory just before the free."""
        return host_memory(self.held)

    @property
    def stayed_bytes(self) -> int:
        """Host memory at the end."""
        return host_memory(self.samples[-1])

    def seconds_to(self, share: float) -> float:
        """Seconds until this share of the memory that came back in the end was back; inf if
        the curve did not come to rest."""
        if not self.ended:
            return math.inf
        return self.seconds_to_bytes(share * (self.held_bytes - self.stayed_bytes))

    def seconds_to_bytes(self, wanted: float) -> float:
        """Seconds until this many bytes were back; inf if they never were."""
        goal = self.held_bytes - wanted
        return next((sample.time - self.freed_at for sample in self.samples
                     if sample.time > self.freed_at and host_memory(sample) <= goal), math.inf)


def measure_release(kernel: str, driver: str, *, mib: int = 3000, mem: int = 4096,
                    module: Path | None = None,
                    params: Mapping[str, object] | None = None,
                    ceiling: float = 40,
                    watch: Watch = contextlib.nullcontext,
                    files: Mapping[str, Path | str] | None = None,
                    after: Callable[[Guest], object] | None = None) -> Release:
    """Boot a guest, let it touch and free memory, record the host memory meanwhile.

    kernel   as for Guest
    driver   one of DRIVERS
    mib      MiB that the guest touches and frees
    mem      MiB of the guest
    module   aerator.ko; default: the one that scripts/module built for kernel
    params   parameters of aerator.ko
    ceiling  seconds after the free until the curve must be flat, or NotReturned
    watch    shows the recording while it is made
    files    more files of the guest, as for Guest
    after    called with the guest at the end
    """
    if driver not in DRIVERS:
        raise ValueError(f"no driver {driver!r}: one of {', '.join(DRIVERS)}")
    all_files = dict(files or {})
    if driver == "aerator":
        all_files[MODULE] = module or BUILD / kernel / "aerator.ko"
    with Guest(kernel, mem=mem, balloon={"free-page-reporting": True},
               files=all_files) as guest:
        bind(guest, driver, params)
        release = record_release(guest, driver, mib=mib, ceiling=ceiling, watch=watch)
        if after:
            after(guest)
        return release


def record_release(guest: Guest, driver: str, *, mib: int, ceiling: float = 40,
                   watch: Watch = contextlib.nullcontext) -> Release:
    """The same in a running guest in which the driver is bound."""
    guest_kernel = guest.run("uname -r").strip()
    recording = Recording(guest.host)
    with recording, watch(recording):
        job = guest.start_job(f"memtool hold {mib}")
        job.wait_for("touched", _FILL_SECONDS)
        time.sleep(_HOLD_SECONDS)
        release = Release(driver, guest_kernel, recording.mark_free(), recording.samples)
        job.tell()
        try:
            await_return(guest, recording, driver, mib, ceiling)
        except NotReturned as failure:
            failure.release = dataclasses.replace(release, ended=False)
            raise
    return release


def await_return(guest: Guest, recording: Recording, driver: str, mib: int,
                 ceiling: float) -> None:
    """Wait until the freed memory is back and the curve is flat, or raise NotReturned."""
    deadline = Deadline(ceiling)
    while not recording.at_rest(mib * _MIB):
        if deadline.passed or not guest.alive():
            guest.run("true")  # if the guest has died, this fails with the end of its log
            raise NotReturned(
                f"{ceiling:g} s after a free of {mib} MiB, {driver} has not come"
                f" to rest, and the host has {recording.memory // _MIB} MiB in use")
        time.sleep(_LOOK_SECONDS)
