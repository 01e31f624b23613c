# SPDX-License-Identifier: GPL-2.0
"""arm64: aerator in guests whose pages are of 4 and 16 KiB."""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm import Guest

from .harness import (MIB, counters, expect, expect_equal, load_aerator, make_guest,
                      mmio_balloon, on_kernels, wait_until)
from .portable import (MEM, UNIT_BYTES, actual, check_all, check_flush, check_statistics,
                       check_takeover, check_target, page_bytes, release)

_BOOT_SECONDS = 240


def arm64(kernel: str) -> Iterator[str]:
    """A guest of arm64 gets its free memory back to the host in blocks of 2 MiB, and its
    balloon works, whatever the size of its pages."""
    yield from check_all(kernel, "arm64")


_CLOCK = "/sys/class/rtc/rtc0"


def _check_suspend(guest: Guest, folder: str, page: int) -> None:
    """A suspend to idle, which the clock ends, leaves the features as they were; afterwards the
    balloon reaches its target, and memory is reported."""
    inflated = 64 * MIB + UNIT_BYTES
    check_target(guest, inflated, page)
    features = guest.read(f"{folder}/../features")
    job = guest.start_job(f"sleep 1; echo +4 >{_CLOCK}/wakealarm; echo freeze >/sys/power/state")
    job.wait(120)
    expect("PM: suspend exit" in guest.dmesg(), "the guest did not suspend")
    expect_equal(guest.read(f"{folder}/../features"), features, "features after the suspend")
    wait_until("the balloon after the suspend", 120, lambda: (
        MEM * MIB - actual(guest) == -(-inflated // page) * page))
    check_target(guest, 0, page)


def mmio(kernel: str) -> Iterator[str]:
    """On virtio-mmio, with modern and with legacy registers, freed memory comes back, the
    balloon works, and the device survives takeover, unload and suspend."""
    for registers, legacy in ("modern", "off"), ("legacy", "on"):
        with make_guest(kernel, f"arm64-mmio-{registers}", mem=MEM, smp=2, time_limit=900,
                        boot_limit=_BOOT_SECONDS, balloon=None,
                        qemu_args=mmio_balloon(legacy)) as guest:
            page = page_bytes(guest)
            guest.run("modprobe virtio_mmio")
            folder = load_aerator(guest)
            expect("virtio_mmio" in guest.run(f"realpath {folder}"), "it is not virtio-mmio")
            back = release(guest)
            yield f"{registers}: {back}"
            expect(back.share > 0.8, "less than 80 % came back")
            check_takeover(guest, page)
            _check_suspend(guest, folder, page)
            yield f"{registers}, after a suspend: {check_flush(guest, folder)}"
            check_statistics(guest)


# Inflated and deflated in turn while programs use what is left.
_MOVED_MIB = 512
_MOVES = 4


def parallel(kernel: str) -> Iterator[str]:
    """Processors that run at the same time find their memory unchanged while free memory is
    reported at once and the balloon moves. The host of the test orders memory accesses more
    strictly than arm64 does: it shows races, but no missing barrier."""
    with make_guest(kernel, "arm64-parallel", mem=MEM, smp=2, tcg_thread="multi",
                    time_limit=900, boot_limit=_BOOT_SECONDS) as guest:
        folder = load_aerator(guest, window_ms=0)
        jobs = [guest.start_job("memtool pattern 512 40"),
                guest.start_job("memtool churn 256 50 100")]
        for move in range(_MOVES):
            target = MEM - (0 if move % 2 else _MOVED_MIB)
            guest.qmp.execute("balloon", value=target * MIB)
            wait_until(f"a balloon of {target} MiB", 120,
                       lambda: actual(guest) == target * MIB)
        for job in jobs:
            job.wait(300)
        found = counters(guest, folder)
        expect_equal((found["errors"], found["settle_timeouts"]), (0, 0), "errors, timeouts")
        reported = found["reported_bytes"] // MIB
        expect(reported > 1000, f"only {reported} MiB were reported meanwhile")
        yield f"{reported} MiB reported, and {_MOVES} moves of the balloon by {_MOVED_MIB} MiB"
        check_takeover(guest, page_bytes(guest))


CASES = [*on_kernels(arm64, ("6.12-arm64", "6.12-arm64-16k", "7.3-arm64"), long=True, cores=1),
         *on_kernels(mmio, ("6.12-arm64",), long=True),
         *on_kernels(parallel, ("6.12-arm64",), long=True)]
