# SPDX-License-Identifier: GPL-2.0
"""The takeover from virtio_balloon, on kernels that crash when virtio_balloon is unbound."""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm import Guest

from .harness import (MIB, MODULE, PARAMETERS, balloon_driver, expect,
                      expect_equal, load_aerator, make_guest, on_kernels, wait_until)

# Before 6.12.96. The last kernel of bookworm-backports, for which the suite still has headers.
_FAULTY = "6.12.95+deb12-cloud-amd64"
_LEFT = ("stays bound to virtio_balloon: unbinding virtio_balloon would crash this kernel: reboot,"
         " so that aerator is loaded first")
_MEM = 512


def _said(guest: Guest) -> int:
    return guest.dmesg().count(_LEFT)


def _balloon_works(guest: Guest) -> None:
    for target in (_MEM * MIB * 3 // 4, _MEM * MIB):
        guest.qmp.execute("balloon", value=target)
        wait_until(f"a balloon of {target} bytes", 60, lambda: guest.qmp.execute(
            "query-balloon")["actual"] == target)


def _is_left(guest: Guest, what: str, times: int) -> None:
    """virtio_balloon still has the device, and the log has another line with the reason."""
    wait_until(f"a line of the log after {what}", 30, lambda: _said(guest) >= times)
    expect_equal(_said(guest), times, f"lines of the log after {what}")
    expect_equal(balloon_driver(guest), "virtio_balloon", f"driver after {what}")


def _plug(guest: Guest) -> None:
    """Plug in another device: virtio_balloon gets it, as it was registered first."""
    guest.qmp.execute("device_add", driver="virtio-balloon-pci", id="plugged",
                      bus="hotport", **{"free-page-reporting": True})
    wait_until("a device that was plugged in", 60, lambda: guest.execute(
        "ls -d /sys/bus/virtio/drivers/virtio_balloon/virtio*").status == 0)


def _comes_second(kernel: str) -> None:
    """aerator leaves the device when it is plugged in, when takeover is written, and at load."""
    with make_guest(kernel, "takeover-second", mem=_MEM, balloon=None,
                    qemu_args=("-device", "pcie-root-port,id=hotport")) as guest:
        guest.run("modprobe virtio_balloon")
        guest.insmod(MODULE)
        _plug(guest)
        _is_left(guest, "device_add", 1)
        guest.run(f"echo 1 >{PARAMETERS}/takeover")
        _is_left(guest, "takeover=1", 2)
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
        guest.insmod(MODULE)
        _is_left(guest, "insmod", 3)
        _balloon_works(guest)


def _comes_first(kernel: str) -> None:
    """If aerator is loaded first it has the device, and rmmod gives it to virtio_balloon."""
    with make_guest(kernel, "takeover-first", mem=_MEM) as guest:
        guest.insmod(MODULE)
        guest.run("modprobe virtio_balloon")
        expect_equal(balloon_driver(guest), "aerator", "driver of a free device")
        _balloon_works(guest)
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
        _balloon_works(guest)


def _nothing_is_left_out(kernel: str) -> None:
    """With free page hints virtio_balloon uses all queues, and can be unbound safely."""
    with make_guest(kernel, "takeover-hint", mem=_MEM, balloon={
            "free-page-reporting": True, "free-page-hint": True, "iothread": "io"},
            qemu_args=("-object", "iothread,id=io")) as guest:
        folder = load_aerator(guest)
        _balloon_works(guest)
        expect(int(guest.read(f"{folder}/inflated_bytes")) == 0, "not deflated")
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
        expect_equal(_said(guest), 0, "lines of the log")


def takeover(kernel: str) -> Iterator[str]:
    """On a kernel that would crash when virtio_balloon is unbound, aerator does not take the
    device."""
    _comes_second(kernel)
    yield "virtio_balloon first: it keeps the device when plugged in, at takeover=1 and at insmod"
    _comes_first(kernel)
    yield "aerator first: bound, and given back"
    _nothing_is_left_out(kernel)
    yield "with free page hint: taken over, and given back"


def kept_out(kernel: str) -> None:
    """With a blacklist of virtio_balloon aerator still works; after rmmod the device has no
    driver, and the log says so."""
    with make_guest(kernel, "takeover-kept-out", mem=_MEM,
                    append="module_blacklist=virtio_balloon") as guest:
        expect(guest.execute("modprobe virtio_balloon").status, "it was not kept out")
        for _ in range(2):
            guest.insmod(MODULE)
            expect_equal(balloon_driver(guest), "aerator", "driver")
            _balloon_works(guest)
            guest.run("rmmod aerator")
            expect_equal(balloon_driver(guest), None, "driver after rmmod")
        expect_equal(guest.dmesg().count("has no driver now"), 2, "lines of the log")


CASES = [*on_kernels(takeover, (_FAULTY,), long=True), *on_kernels(kept_out, ("6.12",))]
