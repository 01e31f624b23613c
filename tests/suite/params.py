# SPDX-License-Identifier: GPL-2.0
"""Parameters: what is allowed is taken, all else refused with a reason."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from aerator_vm import Guest

from .harness import (MODULE, PARAMETERS, balloon_driver, expect, expect_equal,
                      load_aerator, make_guest, on_kernels)

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
    it, which 6.1 overwrites with pageblock_order if it is 0."""
    return [
        Parameter("enabled", 0, 1),
        Parameter("takeover", 0, 1),
        Parameter("reactor_size", 1, 32),
        Parameter("reactors", 1, 1),
        Parameter("order", 1 if kernel == "6.1" else 0, 10),
        Parameter("window_ms", 0, 60000),
        Parameter("reserve_mb", 0, 1 << 24),
        Parameter("rate_mb", 0, 1 << 20),
        Parameter("settle_timeout_ms", 100, 15000),
    ]


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
    for value in [*_GARBAGE, "treated", "auto reporting"]:
        _check_refused(guest, "intake", value, "allowed are auto and reporting")
    for value in ("reporting", "auto"):
        _check_taken(guest, "intake", value)
    return checked + len(_GARBAGE) + 4


def _check_at_load(guest: Guest, kernel: str) -> int:
    """A bad value keeps the module out, and virtio_balloon where it is."""
    guest.run("rmmod aerator")
    bad = [(parameter.name, value, f"{parameter.low} to {parameter.high}")
           for parameter in _parameters(kernel) for value in parameter.bad()[-2:]]
    for name, value, allowed in [*bad, ("intake", "treated", "auto and reporting")]:
        guest.run("dmesg -c >/dev/null")
        answer = guest.execute(f"insmod {MODULE} {name}={value}")
        expect(answer.status, f"loaded with {name}={value}")
        expect(allowed in guest.dmesg(), f"no reason for {name}={value}")
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after all that")
    return len(bad) + 1


def parameters(kernel: str) -> Iterator[str]:
    with make_guest(kernel, "parameters") as guest:
        folder = load_aerator(guest)
        yield f"{_check_at_run_time(guest, kernel)} values written"
        for value in ("", "0", "2", "x"):
            answer = guest.execute(write_to(f"{folder}/flush", value))
            expect(b"Invalid argument" in answer.output, f"flush took {value!r}")
        guest.run(write_to(f"{folder}/flush", "1"))
        yield f"{_check_at_load(guest, kernel)} values at load"


CASES = on_kernels(parameters)
