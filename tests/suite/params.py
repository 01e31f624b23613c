# SPDX-License-Identifier: GPL-2.0
"""Parameters: allowed values are taken, all others refused with a reason."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aerator_vm import Guest

from .harness import (MIB, MODULE, PARAMETERS, TREATED_KERNELS,
                      balloon_device, balloon_driver, counters, expect, expect_equal,
                      is_treated, load_aerator, make_guest, module_file, on_kernels)

_GARBAGE = ("", "x", "-1", "1x", "1 2", "4294967296", "99999999999999999999",
            "1" * 100, "0x", "%s%n")


@dataclass(frozen=True)
class Parameter:
    """The bounds of a number; None if the parameter takes words."""

    name: str
    low: int
    high: int

    def good(self) -> list[str]:
        return [str(self.low), str(self.high)]

    def bad(self) -> list[str]:
        return [*_GARBAGE, str(self.low - 1), str(self.high + 1)]


def _parameters(kernel: str) -> list[Parameter]:
    """The parameters and their bounds on this kernel. Order 0 is possible where
    page_reporting_order accepts it: 6.1 replaces 0 by pageblock_order. With the patch all
    orders are possible."""
    treated = is_treated(kernel)
    return [
        Parameter("enabled", 0, 1),
        Parameter("takeover", 0, 1),
        Parameter("reactor_size", 1, 1024 if treated else 32),
        Parameter("reactors", 1, 8 if treated else 1),
        Parameter("order", 1 if kernel == "6.1" else 0, 10),
        Parameter("window_ms", 0, 60000),  # and auto, the default
        Parameter("refault_ms", 0, 60000),
        Parameter("reserve_mb", 0, 1 << 24),
        Parameter("share_pct", 0, 100),
        Parameter("rate_mb", 0, 1 << 20),
        Parameter("settle_timeout_ms", 100, 15000),
    ]


def _intakes(kernel: str) -> tuple[list[str], str]:
    """The values of the parameter "intake", and their list in the log."""
    if is_treated(kernel):
        return ["reporting", "treated", "auto"], "auto, reporting and treated"
    return ["reporting", "auto"], "auto and reporting"


def write_to(path: str, value: str) -> str:
    """A shell command that writes a value, with a newline: sysfs ignores empty writes."""
    return f"echo {shlex.quote(value)} >{path}"


# One loop in the guest, without starting programs: a request for each value, or a program for
# each file, would take an emulated guest minutes. A mark in the kernel's log precedes the
# messages of each value.
_NEXT = "aerator-test: next"
_EACH = """
echo on >/proc/sys/kernel/printk_devkmsg
dmesg -c >/dev/null
for value in {values}; do
	echo "{next}" >/dev/kmsg
	echo "{next}"
	{try_one}
done
echo "{next}"
dmesg
"""
_WRITE = """
	read -r before <{path}
	echo "$before"
	echo "$value" >{path} && echo taken || echo refused
	read -r after <{path}
	echo "$after"
"""
_LOAD = """
	if insmod {module} $value; then echo loaded; rmmod aerator; else echo refused; fi
"""
_EACH_SECONDS = 120


@dataclass(frozen=True)
class _Trial:
    """The result of a value: lines of the shell, and of the kernel's log."""

    value: str
    output: list[str]
    log: str


def _try_each(guest: Guest, values: Sequence[str], try_one: str) -> list[_Trial]:
    output = guest.run(_EACH.format(next=_NEXT, values=shlex.join(values), try_one=try_one),
                       timeout=_EACH_SECONDS)
    _, *outputs, log = output.split(f"{_NEXT}\n", len(values) + 1)
    logs = log.split(_NEXT)[1:]
    expect_equal((len(outputs), len(logs)), (len(values), len(values)), "values tried")
    return [_Trial(value, said.splitlines(), line)
            for value, said, line in zip(values, outputs, logs)]


def _write_each(guest: Guest, name: str, values: Sequence[str]) -> list[_Trial]:
    """Write each value. The shell's lines are: the value before, the error message, "taken" or
    "refused", the value after."""
    return _try_each(guest, values, _WRITE.format(path=f"{PARAMETERS}/{name}"))


