# SPDX-License-Identifier: GPL-2.0
"""Parameters: what is allowed is taken, all else refused with a reason."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from aerator_vm import Guest

from .harness import (GUEST_KERNELS, MIB, MODULE, PARAMETERS, TREATED_KERNELS,
                      balloon_device, balloon_driver, counters, expect, expect_equal,
                      is_treated, load_aerator, make_guest, module_file, on_kernels)

_GARBAGE = ("", "x", "-1", "1x", "1 2", "4294967296", "99999999999999999999",
            "1" * 100, "0x", "%s%n")


@dataclass(frozen=True)
class Parameter:
    """Bounds of a number, or None for all values that are taken as words."""

    name: str
    low: int
    high: int

    def good(self) -> list[str]:
        return [str(self.low), str(self.high)]

    def bad(self) -> list[str]:
        return [*_GARBAGE, str(self.low - 1), str(self.high + 1)]


def _parameters(kernel: str) -> list[Parameter]:
    """Page reporting can be asked for order 0 since page_reporting_order takes
    it, which 6.1 overwrites with pageblock_order if it is 0. The patch has no such
    bounds."""
    treated = is_treated(kernel)
    return [
        Parameter("enabled", 0, 1),
        Parameter("takeover", 0, 1),
        Parameter("reactor_size", 1, 1024 if treated else 32),
        Parameter("reactors", 1, 8 if treated else 1),
        Parameter("order", 1 if kernel == "6.1" else 0, 10),
        Parameter("window_ms", 0, 60000),
        Parameter("reserve_mb", 0, 1 << 24),
        Parameter("share_pct", 0, 100),
        Parameter("rate_mb", 0, 1 << 20),
        Parameter("settle_timeout_ms", 100, 15000),
    ]


def _intakes(kernel: str) -> tuple[list[str], str]:
    """Values of the parameter, and how the log has them."""
    if is_treated(kernel):
        return ["reporting", "treated", "auto"], "auto, reporting and treated"
    return ["reporting", "auto"], "auto and reporting"


def write_to(path: str, value: str) -> str:
    """With a newline, as everyone does; sysfs passes no empty write on."""
    return f"echo {shlex.quote(value)} >{path}"


def _write(guest: Guest, name: str, value: str) -> tuple[bool, str, str]:
    """Whether it was taken, what the shell said, and what the kernel said."""
    guest.run("dmesg -c >/dev/null")
    answer = guest.execute(write_to(f"{PARAMETERS}/{name}", value))
    return answer.status == 0, answer.output.decode(), guest.dmesg()


def _check_refused(guest: Guest, name: str, value: str, allowed: str) -> None:
    before = guest.read(f"{PARAMETERS}/{name}")
    taken, said, log = _write(guest, name, value)
    what = f"{name}={value!r}"
    expect(not taken, f"{what} was taken")
    expect("Invalid argument" in said, f"{what}: not EINVAL but {said!r}")
    expect(f"aerator: {name}=" in log and allowed in log,
           f"{what}: the log does not say what is allowed: {log!r}")
    expect_equal(guest.read(f"{PARAMETERS}/{name}"), before, f"value after {what}")


def _check_taken(guest: Guest, name: str, value: str) -> None:
    taken, said, _ = _write(guest, name, value)
    expect(taken, f"{name}={value} was refused: {said}")
    expect_equal(guest.read(f"{PARAMETERS}/{name}"), value, f"{name} after writing")


def _check_at_run_time(guest: Guest, kernel: str) -> int:
    checked = 0
    for parameter in _parameters(kernel):
        start = guest.read(f"{PARAMETERS}/{parameter.name}")
        for value in parameter.bad():
            _check_refused(guest, parameter.name, value,
                           f"allowed are {parameter.low} to {parameter.high}")
        for value in [*parameter.good(), start]:
            _check_taken(guest, parameter.name, value)
        checked += len(parameter.bad()) + len(parameter.good())
    intakes, allowed = _intakes(kernel)
    unknown = [*_GARBAGE, "auto reporting", *{"treated"}.difference(intakes)]
    for value in unknown:
        _check_refused(guest, "intake", value, f"allowed are {allowed}")
    for value in intakes:
        _check_taken(guest, "intake", value)
    return checked + len(unknown) + len(intakes)


def _check_at_load(guest: Guest, kernel: str) -> int:
    """A bad value keeps the module out, and virtio_balloon where it is."""
    guest.run("rmmod aerator")
    bad = [(parameter.name, value, f"{parameter.low} to {parameter.high}")
           for parameter in _parameters(kernel) for value in parameter.bad()[-2:]]
    unknown = "treats" if is_treated(kernel) else "treated"
    for name, value, allowed in [*bad, ("intake", unknown, _intakes(kernel)[1])]:
        guest.run("dmesg -c >/dev/null")
        answer = guest.execute(f"insmod {MODULE} {name}={value}")
        expect(answer.status, f"loaded with {name}={value}")
        expect(allowed in guest.dmesg(), f"no reason for {name}={value}")
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after all that")
    return len(bad) + 1


def parameters(kernel: str) -> Iterator[str]:
    """Good values are taken and bad ones refused with a reason, at run time and at load."""
    with make_guest(kernel, "parameters") as guest:
        folder = load_aerator(guest)
        yield f"{_check_at_run_time(guest, kernel)} values written"
        for value in ("", "0", "2", "x"):
            answer = guest.execute(write_to(f"{folder}/flush", value))
            expect(b"Invalid argument" in answer.output, f"flush took {value!r}")
        guest.run(write_to(f"{folder}/flush", "1"))
        yield f"{_check_at_load(guest, kernel)} values at load"


def _check_intake(guest: Guest, folder: str, wanted: str) -> None:
    """What is freed goes to the host."""
    expect_equal(guest.read(f"{folder}/intake"), wanted, "intake")
    before = counters(guest, folder)
    guest.run("echo | memtool hold 128")
    guest.run(write_to(f"{folder}/flush", "1"), timeout=90)
    after = counters(guest, folder)
    reported = after["reported_bytes"] - before["reported_bytes"]
    # The rest is in the lists of single processors.
    expect(reported > 64 * MIB, f"{wanted}: {reported} bytes of 128 MiB went to the host")
    expect_equal(after["errors"], 0, "errors")


def intakes(kernel: str) -> Iterator[str]:
    """From one to the other at run time, also while memory comes and goes."""
    names = ("reporting", "treated", "auto")
    with make_guest(kernel, "intakes", time_limit=400) as guest:
        folder = load_aerator(guest, window_ms=100, intake="reporting")
        _check_intake(guest, folder, "reporting")
        for name in (*names, "reporting", "auto", "treated"):
            _check_taken(guest, "intake", name)
            _check_intake(guest, folder, "treated" if name == "auto" else name)
        churn = guest.start_job("memtool churn 300 50 1000")
        for number in range(30):
            guest.run(write_to(f"{PARAMETERS}/intake", names[number % len(names)]))
            guest.run("sleep 0.1")
        churn.signal("KILL")
        expect_equal(counters(guest, folder)["errors"], 0, "errors")
        _check_intake(guest, folder, "treated")
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver after rmmod")
    yield "30 changes during a churn"


_RIVAL = "/aeration_test.ko"
_RIVAL_ON = "/sys/module/aeration_test/parameters/cycling"
_BIND = "/sys/bus/virtio/drivers/aerator/bind"


def exclusion(kernel: str) -> None:
    """There is one reporter of free pages, whoever comes first."""
    files = {_RIVAL: module_file(kernel, "tests/kernel")}
    with make_guest(kernel, "exclusion", append="kunit.enable=0", files=files) as guest:
        device = balloon_device(guest).rpartition("/")[2]
        guest.run(f"insmod {_RIVAL}")
        for intake in _intakes(kernel)[0]:
            guest.run(write_to(_RIVAL_ON, "1"))
            guest.run("dmesg -c >/dev/null")
            guest.insmod(MODULE, {"intake": intake})
            expect_equal(balloon_driver(guest), None, f"driver with a rival, {intake}")
            expect("not bound: another device reports free pages already" in guest.dmesg(),
                   "no reason in the log")

            guest.run(write_to(_RIVAL_ON, "0"))
            guest.run(write_to(_BIND, device))
            expect_equal(balloon_driver(guest), "aerator", "driver without a rival")
            answer = guest.execute(write_to(_RIVAL_ON, "1"))
            expect(b"busy" in answer.output, f"the rival came in, {intake}: {answer.output!r}")
            guest.run("rmmod aerator")


CASES = [*on_kernels(parameters, (*GUEST_KERNELS, *TREATED_KERNELS)),
         *on_kernels(intakes, TREATED_KERNELS), *on_kernels(exclusion, TREATED_KERNELS)]
