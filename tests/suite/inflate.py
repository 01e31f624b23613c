# SPDX-License-Identifier: GPL-2.0
"""Situations in which a balloon could harm the guest: a target that cannot be reached, OOM,
OOM with a silent host, suspend, a crash kernel."""

from __future__ import annotations

import errno
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.cpio import append_files
from aerator_vm.guest import kernel_files

from .harness import (MIB, MODULE, balloon_device, expect, expect_equal,
                      load_aerator, make_guest, module_file, on_kernels, wait_until)
from .silence import set_master

# The crash kernel: its reserved memory, its init.
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
# Log lines of the crash itself, and of a processor that was slow to stop.
_CRASH_LINES = (r"sysrq: Trigger a crash", r"Kernel panic - not syncing: sysrq triggered crash",
                r"Call Trace:")


def _actual(guest: Guest) -> int:
    """MiB of the guest, as the host computes them from the balloon's size."""
    return guest.qmp.execute("query-balloon")["actual"] // MIB


def _set_target(guest: Guest, mib: int) -> None:
    guest.qmp.execute("balloon", value=mib * MIB)


def _crash_files(kernel: str, folder: Path) -> dict[str, Path]:
    """The files of the crash kernel: the same kernel as the guest's, with another init."""
    image, initramfs = kernel_files(kernel, packed=True)
    init, archive = folder / "init", folder / "archive"
    init.write_text(_CRASH_INIT)
    init.chmod(0o755)
    append_files(initramfs, archive, {"/crash-init": init, MODULE: module_file(kernel)})
    return {_CRASH_IMAGE: image, _CRASH_ARCHIVE: archive}


def _log(guest: Guest) -> str:
    return guest.serial_log.read_text(errors="replace")


def _crash(guest: Guest, target: int) -> None:
    """Crash the guest, while the host's target is larger than the crash kernel's memory."""
    load_aerator(guest)
    parameters = guest.read("/proc/cmdline").replace(f"crashkernel={_CRASH_MEMORY}", "")
    guest.run(f"crash {_CRASH_IMAGE} {_CRASH_ARCHIVE}"
              f" '{parameters.strip()} rdinit=/crash-init nr_cpus=1 reset_devices'", timeout=120)
    _set_target(guest, target)
    wait_until("the first kernel's balloon", 60, lambda: _actual(guest) == target)
    guest.send_last("echo c >/proc/sysrq-trigger")


def crash_kernel(kernel: str) -> Iterator[str]:
    """A crash kernel (kdump) does not inflate the balloon, and reports nothing."""
    mem, target = 1024, 640
    with tempfile.TemporaryDirectory() as folder, \
            make_guest(kernel, "crash-kernel", mem=mem, smp=1, allow=_CRASH_LINES,
                       append=f"crashkernel={_CRASH_MEMORY}",
                       files=_crash_files(kernel, Path(folder))) as guest:
        _crash(guest, target)
        wait_until("the crash kernel", 120, lambda: "crash kernel: loaded" in _log(guest))
        seen: set[int] = set()
        start = time.monotonic()
        while "crash kernel: alive" not in _log(guest):
            expect(time.monotonic() - start < 120, "the crash kernel is silent")
            expect(guest.alive(), f"the crash kernel died; actual was {seen}")
            seen.add(_actual(guest))
            time.sleep(0.5)
        expect_equal(seen, {target}, "MiB of the guest, as the host computes them")
        expect_equal(_log(guest).count("bound without queues"), 1, "lines in the log")
        yield f"the crash kernel has its memory; for the host the guest still has {target} MiB"
        guest.finish_unheard()


# A target that cannot be reached. The guest then has next to no memory, and any program could
# be killed: so no command is run until the target has changed.
_SHORT_LINE = "no memory to inflate the balloon"
_STEADY_SECONDS = 8
# The time between tries without backoff, ms.
_RETRY_MS = 200
_GROWN = "grown aerator:balloon_inflate_grow ret=$retval:s32"
_TRACING = "/sys/kernel/tracing"
_PORT = "/dev/ttyS1"


def _inflated(guest: Guest, folder: str) -> int:
    return int(guest.read(f"{folder}/inflated_bytes")) // MIB


def _second_port(path: str) -> tuple[str, ...]:
    """Arguments for a second serial port that is connected to a socket. Input from it needs no
    memory of the guest."""
    return ("-chardev", f"socket,id=port,path={path},server=on,wait=off",
            "-device", "isa-serial,chardev=port,index=1")


