# SPDX-License-Identifier: GPL-2.0
"""Hosts that drop reported memory, and hosts that keep it: the guest finds out which, and
inflating returns huge pages to a host that uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.host import Sampler

from .harness import MIB, PARAMETERS, expect, expect_equal, load_aerator, make_guest, on_kernels, \
    wait_until

_HUGE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
_HUGE_MIB = 2
_MEM = 1024
_TARGET = 512
# The memory of one batch of the balloon, and noise of the guest and its QEMU.
_BATCH_MIB = 16
_NOISE_MIB = 40

_KEEPS_REPORTS = "and keeps the memory"
_KEEPS_BALLOON = "the host keeps the memory of inflated pages"


def _huge(name: str) -> int:
    return int((_HUGE / name).read_text())


def _huge_in_use() -> int:
    """MiB of the host's huge pages in use."""
    return (_huge("nr_hugepages") - _huge("free_hugepages")) * _HUGE_MIB


@contextlib.contextmanager
def _huge_pages(mib: int) -> Iterator[bool]:
    """Let the host reserve huge pages; yields False if it has not enough memory."""
    before = _huge("nr_hugepages")
    wanted = before + mib // _HUGE_MIB
    try:
        with contextlib.suppress(OSError):
            (_HUGE / "nr_hugepages").write_text(str(wanted))
        yield _huge("nr_hugepages") == wanted
    finally:
        with contextlib.suppress(OSError):
            (_HUGE / "nr_hugepages").write_text(str(before))


def _discards(guest: Guest, folder: str, wanted: str) -> None:
    """host_discards and the log are as expected, once memory has been reported."""
    guest.run(f"echo 1 >{folder}/flush", timeout=60)
    expect_equal(guest.read(f"{folder}/host_discards"), wanted, "host_discards")
    expect_equal(guest.dmesg().count(_KEEPS_REPORTS), int(wanted == "no"), "lines in the log")


def _set_balloon(guest: Guest, mib: int) -> None:
    guest.qmp.execute("balloon", value=mib * MIB)
    wait_until(f"a guest of {mib} MiB", 60,
               lambda: guest.qmp.execute("query-balloon")["actual"] == mib * MIB)


def _inflate_huge(guest: Guest, folder: str) -> str:
    """Inflating takes no reported memory from the host again, and returns memory that was not
    reported."""
    idle = _huge_in_use()
    _set_balloon(guest, _TARGET)
    inflated = _huge_in_use()
    expect(inflated <= idle + _BATCH_MIB, f"{idle} MiB in huge pages before, {inflated} with a"
           f" balloon of {_MEM - _TARGET} MiB")
    _set_balloon(guest, _MEM)
    guest.run(f"echo 0 >{PARAMETERS}/enabled; memtool --small hold 640 <&-")
    raw = _huge_in_use()
    _set_balloon(guest, _TARGET)
    left = _huge_in_use()
    expect(left < raw - 300, f"{raw} MiB in huge pages, {left} with a balloon of"
           f" {_MEM - _TARGET} MiB")
    _set_balloon(guest, _MEM)
    guest.run(f"echo 1 >{PARAMETERS}/enabled")
    return f"huge pages: {idle} MiB, inflated {inflated}; raw {raw}, inflated {left}"


def huge_host(kernel: str) -> Iterator[str]:
    """Reports and the balloon return memory to a host that backs the guest with huge pages."""
    with _huge_pages(_MEM) as given:
        if not given:
            yield f"SKIPPED: the host has no {_MEM} MiB in huge pages"
            return
        with make_guest(kernel, "huge-host", mem=_MEM, qemu_args=(
                "-object", f"memory-backend-memfd,id=huge,hugetlb=on,share=on,size={_MEM}M",
                "-machine", "memory-backend=huge")) as guest:
            folder = load_aerator(guest)
            _discards(guest, folder, "yes")
            yield _inflate_huge(guest, folder)
            expect_equal(guest.dmesg().count(_KEEPS_BALLOON), 0, "lines in the log")
            guest.run(f"echo 4 >{PARAMETERS}/order; echo | memtool hold 64", timeout=120)
            _discards(guest, folder, "no")


def _peak(guest: Guest) -> str:
    """Inflating reported memory makes the host's memory grow by no more than one batch."""
    before = guest.host.sample()
    with Sampler(guest.host) as sampler:
        _set_balloon(guest, _TARGET)
    if before.memory_current is None:
        return "no cgroup here: memory at the peak was not measured"
    most = max(sample.memory_current or 0 for sample in sampler.samples)
    peak = most - before.memory_current
    expect(peak < (_BATCH_MIB + _NOISE_MIB) * MIB,
           f"{peak // MIB} MiB more than before while inflating")
    return f"{peak // MIB} MiB more than before, at the peak of inflating {_MEM - _TARGET} MiB"


def plain_host(kernel: str) -> Iterator[str]:
    """On a host with small pages, reported memory is dropped, and inflating takes none of it
    back."""
    with make_guest(kernel, "plain-host", mem=_MEM) as guest:
        folder = load_aerator(guest)
        _discards(guest, folder, "yes")
        yield _peak(guest)
        expect_equal(guest.dmesg().count(_KEEPS_BALLOON), 0, "lines in the log")


def locked_host(kernel: str) -> None:
    """A host with locked memory, which keeps reported memory, is detected."""
    with make_guest(kernel, "locked-host", mem=512,
                    qemu_args=("-overcommit", "mem-lock=on")) as guest:
        folder = load_aerator(guest)
        _discards(guest, folder, "no")
        for mib in (384, 512, 384):
            _set_balloon(guest, mib)
        expect_equal(guest.dmesg().count(_KEEPS_BALLOON), 1, "lines in the log")


CASES = [*on_kernels(plain_host, ("6.12",)), *on_kernels(huge_host, ("6.12",)),
         *on_kernels(locked_host, ("6.12",))]
