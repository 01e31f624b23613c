# SPDX-License-Identifier: GPL-2.0
"""What a test is, how tests are run, and what several of them need."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aerator_vm import CommandFailed, Guest, GuestFailed
from aerator_vm.common import TOP

# Kernels that guests are booted with, and those that the module is built for.
GUEST_KERNELS = ("6.1", "6.12", "7.3")
BUILD_KERNELS = ("5.10", *GUEST_KERNELS)

MIB = 1 << 20

# No build or checker takes so long, downloads included.
_SCRIPT_SECONDS = 900
MODULE = "/aerator.ko"
PARAMETERS = "/sys/module/aerator/parameters"


class TestFailed(Exception):
    """What was seen is not what has to be."""


@dataclass(frozen=True)
class Case:
    """A test: its name, and a function that returns notes worth printing."""

    name: str
    function: Callable[[], Iterable[str] | None]


def on_kernels(function: Callable[[str], Iterable[str] | None],
               kernels: Iterable[str] = GUEST_KERNELS) -> list[Case]:
    """One case for each kernel."""
    name = function.__name__.replace("_", "-")
    return [Case(f"{name} {kernel}", functools.partial(function, kernel))
            for kernel in kernels]


def expect(truth: object, what: str) -> None:
    if not truth:
        raise TestFailed(what)


def expect_equal(found: object, wanted: object, what: str) -> None:
    expect(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def run_script(*command: str | Path) -> str:
    """Run a command in the checkout; what it says is shown if it fails."""
    result = subprocess.run(command, cwd=TOP, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                            timeout=_SCRIPT_SECONDS)
    if result.returncode:
        raise TestFailed(f"{command[0]} failed:\n{result.stdout.rstrip()}")
    return result.stdout


def module_file(kernel: str) -> Path:
    """The module for a kernel, built if need be."""
    result = subprocess.run([TOP / "scripts/module", kernel], check=True,
                            stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip())


def make_guest(kernel: str, name: str, **arguments: object) -> Guest:
    """A guest that has the module at hand and a host that offers reporting."""
    arguments.setdefault("balloon", {"free-page-reporting": True})
    return Guest(kernel, name=f"{name}-{kernel}",
                 files={MODULE: module_file(kernel)}, **arguments)


def load_aerator(guest: Guest, **params: object) -> str:
    """As on a distribution: virtio_balloon has the device when we come. Return
    the folder with the device's files."""
    guest.run("modprobe virtio_balloon")
    guest.insmod(MODULE, params)
    expect_equal(balloon_driver(guest), "aerator", "driver after insmod")
    return f"{balloon_device(guest)}/aerator"


def balloon_device(guest: Guest) -> str:
    """The balloon's folder in sysfs: the virtio device with number 5."""
    return guest.run("dirname $(grep -l 0x0005 /sys/bus/virtio/devices/*/device)"
                     ).strip()


def balloon_driver(guest: Guest) -> str | None:
    """Who has the balloon."""
    path = guest.run(f"readlink {balloon_device(guest)}/driver", check=False)
    return path.strip().rpartition("/")[2] or None


def counters(guest: Guest, folder: str) -> dict[str, int]:
    """The device's files that hold numbers."""
    found = {}
    for line in guest.run(f"cd {folder} && grep . *", check=False).splitlines():
        name, _, value = line.partition(":")
        if value.isdigit():
            found[name] = int(value)
    return found


def _run_case(case: Case) -> str | None:
    """Run one; return why it failed."""
    try:
        for note in case.function() or ():
            print(f"# {note}")
    except (TestFailed, GuestFailed, CommandFailed) as failure:
        return str(failure)
    except Exception:  # a mistake in the test must not end the others
        return traceback.format_exc()
    return None


def run_cases(cases: list[Case]) -> int:
    """Run them all, one after another: guests share the machine's cores."""
    failed = 0
    print(f"KTAP version 1\n1..{len(cases)}", flush=True)
    for number, case in enumerate(cases, 1):
        start = time.monotonic()
        print(f"{case.name} ...", file=sys.stderr)
        reason = _run_case(case)
        if reason is not None:
            failed += 1
            print("\n".join(f"# {line}" for line in reason.splitlines()))
        print(f"{'ok' if reason is None else 'not ok'} {number} {case.name}"
              f" # {time.monotonic() - start:.0f} s", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0