def _steady(guest: Guest) -> int:
    """MiB of the guest, once they do not change any more."""
    actual, since = _actual(guest), time.monotonic()
    while time.monotonic() < since + _STEADY_SECONDS:
        time.sleep(0.5)
        if _actual(guest) != actual:
            actual, since = _actual(guest), time.monotonic()
    return actual


def _trace_growing(guest: Guest) -> None:
    guest.run(f"cd {_TRACING} && echo 'r:{_GROWN}' >kprobe_events &&"
              f" echo 'ret==-{errno.ENOMEM}' >events/kprobes/grown/filter &&"
              " echo 1 >events/kprobes/grown/enable")


def unreachable(kernel: str) -> Iterator[str]:
    """A target that cannot be reached is approached as far as possible, with one log line and
    backoff between tries; when memory is freed, the balloon grows further."""
    mem, held = 512, 200
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as port, \
            make_guest(kernel, "unreachable", mem=mem,
                       qemu_args=_second_port(f"{folder}/port")) as guest:
        port.connect(f"{folder}/port")
        load_aerator(guest)
        _trace_growing(guest)
        job = guest.start_job(f"exec memtool hold {held} <{_PORT}")
        job.wait_for("touched")
        _set_target(guest, 16)
        short = _steady(guest)
        port.sendall(b"\n")
        took = wait_until("freed memory is inflated", 30,
                          lambda: _actual(guest) < short - held * 3 // 4)
        _set_target(guest, mem)
        wait_until("no balloon", 60, lambda: _actual(guest) == mem)
        tries = guest.read(f"{_TRACING}/trace").count(" grown: ")
        expect(tries > 1, "the target was within reach")
        expect(tries < _STEADY_SECONDS * 1000 / _RETRY_MS / 3,
               f"{tries} tries fell short, in {_STEADY_SECONDS} s mostly")
        expect_equal(_log(guest).count(_SHORT_LINE), 1, "lines in the log")
        yield (f"{mem - short} of {mem - 16} MiB, {tries} tries fell short; {held} MiB that"
               f" were freed were in after {took:.1f} s")


def _eat(guest: Guest, mib: int) -> None:
    """Allocate this much memory and free it; no program may be killed."""
    guest.run(f"memtool --small hold {mib} </dev/null", timeout=120)


def yields(kernel: str) -> Iterator[str]:
    """A balloon that was deflated on OOM stays small until the host sets another target, even
    if another part of the configuration changes."""
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
    """The time of the only line of the kernel's log that matches, in seconds."""
    times = re.findall(rf"^\[ *([\d.]+)\] .*{line}", guest.dmesg(), re.M)
    expect_equal(len(times), 1, f"lines {line!r}")
    return float(times[0])


def silent_oom(kernel: str) -> Iterator[str]:
    """A guest that is out of memory does not wait for the whole settle_timeout_ms."""
    mem, target = 1024, 512
    balloon = {"free-page-reporting": True, "deflate-on-oom": True}
    with make_guest(kernel, "silent-oom", mem=mem, balloon=balloon,
                    append="pci=nomsi") as guest:
        folder = load_aerator(guest, settle_timeout_ms=15000, enabled=0)
        guest.run("rmmod virtio_balloon")
        _set_target(guest, target)
        wait_until("a balloon", 60, lambda: _actual(guest) == target)
        # MSI needs bus mastering, too; legacy interrupts do not.
        set_master(guest, False)
        # The driver has to tell the host of deflated pages, and the host does not answer.
        # More than is free when the device comes back a second later: no moment of its
        # start is without a balloon that gives way.
        _eat(guest, 800)
        took = _when(guest, "resetting the device") - _when(guest, "the balloon deflates")
        expect(took < 5, f"the guest waited {took:.1f} s for its host without memory")
        yield f"the guest waited {took:.1f} s, {_inflated(guest, folder)} MiB are left"


def awake(kernel: str) -> Iterator[str]:
    """A guest that is about to suspend stays awake until its balloon has reached the target."""
    mem, target = 6144, 512
    with make_guest(kernel, "awake", mem=mem) as guest:
        folder = load_aerator(guest, enabled=0)
        wakeup = f"{balloon_device(guest)}/power/wakeup"
        guest.run(f"echo enabled >{wakeup}")
        _set_target(guest, target)
        # A program that suspends the guest reads this file first; the read waits.
        guest.run("until grep -q . /sys/power/wakeup_count; do :; done", timeout=120)
        asleep = _inflated(guest, folder)
        expect_equal(asleep, mem - target, "MiB in the balloon when the guest could sleep")
        yield f"asleep with {asleep} MiB in the balloon"


CASES = [case for function in (crash_kernel, unreachable, yields, silent_oom, awake)
         for case in on_kernels(function, ("6.12",))]
