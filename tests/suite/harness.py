# SPDX-License-Identifier: GPL-2.0
"""What a test is, and what several of them need."""

from __future__ import annotations

import concurrent.futures
import fcntl
import functools
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aerator_vm import Guest, GuestFailed
from aerator_vm.balloon import balloon_device
from aerator_vm.common import TOP

# Kernels that guests are booted with, and those that the module is built for.
GUEST_KERNELS = ("6.1", "6.12", "7.3")
BUILD_KERNELS = ("5.10", *GUEST_KERNELS)

# Kernels that are built here, with the patch: that of every run, that of --debug, and
# those that are for --all only.
TREATED = "6.12-treated"
KASAN = f"{TREATED}-kasan"
PAGEALLOC = f"{TREATED}-pagealloc"
KCSAN = f"{TREATED}-kcsan"
TREATED_KERNELS = tuple(f"{series}-treated" for series in GUEST_KERNELS
                        if any((TOP / "kpatch" / series).glob("*.patch")))
DEBUG_KERNELS = (KASAN, PAGEALLOC, KCSAN)

# What a kernel looks for only if it is told to at boot.
_DEBUG_PARAMETERS = {PAGEALLOC: "page_poison=1 page_owner=on debug_pagealloc=on"}

# Races of the kernel's own, between two functions that are none of our business: the
# idle loop looks at what its timer's interrupt writes.
_DEBUG_ALLOWED = {KCSAN: (r"KCSAN: data-race in tick_nohz_\w+ / tick_nohz_\w+$",)}

# Groups that boot no guest.
_NO_GUEST = ("static", "builds", "patch", "unit")

# Debug kernels are slow where they are emulated.
_DEBUG_BOOT_SECONDS = 240
_LEAKS = "/sys/kernel/debug/kmemleak"
_LEAKS_SECONDS = 180

MIB = 1 << 20

_T = TypeVar("_T")

# No build or checker takes so long, downloads included.
_SCRIPT_SECONDS = 900
MODULE = "/aerator.ko"
PARAMETERS = "/sys/module/aerator/parameters"


class TestFailed(Exception):
    """What was seen is not what has to be."""


@dataclass(frozen=True)
class Case:
    """A test: its name, and a function that returns notes worth printing. The first
    sentence of the function's docstring, or its module's, says what it shows."""

    name: str
    function: Callable[[], Iterable[str] | None]
    kernel: str | None = None
    long: bool = False
    group: str = ""
    # Of the host's, for itself alone: what measures time has as many as guests at a time.
    # With 0 it runs wherever there is room, as what waits or counts may.
    cores: int = 0

    @property
    def about(self) -> str:
        """What it shows, on one line."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        text = function.__doc__ or sys.modules[function.__module__].__doc__ or ""
        return " ".join(text.split()).partition(". ")[0].rstrip(".")

    @property
    def built_kernel(self) -> str | None:
        """The kernel that it needs, if that is one that we build, and no release of
        Debian's (uname -r)."""
        if self.kernel and "-" in self.kernel and not self.kernel.endswith("-amd64"):
            return self.kernel
        return None

    @property
    def background(self) -> bool:
        """It boots no guest: nothing in it waits, and nothing hangs on how soon it ends."""
        return self.group in _NO_GUEST

    @property
    def rare(self) -> bool:
        """For --all only."""
        return self.long or (self.built_kernel is not None
                             and self.kernel not in (TREATED, KASAN))

    @property
    def debug(self) -> bool:
        """For --debug, and --all: on the kernel that looks for mistakes."""
        return self.kernel == KASAN and not self.rare


def on_kernels(function: Callable[[str], Iterable[str] | None],
               kernels: Iterable[str] = GUEST_KERNELS, long: bool = False,
               cores: int = 0, rarely: Iterable[str] = ()) -> list[Case]:
    """One case for each kernel. Those that take long, and kernels that show little that
    others do not, are for --all."""
    name = function.__name__.replace("_", "-")
    return [Case(f"{name} {kernel}", functools.partial(function, kernel), kernel, rare,
                 cores=cores)
            for some, rare in ((kernels, long), (rarely, True)) for kernel in some]


def beside(works: Iterable[Callable[[], _T]]) -> list[_T]:
    """Do what measures at the same time, each on one of the case's cores, and give what
    came of each."""
    cores = sorted(os.sched_getaffinity(0))
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for core in cores:
        free.put(core)

    def pin() -> None:
        os.sched_setaffinity(0, {free.get()})

    with concurrent.futures.ThreadPoolExecutor(len(cores), initializer=pin) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def is_treated(kernel: str) -> bool:
    """Whether it has the patch."""
    return "-treated" in kernel


