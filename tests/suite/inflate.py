# SPDX-License-Identifier: GPL-2.0
"""The balloon where a guest could be hurt by it: a kernel that saves a crashed one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.cpio import append_files
from aerator_vm.guest import kernel_files

from .harness import (MIB, MODULE, expect, expect_equal, load_aerator, make_guest, module_file,
                      on_kernels, wait_until)

# The crash kernel: how much memory is set aside for it, what it boots, what it says.
_CRASH_MEMORY = "192M"
_CRASH_IMAGE = "/crash-vmlinuz"
_CRASH_ARCHIVE = "/crash-initramfs"
_CRASH_INIT = """#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo 9 >/proc/sys/kernel/printk
modprobe virtio_pci
insmod /aerator.ko
grep -s . /sys/bus/virtio/devices/*/aerator/* >/dev/kmsg
echo "crash kernel: loaded" >/dev/kmsg
sleep 8
dd if=/dev/zero of=/room bs=1M count=40 && echo "crash kernel: alive" >/dev/kmsg
exec sleep 1000
"""
# What the crash itself says, and a processor that took its time over it.
_CRASH_LINES = (r"sysrq: Trigger a crash", r"Kernel panic - not syncing: sysrq triggered crash",
                r"Call Trace:")


def _actual(guest: Guest) -> int:
    """MiB that the guest has, as its host was told."""
    return guest.qmp.execute("query-balloon")["actual"] // MIB


def _set_target(guest: Guest, mib: int) -> None:
    guest.qmp.execute("balloon", value=mib * MIB)


def _crash_files(kernel: str, folder: Path) -> dict[str, Path]:
    """The crash kernel as files of the guest: the same kernel, with another init."""
    image, initramfs = kernel_files(kernel)
    init, archive = folder / "init", folder / "archive"
    init.write_text(_CRASH_INIT)
    init.chmod(0o755)
    append_files(initramfs, archive, {"/crash-init": init, MODULE: module_file(kernel)})
    return {_CRASH_IMAGE: image, _CRASH_ARCHIVE: archive}


def _log(guest: Guest) -> str:
    return guest.serial_log.read_text(errors="replace")


def _crash(guest: Guest, target: int) -> None:
    """The host wants more than all of the crash kernel's memory."""
    load_aerator(guest)
    parameters = guest.read("/proc/cmdline").replace(f"crashkernel={_CRASH_MEMORY}", "")
    guest.run(f"crash {_CRASH_IMAGE} {_CRASH_ARCHIVE}"
              f" '{parameters.strip()} rdinit=/crash-init nr_cpus=1 reset_devices'", timeout=120)
    _set_target(guest, target)
    wait_until("the first kernel's balloon", 60, lambda: _actual(guest) == target)
    guest.send_last("echo c >/proc/sysrq-trigger")


def crash_kernel(kernel: str) -> Iterator[str]:
    """A kernel that saves the memory of a crashed one gives nothing of its own away."""
    mem, target = 1024, 640
    with tempfile.TemporaryDirectory() as folder, \
            make_guest(kernel, "crash-kernel", mem=mem, smp=1, allow=_CRASH_LINES,
                       append=f"crashkernel={_CRASH_MEMORY}",
                       files=_crash_files(kernel, Path(folder))) as guest:
        _crash(guest, target)
        wait_until("the crash kernel", 120, lambda: "crash kernel: loaded" in _log(guest))
        seen = set()
        start = time.monotonic()
        while "crash kernel: alive" not in _log(guest):
            expect(time.monotonic() - start < 120, "the crash kernel is silent")
            expect(guest.alive(), f"the crash kernel died; actual was {seen}")
            seen.add(_actual(guest))
            time.sleep(0.5)
        expect_equal(seen, {target}, "MiB that the guest has, as its host was told")
        expect_equal(_log(guest).count("bound, and left alone"), 1, "lines in the log")
        yield f"the crash kernel has its memory, the host was told of {target} MiB as before"
        guest.finish_unheard()


CASES = on_kernels(crash_kernel, ("6.12",))
