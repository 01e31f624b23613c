# SPDX-License-Identifier: GPL-2.0
"""Waits for a host that does not answer: a lost notification costs a second, and only an
unbind waits without limit. The tests use their own device, on a kernel that reports each
task that is blocked for five seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping

from aerator_vm import Guest, Job
from aerator_vm.balloon import balloon_device

from .device import (FILES, STUBBORN, WORKS, Host, Work, check_works, device_guest, log_lines,
                     mark, prepare)
from .harness import (MODULE, PARAMETERS, balloon_driver, counters, expect, expect_equal,
                      on_kernels, wait_until)

_DRIVER = "/sys/bus/virtio/drivers/aerator"

# Longer than any silence of the host in these tests, so that no reset is due to a timeout.
_PATIENT_MS = 15000
_SILENT_MS = 1000
_DONE_SECONDS = 10
# Limit for operations that need no answer of the host; emulated guests are slow.
_SOON_SECONDS = 5

_LOST = "resetting the device; will try again"
_BACK = "the device works again after a reset"
_STUBBORN = "the device cannot be reset, and still owns its buffers"


def _begin(host: Host, work: Work, name: str) -> None:
    host.guest.run(f"echo '{mark(work, name)}' >/dev/kmsg")


def _within(seconds: float, what: str, function: Callable[[], object]) -> float:
    start = time.monotonic()
    function()
    took = time.monotonic() - start
    expect(took < seconds, f"{what} took {took:.1f} s")
    return took


# A kick is lost

def _lost_kick(host: Host, work: Work) -> None:
    """The driver recovers from a kick that the device has not seen, without a reset."""
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
    """The driver does not wait on the statistics queue: a lost kick of that queue is repaired
    when a lost kick of another queue is detected."""
    report, stats = WORKS[0], WORKS[-1]
    host.write("stats/deaf", 1)
    answered = stats.start(host)
    wait_until("the host's question is answered", _DONE_SECONDS,
               lambda: host.read("stats/deaf") == 0)
    expect(not answered(), "the device has got the statistics")
    _lost_kick(host, report)
    wait_until("statistics after a lost kick", _DONE_SECONDS, answered)


def _lost_kicks(host: Host) -> str:
    for work in WORKS[:-1]:
        _lost_kick(host, work)
    _lost_answer(host)
    folder = f"{balloon_device(host.guest)}/aerator"
    expect_equal(counters(host.guest, folder)["settle_timeouts"], 0, "timeouts")
    return f"{len(WORKS)} queues lose a kick, and no reset"


# A flush that lasts

# Small batches and a slow host: a flush of all batches takes a minute.
_SLOW_BATCH_MS = 3000
_SLOW_BATCH_BLOCKS = 8


def _flush(host: Host, folder: str) -> Job:
    """Start a flush, which waits for a slow host."""
    taken = host.grows("reporting/taken")
    job = host.guest.start_job(f"echo 1 >{folder}/flush")
    wait_until("a batch of a flush", _DONE_SECONDS, taken)
    return job


def _slow_host(host: Host) -> str:
    """Make the host slow, and all free memory raw again. Return the device's folder."""
    host.guest.run("echo | memtool hold 400")
    host.write("reporting/behaviour", "late")
    return f"{balloon_device(host.guest)}/aerator"


def _leaves(host: Host, what: str, command: str) -> str:
    """An operation on the device does not wait for a flush, and ends it."""
    folder = _slow_host(host)
    first = _flush(host, folder)
    second = host.guest.start_job(f"echo 1 >{folder}/flush")
    _within(_SOON_SECONDS, "reading beside a flush",
            lambda: host.guest.run(f"cat {folder}/* 2>/dev/null; cat {PARAMETERS}/*", check=False))
    expect(not first.ended() and not second.ended(), "a flush is over already")
    # Only the batch that is in flight has to be waited for.
    took = _within(_SLOW_BATCH_MS / 1000 + _SOON_SECONDS, f"{what} beside a flush",
                   lambda: host.guest.run(command, timeout=90))
    for job in (first, second):
        output = job.wait(_SOON_SECONDS, check=False)
        expect("temporarily unavailable" in output, f"a flush beside {what} said {output!r}")
    host.write("reporting/behaviour", "now")
    return f"{what} beside a flush: {took:.1f} s"


def _flushes(host: Host, params: Mapping[str, object]) -> Iterator[str]:
    guest = host.guest
    guest.run(f"echo {_SLOW_BATCH_MS} >/sys/module/aerator_device/parameters/late_ms;"
              f" echo {_SLOW_BATCH_BLOCKS} >{PARAMETERS}/reactor_size")
    name = balloon_device(guest).rpartition("/")[2]
    yield _leaves(host, "an unbind", f"echo {name} >{_DRIVER}/unbind")
    guest.run(f"echo {name} >{_DRIVER}/bind")
    yield _leaves(host, "an unplug", f"echo 0 >{FILES}/present")
    host.write("present", 1)
    yield _leaves(host, "rmmod", "rmmod aerator")
    guest.insmod(MODULE, params)
    check_works(host, WORKS[0])