def is_debug(kernel: str | None) -> bool:
    """Whether it looks for mistakes, and is slow."""
    return kernel in DEBUG_KERNELS


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


# The folder of this run of the tests, in the environment of every case.
RUN_FOLDER = "AERATOR_TESTS_RUN"


def once_a_run(name: str, make: Callable[[], str]) -> str:
    """What a function says, which several cases need and which is to run only once: cases
    are processes that run beside each other."""
    with Path(os.environ[RUN_FOLDER], name).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            text = make()
            file.write(text)
        return text


def module_file(kernel: str, folder: str = "module") -> Path:
    """The module for a kernel, built if need be."""
    result = subprocess.run([TOP / "scripts/module", "--of", folder, kernel], check=True,
                            stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip())


class LineStuck(GuestFailed):
    """QEMU went wrong, and the guest with it.

    QEMU has a thread of its own give back free page hints (iothread), and that raises the
    balloon's interrupt without the lock under which QEMU counts who wants the line up
    (virtio_notify() in hw/virtio/virtio-balloon.c, pci_change_irq_level()). Once in a
    hundred migrations or more the count is wrong then: the line stays up, and the guest
    turns it off.
    """


_STUCK = "nobody cared (try booting with"


class CheckedGuest(Guest):
    """One that also looks for leaks before it ends, where its kernel can."""

    def __exit__(self, *exc: Any) -> None:
        try:
            super().__exit__(*exc)
        finally:
            if "iothread" in (self._machine.balloon or ()) and _STUCK in self._serial():
                raise LineStuck(f"an interrupt line stayed up, see {self.serial_log}")

    def finish(self, power_off: bool = True) -> None:
        if not self._finished:
            self._check_leaks()
        super().finish(power_off)

    def _check_leaks(self) -> None:
        """What looks lost must do so twice: a pointer may be on its way. A find is
        no line of the log unless it is new, so the file is read."""
        found = self.run(f"[ ! -e {_LEAKS} ] || {{ sleep 6; echo scan >{_LEAKS} &&"
                         f" echo scan >{_LEAKS} && cat {_LEAKS}; }}",
                         timeout=_LEAKS_SECONDS)
        expect(not found, f"leaks:\n{found.rstrip()}")


def make_guest(kernel: str, name: str, append: str = "",
               **arguments: Any) -> Guest:
    """A guest that has the module at hand and a host that offers reporting."""
    arguments.setdefault("balloon", {"free-page-reporting": True})
    if is_debug(kernel):
        arguments.setdefault("boot_limit", _DEBUG_BOOT_SECONDS)
        append = f"{_DEBUG_PARAMETERS.get(kernel, '')} {append}"
        arguments["allow"] = (*arguments.get("allow", ()), *_DEBUG_ALLOWED.get(kernel, ()))
    files = {MODULE: module_file(kernel), **arguments.pop("files", {})}
    return CheckedGuest(kernel, name=f"{name}-{kernel}", files=files,
                        append=append.strip(), **arguments)


def load_aerator(guest: Guest, **params: object) -> str:
    """As on a distribution: virtio_balloon has the device when we come. Return
    the folder with the device's files."""
    guest.run("modprobe virtio_balloon")
    guest.insmod(MODULE, params)
    expect_equal(balloon_driver(guest), "aerator", "driver after insmod")
    return f"{balloon_device(guest)}/aerator"


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


def wait_until(what: str, seconds: float, truth: Callable[[], bool]) -> float:
    """Return how many seconds it took."""
    start = time.monotonic()
    while not truth():
        expect(time.monotonic() - start < seconds, f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - start


def meminfo(guest: Guest, key: str) -> int:
    """A line of /proc/meminfo, kB."""
    return int(guest.run(f"sed -n 's/^{key}: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"))


def settled_free(guest: Guest) -> int:
    """Free memory in kB, with what stands in the lists of single processors:
    after a churn that is more than any leak would be."""
    guest.run("sync; echo 3 >/proc/sys/vm/drop_caches; sleep 1")
    parked = int(guest.run("awk '/count:/ { n += $2 } END { print n }' /proc/zoneinfo"))
    return meminfo(guest, "MemFree") + parked * 4
