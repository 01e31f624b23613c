# SPDX-License-Identifier: GPL-2.0
"""How long a host that does not answer holds anything up: for a lost notification a
second. With the test's own device, on a kernel that says so of each task that hangs for
five seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm.balloon import balloon_device

from .device import WORKS, Host, Work, check_works, device_guest, log_lines, mark, prepare
from .harness import (MODULE, balloon_driver, counters, expect, expect_equal,
                      on_kernels, wait_until)

# No host of these tests is silent for so long: it would be the driver that gave up.
_PATIENT_MS = 15000
_DONE_SECONDS = 10

_LOST = "resetting the device; will try again"


def _begin(host: Host, work: Work, name: str) -> None:
    host.guest.run(f"echo '{mark(work, name)}' >/dev/kmsg")


# A kick is lost

def _lost_kick(host: Host, work: Work) -> None:
    """The device does not hear of what is put on the queue."""
    prepare(host, work)
    _begin(host, work, "deaf")
    host.write(f"{work.queue}/deaf", 1)
    wait_until(f"{work.queue} after a lost kick", _DONE_SECONDS, work.start(host))
    expect_equal(host.read(f"{work.queue}/deaf"), 0, f"kicks yet to be lost, {work.queue}")
    host.well()
    check_works(host, work)
    for line in (_LOST, "did not answer"):
        expect_equal(log_lines(host, work, "deaf", line), 0, f"lines {line!r}, {work.queue}")


def _lost_answer(host: Host) -> None:
    """Nothing waits for the statistics. But a device that did not hear of a batch may
    not have heard of them either."""
    report, stats = WORKS[0], WORKS[-1]
    host.write("stats/deaf", 1)
    answered = stats.start(host)
    wait_until("the host's question is answered", _DONE_SECONDS,
               lambda: host.read("stats/deaf") == 0)
    expect(not answered(), "the device heard of the statistics")
    _lost_kick(host, report)
    wait_until("statistics after a lost kick", _DONE_SECONDS, answered)


def _lost_kicks(host: Host) -> str:
    for work in WORKS[:-1]:
        _lost_kick(host, work)
    _lost_answer(host)
    folder = f"{balloon_device(host.guest)}/aerator"
    expect_equal(counters(host.guest, folder)["settle_timeouts"], 0, "timeouts")
    return f"{len(WORKS)} queues lose a kick, and no reset"


def waits(kernel: str) -> Iterator[str]:
    params = {"settle_timeout_ms": _PATIENT_MS, "window_ms": 0}
    with device_guest(kernel, "waits") as guest:
        guest.run("echo 5 >/proc/sys/kernel/hung_task_timeout_secs")
        host = Host(guest)
        guest.insmod("/aerator_device.ko")
        guest.insmod(MODULE, params)
        expect_equal(balloon_driver(guest), "aerator", "driver")
        yield _lost_kicks(host)
        guest.run("rmmod aerator", timeout=30)
        expect_equal(host.read("violations"), 0, "violations")
        guest.run("rmmod aerator_device")


CASES = on_kernels(waits, ("6.12",))