# A device that cannot be reset

def _stick(host: Host, known: bool = True) -> Callable[[], bool]:
    """Send a batch to a device that is silent and cannot be reset."""
    report = WORKS[0]
    host.patience(_SILENT_MS)
    _begin(host, report, "stubborn")
    host.write("stubborn", STUBBORN)
    host.write("reporting/behaviour", "never")
    done = report.start(host)
    wait_until("a batch at the device", _DONE_SECONDS,
               lambda: host.read("reporting/held") > 0 or done())
    if known:
        wait_until("no reset", _DONE_SECONDS,
                   lambda: log_lines(host, report, "stubborn", _STUBBORN) > 0)
    return done


def _unstick(host: Host) -> None:
    """Let the device answer the batch, and then behave correctly."""
    # The shell starts no program meanwhile: these steps have to end before the next try of an
    # unbind to reset the device, one second later.
    host.guest.run(f"cd {FILES} && echo now >reporting/behaviour;"
                   " until read -r held <reporting/held && [ $held = 0 ]; do :; done;"
                   " echo 0 >stubborn")


def _parameters(guest: Guest) -> dict[str, str]:
    text = guest.run(f"cd {PARAMETERS} && grep . *", timeout=30)
    return dict(line.split(":", 1) for line in text.splitlines())


def _flushed(host: Host) -> Callable[[], bool]:
    folder = f"{balloon_device(host.guest)}/aerator"
    return lambda: (host.guest.read(f"{folder}/stage") == "idle"
                    and host.guest.execute(f"echo 1 >{folder}/flush").status == 0)


def _refused_settings(host: Host, folder: str) -> None:
    guest, old = host.guest, _parameters(host.guest)
    for name, value in (("reactor_size", 4), ("order", 8), ("intake", "reporting")):
        said: list[str] = []
        _within(_SOON_SECONDS, f"a write of {name}", lambda: said.append(
            guest.run(f"echo {value} >{PARAMETERS}/{name}", timeout=90, check=False)))
        expect("busy" in said[0], f"{name}={value}: {said[0]!r}")
    expect_equal(_parameters(guest), old, "parameters after writes that were refused")
    _within(_SOON_SECONDS, "writes that need no batch", lambda: guest.run(
        f"echo 0 >{PARAMETERS}/enabled && echo 1 >{PARAMETERS}/enabled &&"
        f" echo 1 >{PARAMETERS}/takeover", timeout=30))
    _within(_SOON_SECONDS, "reading", lambda: guest.run(
        f"cd {folder} && for file in *; do [ $file = flush ] || cat $file; done", timeout=30))
    output = guest.run("rmmod aerator", timeout=30, check=False)
    expect(re.search("busy|in use|unavailable", output), f"rmmod said {output!r}")


def _early_setting(host: Host) -> None:
    """A setting that is written before the reset has failed is refused in time."""
    _within(_SILENT_MS / 1000 + _DONE_SECONDS, "an early write of order", lambda: host.guest.run(
        f"! echo 8 >{PARAMETERS}/order", timeout=90))
    expect_equal(_parameters(host.guest)["order"], "9", "order after a write that was refused")


def _stubborn(host: Host) -> Iterator[str]:
    guest = host.guest
    done = _stick(host, known=False)
    _early_setting(host)
    _refused_settings(host, f"{balloon_device(guest)}/aerator")
    _unstick(host)
    wait_until("the batch is answered", _DONE_SECONDS, done)
    check_works(host, WORKS[0])
    guest.run(f"echo 8 >{PARAMETERS}/order && echo 9 >{PARAMETERS}/order", timeout=30)
    yield "silent and without a reset: settings and rmmod are refused, the rest works"

    name = balloon_device(guest).rpartition("/")[2]
    _stick(host, known=False)
    unbind = guest.start_job(f"echo {name} >{_DRIVER}/unbind")
    # Longer than the limit for blocked tasks: no other task is blocked by the unbind.
    guest.run("sleep 13")
    _within(_SOON_SECONDS, "settings beside an unbind",
            lambda: guest.run(f"echo 8 >{PARAMETERS}/order && echo 9 >{PARAMETERS}/order &&"
                              f" echo 0 >{PARAMETERS}/enabled && echo 1 >{PARAMETERS}/enabled"))
    expect(not unbind.ended(), "an unbind without an answer")
    guest.run("memtool churn 120 0 2", timeout=30)
    _unstick(host)
    unbind.wait(_DONE_SECONDS)
    expect_equal(host.read("violations"), 0, "violations")
    guest.run(f"echo {name} >{_DRIVER}/bind")
    check_works(host, WORKS[0])
    yield "an unbind waits for the answer, and holds nothing else up"

    # Unbind without a batch in flight, but with queues, and the buffer of statistics.
    wait_until("all that was freed is reported", _DONE_SECONDS, _flushed(host))
    host.write("stubborn", 1)
    guest.run(f"echo {name} >{_DRIVER}/unbind", timeout=30)
    expect_equal(host.read("stubborn"), 0, "resets yet to fail")
    expect_equal(host.read("violations"), 0, "violations of an unbind without a reset")
    guest.run(f"echo {name} >{_DRIVER}/bind")
    check_works(host, WORKS[0])
    yield "queues are left to a device that cannot be reset"