def _check_refused(guest: Guest, name: str, values: Sequence[str], allowed: str) -> None:
    for trial in _write_each(guest, name, values):
        before, *said, verdict, after = trial.output
        what = f"{name}={trial.value!r}"
        expect_equal(verdict, "refused", what)
        expect("Invalid argument" in " ".join(said), f"{what}: not EINVAL but {said!r}")
        expect(f"aerator: {name}=" in trial.log and allowed in trial.log,
               f"{what}: the log does not say what is allowed: {trial.log!r}")
        expect_equal(after, before, f"value after {what}")


def _check_taken(guest: Guest, name: str, *values: str) -> None:
    for trial in _write_each(guest, name, values):
        _, *said, verdict, after = trial.output
        expect(verdict == "taken", f"{name}={trial.value} was refused: {said}")
        expect_equal(after, trial.value, f"{name} after writing")


def _check_at_run_time(guest: Guest, kernel: str) -> int:
    checked = 0
    for parameter in _parameters(kernel):
        start = guest.read(f"{PARAMETERS}/{parameter.name}")
        _check_refused(guest, parameter.name, parameter.bad(),
                       f"allowed are {parameter.low} to {parameter.high}")
        _check_taken(guest, parameter.name, *parameter.good(), start)
        checked += len(parameter.bad()) + len(parameter.good())
    intakes, allowed = _intakes(kernel)
    unknown = [*_GARBAGE, "auto reporting", *{"treated"}.difference(intakes)]
    _check_refused(guest, "intake", unknown, f"allowed are {allowed}")
    _check_taken(guest, "intake", *intakes)
    return checked + len(unknown) + len(intakes)


def _check_at_load(guest: Guest, kernel: str) -> int:
    """Loading with a bad value fails, and virtio_balloon keeps the device."""
    guest.run("rmmod aerator")
    bad = {f"{parameter.name}={value}": f"{parameter.low} to {parameter.high}"
           for parameter in _parameters(kernel) for value in parameter.bad()[-2:]}
    bad[f"intake={'treats' if is_treated(kernel) else 'treated'}"] = _intakes(kernel)[1]
    for trial in _try_each(guest, list(bad), _LOAD.format(module=MODULE)):
        expect_equal(trial.output[-1], "refused", f"loading with {trial.value}")
        expect(bad[trial.value] in trial.log, f"no reason for {trial.value}: {trial.log}")
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after all that")
    return len(bad)


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
    """The intake is as wanted, and freed memory is reported."""
    expect_equal(guest.read(f"{folder}/intake"), wanted, "intake")
    before = counters(guest, folder)
    guest.run("echo | memtool hold 128")
    guest.run(write_to(f"{folder}/flush", "1"), timeout=90)
    after = counters(guest, folder)
    reported = after["reported_bytes"] - before["reported_bytes"]
    # The rest may be in per-CPU lists.
    expect(reported > 64 * MIB, f"{wanted}: {reported} bytes of 128 MiB were reported")
    expect_equal(after["errors"], 0, "errors")


def intakes(kernel: str) -> Iterator[str]:
    """The intake can be changed at run time, also during a churn."""
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
    """Only one device can report free pages: the first one."""
    files = {_RIVAL: module_file(kernel, "tests/kernel")}
    with make_guest(kernel, "exclusion", append="kunit.enable=0", files=files) as guest:
        device = balloon_device(guest).rpartition("/")[2]
        guest.run(f"insmod {_RIVAL}")
        for intake in _intakes(kernel)[0]:
            guest.run(write_to(_RIVAL_ON, "1"))
            guest.run("dmesg -c >/dev/null")
            guest.insmod(MODULE, {"intake": intake})
            expect_equal(balloon_driver(guest), None, f"driver with a rival, {intake}")
            expect("not bound: another device already reports free pages" in guest.dmesg(),
                   "no reason in the log")

            guest.run(write_to(_RIVAL_ON, "0"))
            guest.run(write_to(_BIND, device))
            expect_equal(balloon_driver(guest), "aerator", "driver without a rival")
            answer = guest.execute(write_to(_RIVAL_ON, "1"))
            expect(b"busy" in answer.output, f"the rival registered, {intake}: {answer.output!r}")
            guest.run("rmmod aerator")


CASES = [*on_kernels(parameters, ("6.12", *TREATED_KERNELS), rarely=("6.1", "7.3")),
         *on_kernels(intakes, TREATED_KERNELS), *on_kernels(exclusion, TREATED_KERNELS)]
