# SPDX-License-Identifier: GPL-2.0
"""The balloon where a guest could be hurt by it: a target that cannot be reached, no
memory left, a host that is silent then, sleep, a kernel that saves a crashed one."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.cpio import append_files
from aerator_vm.guest import kernel_files

from .harness import (MIB, MODULE, PARAMETERS, balloon_device, expect, expect_equal,
                      load_aerator, make_guest, module_file, on_kernels, wait_until)
from .silence import set_master

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


# A target that cannot be reached.
_SHORT_LINE = "no memory for the balloon"
_STEPS = (3, 27)
_DISK_MODULE = "/zerodisk.ko"
_READ = "dd if=/dev/zerodisk of=/dev/null bs=64k count=1600"


def _scanned(guest: Guest) -> int:
    """Pages that were looked at to reclaim memory."""
    text = guest.read("/proc/vmstat")
    return sum(map(int, re.findall(r"^pgscan_(?:kswapd|direct) (\d+)$", text, re.M)))


def _inflated(guest: Guest, folder: str) -> int:
    return int(guest.read(f"{folder}/inflated_bytes")) // MIB


def unreachable(kernel: str) -> Iterator[str]:
    """As far as it goes, with one line, then next to nothing; further when memory is free.
    There is a cache to take, which is gone soon."""
    mem, held = 512, 200
    files = {_DISK_MODULE: module_file(kernel, "tests/disk")}
    with make_guest(kernel, "unreachable", mem=mem, files=files) as guest:
        load_aerator(guest)
        guest.insmod(_DISK_MODULE)
        job = guest.start_job(f"memtool hold {held}")
        job.wait_for("touched")
        guest.run(_READ)
        scans = [_scanned(guest)]
        _set_target(guest, 16)
        for seconds in _STEPS:
            time.sleep(seconds)
            scans.append(_scanned(guest))
        # There is next to nothing left for what is asked of the guest here.
        far = mem - _actual(guest)
        lines = _log(guest).count(_SHORT_LINE)
        job.tell()
        expect_equal(lines, 1, "lines in the log")
        took = wait_until("what was freed is inflated", 10, lambda:
                          mem - _actual(guest) > far + held * 3 // 4)
        _set_target(guest, mem)
        wait_until("no balloon", 20, lambda: _actual(guest) == mem)
        expect(scans[2] - scans[1] < (scans[1] - scans[0]) / 2,
               f"pages scanned: {scans}")
        yield (f"{far} MiB, {scans[1] - scans[0]} pages scanned in {_STEPS[0]} s,"
               f" {scans[2] - scans[1]} in {_STEPS[1]} s; {held} MiB freed were in"
               f" after {took:.1f} s")


def _eat(guest: Guest, mib: int) -> None:
    """Take so much and free it; nothing is killed for it."""
    guest.run(f"memtool --small hold {mib} </dev/null", timeout=120)


def yields(kernel: str) -> Iterator[str]:
    """A balloon that gave way stays so until there is another target, whatever else the host
    changes."""
    mem, target = 1024, 256
    balloon = {"free-page-reporting": True, "deflate-on-oom": True}
    with make_guest(kernel, "yields", mem=mem, balloon=balloon) as guest:
        load_aerator(guest)
        _set_target(guest, target)
        wait_until("a balloon", 60, lambda: _actual(guest) == target)
        _eat(guest, 500)
        left = _actual(guest)
        expect(left > target + 100, f"the balloon kept all but {left - target} MiB")
        # The same target again changes the configuration, and nothing in it.
        _set_target(guest, target)
        guest.run("sleep 3")
        expect_equal(_actual(guest), left, "MiB after a change of nothing")
        _set_target(guest, target + 2)
        wait_until("the next target", 60, lambda: _actual(guest) == target + 2)
        yield f"{target} MiB, {left} when memory was short, {target + 2} when asked for that"


def _when(guest: Guest, line: str) -> float:
    """The time of a line of the kernel's log, of which there is one: seconds."""
    times = re.findall(rf"^\[ *([\d.]+)\] .*{line}", guest.dmesg(), re.M)
    expect_equal(len(times), 1, f"lines {line!r}")
    return float(times[0])


def silent_oom(kernel: str) -> Iterator[str]:
    """A guest out of memory does not wait for as long as its host may be silent."""
    mem, target = 1024, 512
    balloon = {"free-page-reporting": True, "deflate-on-oom": True}
    with make_guest(kernel, "silent-oom", mem=mem, balloon=balloon,
                    append="pci=nomsi") as guest:
        folder = load_aerator(guest, settle_timeout_ms=15000, enabled=0)
        guest.run("rmmod virtio_balloon")
        _set_target(guest, target)
        wait_until("a balloon", 60, lambda: _actual(guest) == target)
        # Messages of interrupts need it too, the old kind does not.
        set_master(guest, False)
        # What is given back has to be told, and nothing is answered.
        _eat(guest, 600)
        took = _when(guest, "resetting the device") - _when(guest, "the balloon gives way")
        expect(took < 5, f"the host was waited for {took:.1f} s without memory")
        yield f"the host was waited for {took:.1f} s, {_inflated(guest, folder)} MiB are left"


def awake(kernel: str) -> Iterator[str]:
    """A guest that is told to sleep first gets the balloon to where the host wants it."""
    mem, target = 6144, 512
    with make_guest(kernel, "awake", mem=mem) as guest:
        folder = load_aerator(guest, enabled=0)
        wakeup = f"{balloon_device(guest)}/power/wakeup"
        guest.run(f"echo enabled >{wakeup}")
        _set_target(guest, target)
        # What is about to sleep reads this first, and waits here.
        guest.run("until grep -q . /sys/power/wakeup_count; do :; done", timeout=120)
        asleep = _inflated(guest, folder)
        expect_equal(asleep, mem - target, "MiB in the balloon when the guest could sleep")
        yield f"asleep with {asleep} MiB in the balloon"


# At a target out of reach the guest has next to nothing left, also for what a test asks of
# it: now and then the kernel kills that.
CASES = [case for function in (crash_kernel, yields, silent_oom, awake)
         for case in on_kernels(function, ("6.12",))]
CASES += on_kernels(unreachable, ("6.12",), long=True)
