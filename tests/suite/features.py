# SPDX-License-Identifier: GPL-2.0
"""All combinations of the host's features: the driver works, or refuses with a reason."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from aerator_vm import Guest

from .harness import (MIB, MODULE, PAGEALLOC, balloon_device, balloon_driver, counters, expect,
                      expect_equal, load_aerator, make_guest, meminfo, on_kernels, wait_until)

_OPTIONS = ("free-page-reporting", "free-page-hint", "page-poison", "deflate-on-oom")


def _check_works(guest: Guest) -> None:
    """Memory is reported, and the module can be unloaded."""
    expect_equal(balloon_driver(guest), "aerator", "driver")
    folder = f"{balloon_device(guest)}/aerator"
    # A wrong queue may answer, too: the host must have dropped the memory. Per-CPU lists may
    # keep an eighth of the zone for a while.
    with guest.host.madvise_traced() as dropped:
        guest.run("echo | memtool hold 192")
        guest.run(f"echo 1 >{folder}/flush", timeout=90)
    expect(dropped.bytes > 100 * MIB, f"the host dropped {dropped.bytes} bytes only")
    expect_equal(counters(guest, folder)["errors"], 0, "errors")
    _check_statistics(guest)
    guest.run("rmmod aerator")
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")


_BALLOON = "/machine/peripheral/balloon"
_HELD_MIB = 192


def _told_free_mib(guest: Guest) -> float:
    """Free memory in the last statistics; QEMU shows 2^64 - 1 if it never got any."""
    stats = guest.qmp.execute("qom-get", path=_BALLOON, property="guest-stats")
    return stats["stats"]["stat-free-memory"] / MIB


def _check_statistics(guest: Guest) -> None:
    """Statistics follow the guest's free memory: those of virtio_balloon would stay the same.
    The statistics queue precedes the reporting queue."""
    guest.qmp.execute("qom-set", path=_BALLOON, value=1,
                      property="guest-stats-polling-interval")
    free = meminfo(guest, "MemFree") // 1024
    job = guest.start_job(f"memtool hold {_HELD_MIB}")
    job.wait_for("touched")
    wait_until("the host is told that less is free", 10,
               lambda: _told_free_mib(guest) < free - _HELD_MIB / 2)
    job.tell()
    job.wait_for("freed")
    wait_until("the host is told that it is free again", 10,
               lambda: free - _HELD_MIB / 2 < _told_free_mib(guest) < 2 * free)
    job.tell()
    job.wait()


def _check_refused(guest: Guest) -> None:
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
    expect("does not offer free page reporting" in guest.dmesg(), "no reason in the log")
    guest.run("rmmod aerator")


def _combination(kernel: str, switches: tuple[bool, ...], append: str = "") -> str:
    balloon: dict[str, object] = dict(zip(_OPTIONS, switches))
    # QEMU offers free page hints only with an iothread.
    iothread = ("-object", "iothread,id=hints") if balloon["free-page-hint"] else ()
    if iothread:
        balloon["iothread"] = "hints"
    name = "features-" + "".join("01"[switch] for switch in switches) + append
    with make_guest(kernel, name, balloon=balloon, smp=1, mem=512,
                    append=append, qemu_args=iothread) as guest:
        guest.run("modprobe virtio_balloon")
        guest.insmod(MODULE)
        (_check_works if switches[0] else _check_refused)(guest)
    return name


def features(kernel: str) -> Iterator[str]:
    """Each combination of the host's features works, or is refused with a reason."""
    yield _combine(kernel, itertools.product((False, True), repeat=len(_OPTIONS)))


def feature_pairs(kernel: str) -> Iterator[str]:
    """Any two of the host's features work in all four combinations of on and off."""
    yield _combine(kernel, ((False, False, False, False),
                            (True, False, False, False), (True, False, True, True),
                            (True, True, False, True), (True, True, True, False),
                            (False, True, True, True)))


def _combine(kernel: str, combinations: Iterable[tuple[bool, ...]]) -> str:
    done = [_combination(kernel, switches) for switches in combinations]
    return f"{len(done)} combinations of {', '.join(_OPTIONS)}"


def init_on_free(kernel: str) -> None:
    """With init_on_free the device is bound if the host preserves zeroed pages, and refused
    otherwise."""
    _combination(kernel, (True, False, True, False), "init_on_free=1")
    balloon = {"free-page-reporting": True, "page-poison": False}
    with make_guest(kernel, "features-unkept", balloon=balloon,
                    append="init_on_free=1") as guest:
        guest.run("modprobe virtio_balloon")
        guest.insmod(MODULE)
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
        expect("free pages are poisoned" in guest.dmesg(), "no reason in the log")


def page_poison(kernel: str) -> None:
    """With page poisoning the device is bound, and the log warns that QEMU keeps reported
    memory. Free pages keep their pattern, which the kernel checks."""
    with make_guest(kernel, "features-poison", mem=768) as guest:
        folder = load_aerator(guest, window_ms=0)
        expect("free pages are poisoned: QEMU does not discard" in guest.dmesg(),
               "no warning in the log")
        guest.run("echo | memtool hold 128")
        guest.run(f"echo 1 >{folder}/flush", timeout=90)
        expect(counters(guest, folder)["reported_bytes"] > 100 * MIB, "not reported")
        guest.run("echo | memtool hold 256")
        guest.run("rmmod aerator")
    balloon = {"free-page-reporting": True, "page-poison": False}
    with make_guest(kernel, "features-poison-unkept", mem=768, balloon=balloon) as guest:
        guest.run("modprobe virtio_balloon")
        guest.insmod(MODULE)
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
        expect("free pages are poisoned" in guest.dmesg(), "no reason in the log")


CASES = [*on_kernels(feature_pairs, ("6.12",), long=True), *on_kernels(features, long=True),
         *on_kernels(init_on_free, ("6.12",), rarely=("6.1", "7.3")),
         *on_kernels(page_poison, (PAGEALLOC,))]
