# SPDX-License-Identifier: GPL-2.0
"""A host stops answering: the driver resets the device, and no memory is lost.

Without bus mastering a PCI device must not access memory, and QEMU's device then does not
process its queues until it is reset. Clearing that bit, behind the kernel's back, makes
the host silent until the next reset.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from aerator_vm import Guest

from .harness import (KASAN, MIB, PARAMETERS, TREATED_KERNELS,
                      balloon_device, counters, expect, expect_equal, is_debug,
                      load_aerator, make_guest, on_kernels, wait_until)

_TIMEOUT_MS = 500
_LONG_TIMEOUT_MS = 4000
_MASTER = 4

# Memory that other programs use meanwhile.
_NOISE = 24 * MIB


def set_master(guest: Guest, on: bool) -> None:
    """Set bus mastering, and so whether the device processes its queues.

    It is bit 2 of the command register, byte 4 of the device's configuration space."""
    config = guest.run(f"readlink -f {balloon_device(guest)}/..").strip() + "/config"
    old = int(guest.run(f"od -An -tu1 -j4 -N1 {config}"))
    new = old | _MASTER if on else old & ~_MASTER
    guest.run(f"printf '\\{new:03o}' | dd of={config} bs=1 seek=4 count=1 conv=notrunc 2>&1")


def _free(guest: Guest, mib: int) -> None:
    job = guest.start_job(f"memtool hold {mib}")
    job.wait_for("touched")
    job.tell()
    job.wait_for("freed")


def _enable(guest: Guest, on: bool) -> None:
    guest.run(f"echo {on:d} >{PARAMETERS}/enabled")


def _reused(guest: Guest, folder: str) -> int:
    """Memory that was reported and used again; a stock kernel does not know."""
    found = guest.read(f"{folder}/reused_bytes")
    if guest.read(f"{folder}/intake") != "treated":
        expect_equal(found, "unknown", "reused_bytes")
        return 0
    return int(found)


def _recovers(guest: Guest, folder: str) -> Iterator[str]:
    """The driver resets the device, and memory is reported again. The batch that leads to the
    reset has to be one of the memory that is freed here, not of an earlier free."""
    _enable(guest, False)
    set_master(guest, False)
    _free(guest, 600)
    silent = guest.host.memory_current() or guest.host.rss()
    reused = _reused(guest, folder)
    _enable(guest, True)
    wait_until("a timeout", 30, lambda: counters(guest, folder)["settle_timeouts"] == 1)
    wait_until("the end of the pass", 30, lambda: guest.read(f"{folder}/stage") == "idle")
    more = _reused(guest, folder) - reused
    expect(more < _NOISE, f"{more} bytes of a batch that was not answered count as reused")
    # The memory that was in flight is free again and can be used.
    guest.run("memtool pattern 700 3", timeout=120)
    took = wait_until("memory is back", 100, lambda: (
        guest.host.memory_current() or guest.host.rss()) < silent - 500 * MIB)

    counted = counters(guest, folder)
    expect_equal(counted["settle_timeouts"], 1, "timeouts")
    expect(counted["errors"] >= 1, "no error was counted")
    expect_equal(guest.dmesg().count("did not answer within"), 1, "lines in the log")
    expect_equal(guest.dmesg().count("works again after a reset"), 1, "lines in the log")
    yield f"memory was back {took:.1f} s after the check of memory that had been in flight"


def _unloads(guest: Guest, folder: str) -> Iterator[str]:
    """rmmod while a batch is in flight waits for the host, but not for long."""
    # Otherwise virtio_balloon would get the device, and hang.
    guest.run("rmmod virtio_balloon")
    guest.run(f"echo {_LONG_TIMEOUT_MS} >{PARAMETERS}/settle_timeout_ms")
    set_master(guest, False)
    _free(guest, 300)
    wait_until("a batch at the host", 20, lambda: guest.read(f"{folder}/stage") == "settle")
    start = time.monotonic()
    guest.run("rmmod aerator", timeout=30)
    took = time.monotonic() - start
    expect(took < _LONG_TIMEOUT_MS / 1000 + 3, f"rmmod took {took:.1f} s")
    yield f"unloaded {took:.1f} s later"
    guest.run("memtool pattern 700 3", timeout=120)


def silence(kernel: str) -> Iterator[str]:
    # The checkers of a debug kernel need much memory.
    mem = 1536 if is_debug(kernel) else 1024
    with make_guest(kernel, "silence", mem=mem) as guest:
        folder = load_aerator(guest, settle_timeout_ms=_TIMEOUT_MS, window_ms=200)
        guest.run(f"echo 1 >{folder}/flush", timeout=60)
        yield from _recovers(guest, folder)
        yield from _unloads(guest, folder)


CASES = on_kernels(silence, ("6.12", *TREATED_KERNELS, KASAN), rarely=("6.1", "7.3"))
