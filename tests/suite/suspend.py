# SPDX-License-Identifier: GPL-2.0
"""Suspend and resume while batches are in flight.

Each guest is suspended to RAM only once: after S3, QEMU 7.2's q35 neither suspends again nor
powers off, with any driver. 7.3 is left out: it does not resume there, neither with
virtio_balloon nor with aerator.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from aerator_vm import Guest

from .harness import (MIB, MODULE, balloon_device, balloon_driver, counters, expect,
                      expect_equal, load_aerator, make_guest, on_kernels, wait_until)

# Before 6.12.103, which moved the work of page reporting to a freezable workqueue.
_REPORTS_ON = "6.12.95+deb12-cloud-amd64"
_NIGHTS = 2
_NIGHT_SECONDS = 3
# Memory that is freed as the guest goes to sleep is due while it sleeps.
_WINDOW_MS = 1000

_TRACING = "/sys/kernel/tracing"
# What the kernel hands over, and between what no driver may be handed anything.
_PROBES = ("p:handed aerator:reporting_report", "r:asleep aerator:balloon_lifecycle_freeze",
           "p:awake aerator:balloon_lifecycle_restore")
_EVENT = re.compile(r": (handed|asleep|awake): ")


def _sleep_and_wake(guest: Guest) -> None:
    job = guest.start_job("echo mem >/sys/power/state")
    guest.qmp.wait_event("SUSPEND", 60)
    guest.qmp.execute("system_wakeup")
    job.wait(60)


def suspend(kernel: str) -> None:
    with make_guest(kernel, "suspend", smp=1, s3=True) as guest:
        folder = load_aerator(guest, window_ms=0)
        churn = guest.start_job("memtool churn 300 20 1000")
        guest.run("sleep 3")
        _sleep_and_wake(guest)
        before = counters(guest, folder)
        guest.run("sleep 4")
        after = counters(guest, folder)
        expect(after["cycles"] > before["cycles"], "no batch after waking up")
        expect_equal(after["settle_timeouts"], 0, "timeouts")
        churn.signal("KILL")
        guest.run(f"echo 1 >{folder}/flush")
        guest.run("memtool pattern 700 3", timeout=120)
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
        guest.finish(power_off=False)


def _log(guest: Guest) -> str:
    return guest.serial_log.read_text(errors="replace")


def _idle(guest: Guest) -> None:
    """Suspend to idle, and wake the guest with the power button; the agent is frozen, too."""
    entry = "suspend entry (s2idle)"
    before = _log(guest).count(entry)
    job = guest.start_job("sleep 0.3; echo freeze >/sys/power/state")
    wait_until(entry, 60, lambda: _log(guest).count(entry) > before)
    time.sleep(_NIGHT_SECONDS)
    guest.qmp.execute("system_powerdown")
    job.wait(60)


def _reach(guest: Guest, mib: int) -> None:
    guest.qmp.execute("balloon", value=mib * MIB)
    wait_until(f"a balloon of {mib} MiB", 60, lambda: guest.qmp.execute(
        "query-balloon")["actual"] == mib * MIB)


def _trace(guest: Guest) -> None:
    probes = " && ".join(f"echo '{probe}' >>kprobe_events" for probe in _PROBES)
    guest.run(f"cd {_TRACING} && {probes} && echo 1 >events/kprobes/enable")


def _check_trace(guest: Guest) -> None:
    """Of the night since the last call: no batch was handed over while the device slept."""
    events = _EVENT.findall(guest.read(f"{_TRACING}/trace"))
    guest.run(f"echo >{_TRACING}/trace")
    expect_equal((events.count("asleep"), events.count("awake")), (1, 1), "nights in the trace")
    night = events[events.index("asleep"):events.index("awake")]
    expect_equal(night.count("handed"), 0, "batches handed over while the device slept")


def reports_asleep(kernel: str) -> Iterator[str]:
    """No batch is handed to the driver while the device is suspended. Suspend deflates the
    balloon, and the freed memory is due to be reported during the suspend: if the work of page
    reporting is not freezable, it would then hand pages to a driver without virtqueues.
    """
    mem = 512
    with make_guest(kernel, "reports-asleep", mem=mem, smp=1,
                    append="no_console_suspend") as guest:
        guest.run("modprobe button")
        guest.insmod(MODULE, {"window_ms": _WINDOW_MS, "order": 1})
        folder = f"{balloon_device(guest)}/aerator"
        churn = guest.start_job("memtool churn 100 20 1000")
        _trace(guest)
        for _ in range(_NIGHTS):
            _reach(guest, mem // 2)
            before = counters(guest, folder)
            _idle(guest)
            _check_trace(guest)
            wait_until("a batch after waking up", 60, lambda: counters(
                guest, folder)["cycles"] > before["cycles"])
            _reach(guest, mem)
        expect_equal(counters(guest, folder)["settle_timeouts"], 0, "timeouts")
        churn.signal("KILL")
        guest.run("memtool pattern 300 3", timeout=120)
        yield f"asleep {_NIGHTS} times, {counters(guest, folder)['cycles']} batches"


CASES = [*on_kernels(suspend, ("6.12",), rarely=("6.1",)),
         *on_kernels(reports_asleep, (_REPORTS_ON,), long=True)]
