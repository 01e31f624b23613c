# SPDX-License-Identifier: GPL-2.0
"""Suspend to RAM and back, while memory is on its way.

Once a guest: after S3, QEMU 7.2's q35 neither sleeps again nor powers off, with
whatever driver. And not on 7.3, which does not wake up there, with virtio_balloon
or with aerator.
"""

from __future__ import annotations

from aerator_vm import Guest

from .harness import (balloon_driver, counters, expect, expect_equal,
                      load_aerator, make_guest, on_kernels)

def _sleep_and_wake(guest: Guest) -> None:
    job = guest.start_job("echo mem >/sys/power/state")
    guest.qmp.wait_event("SUSPEND", 60)
    guest.qmp.execute("system_wakeup")
    job.wait(60)


def suspend(kernel: str) -> None:
    with make_guest(kernel, "suspend", smp=1) as guest:
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


CASES = on_kernels(suspend, ("6.1", "6.12"))