# A suspend

def _falls_asleep(host: Host) -> str:
    """A suspend has to deflate the balloon. If the device does not answer, the suspend is
    refused in time, and the balloon stays in use; if it answers, the suspend succeeds."""
    deflate = WORKS[2]
    prepare(host, deflate)
    host.patience(_SILENT_MS)
    _begin(host, deflate, "suspend")
    host.write("stubborn", STUBBORN)
    host.write("deflate/behaviour", "never")
    size = host.read("actual")
    said: list[str] = []
    # A suspend that failed is tried again, as by systemd.
    for _ in range(2):
        took = _within(_SILENT_MS / 1000 + _DONE_SECONDS, "a suspend without an answer",
                       lambda: said.append(host.guest.run(f"echo 1 >{FILES}/asleep", timeout=60,
                                                          check=False)))
        expect("busy" in said[-1], f"a suspend without an answer said {said[-1]!r}")
        expect_equal(host.read("asleep"), 0, "suspended devices")
    expect(log_lines(host, deflate, "suspend", "the guest cannot be suspended") == 2, "no line")
    host.guest.run(f"cd {FILES} && echo now >deflate/behaviour && echo 0 >stubborn")
    wait_until("the balloon is as large as the host wants it", _DONE_SECONDS,
               lambda: host.read("actual") == size)
    for work in WORKS[:3]:
        prepare(host, work)
        check_works(host, work)
    prepare(host, deflate)
    host.guest.run(f"echo 1 >{FILES}/asleep", timeout=60)
    expect_equal(host.read("in_balloon"), 0, "pages in the balloon of a suspended guest")
    host.guest.run(f"echo 0 >{FILES}/asleep", timeout=60)
    check_works(host, WORKS[0])
    return f"a suspend without an answer is refused after {took:.1f} s"


# Recovery fails again and again

_REFUSALS = 2


def _stamp(host: Host, line: str) -> float:
    """The time of the last log line with this text."""
    return float(re.findall(rf"\[ *(\d+\.\d+)\] .*{re.escape(line)}", host.guest.dmesg())[-1])


def _recovers(host: Host) -> str:
    """Failed recoveries are retried with exponential backoff, and block nothing else."""
    report = WORKS[0]
    host.patience(_SILENT_MS)
    _begin(host, report, "refuse")
    host.write("refuse", _REFUSALS)
    host.write("reporting/behaviour", "never")
    report.start(host)
    wait_until("a reset", _DONE_SECONDS, lambda: log_lines(host, report, "refuse", _LOST) > 0)
    wait_until("it was refused once", _DONE_SECONDS, lambda: host.read("refuse") < _REFUSALS)
    _within(_SOON_SECONDS, "settings while the device is down",
            lambda: host.guest.run(f"echo 8 >{PARAMETERS}/order && echo 9 >{PARAMETERS}/order"))
    wait_until("back again", 40, lambda: log_lines(host, report, "refuse", _BACK) > 0)
    check_works(host, report)
    took = _stamp(host, _BACK) - _stamp(host, _LOST)
    # 1 s, 2 s and 4 s.
    expect(6.5 < took < 15, f"back after {took:.1f} s")
    return f"{_REFUSALS} recoveries fail, the next is back {took:.1f} s after the reset"


def waits(kernel: str) -> Iterator[str]:
    params = {"settle_timeout_ms": _PATIENT_MS, "window_ms": 0}
    with device_guest(kernel, "waits") as guest:
        guest.run("echo 5 >/proc/sys/kernel/hung_task_timeout_secs")
        host = Host(guest)
        guest.insmod("/aerator_device.ko")
        guest.insmod(MODULE, params)
        expect_equal(balloon_driver(guest), "aerator", "driver")
        yield _lost_kicks(host)
        yield from _flushes(host, params)
        yield from _stubborn(host)
        yield _falls_asleep(host)
        yield _recovers(host)
        guest.run("rmmod aerator", timeout=30)
        expect_equal(host.read("violations"), 0, "violations")
        guest.run("rmmod aerator_device")


CASES = on_kernels(waits, ("6.12",), sleeps=True)
