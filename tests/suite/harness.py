# SPDX-License-Identifier: GPL-2.0
"""The class Case, and functions that several groups of tests use."""

from __future__ import annotations

import concurrent.futures
import fcntl
import functools
import os
import queue
import re
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
from aerator_vm.guest import kernel_files

# Kernels of guests, and kernels for which the module is built.
GUEST_KERNELS = ("6.1", "6.12", "7.3")
BUILD_KERNELS = ("5.10", *GUEST_KERNELS)

# Kernels with the patch, which are built here: for each run, for --debug, for --all only.
TREATED = "6.12-treated"
KASAN = f"{TREATED}-kasan"
PAGEALLOC = f"{TREATED}-pagealloc"
KCSAN = f"{TREATED}-kcsan"
TREATED_KERNELS = tuple(f"{series}-treated" for series in GUEST_KERNELS
                        if any((TOP / "kpatch" / series).glob("*.patch")))
DEBUG_KERNELS = (KASAN, PAGEALLOC, KCSAN)

# Boot parameters of a debug kernel's checks.
_DEBUG_PARAMETERS = {PAGEALLOC: "page_poison=1 page_owner=on debug_pagealloc=on"}

# Races within the kernel, without code of this project: the idle loop reads a variable that
# its timer's interrupt writes.
_DEBUG_ALLOWED = {KCSAN: (r"KCSAN: data-race in tick_nohz_\w+ / tick_nohz_\w+$",)}

# Groups whose cases boot no guest.
_NO_GUEST = ("static", "builds", "patch", "unit")

# Debug kernels boot slowly under emulation.
_DEBUG_BOOT_SECONDS = 240
_LEAKS = "/sys/kernel/debug/kmemleak"
_LEAKS_SECONDS = 180

MIB = 1 << 20

_T = TypeVar("_T")

# A time limit for builds and checkers, including downloads.
_SCRIPT_SECONDS = 900
MODULE = "/aerator.ko"
PARAMETERS = "/sys/module/aerator/parameters"


class TestFailed(Exception):
    """A test has failed: a result is not as expected."""


@dataclass(frozen=True)
class Case:
    """A test: its name, and a function that returns notes for the report. The first sentence
    of the function's docstring, or else of its module's, says what the test shows."""

    name: str
    function: Callable[[], Iterable[str] | None]
    kernel: str | None = None
    long: bool = False
    group: str = ""
    # Processors of the host that only this case uses: a case that measures time needs one for
    # each of its guests. With 0, the case shares processors with other cases.
    cores: int = 0
    # It sleeps most of the time: another case runs beside it on the same core.
    sleeps: bool = False
    # It starts after all cases that are not late have ended.
    late: bool = False

    @property
    def about(self) -> str:
        """What the case shows, on one line."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        text = function.__doc__ or sys.modules[function.__module__].__doc__ or ""
        return " ".join(text.split()).partition(". ")[0].rstrip(".")

    @property
    def built_kernel(self) -> str | None:
        """The kernel of the case if it is built here; otherwise None."""
        if self.kernel and "-" in self.kernel and not re.search("-(amd|arm)64", self.kernel):
            return self.kernel
        return None

    @property
    def background(self) -> bool:
        """Whether the case boots no guest: it does not wait for timers, and may run slowly."""
        return self.group in _NO_GUEST

    @property
    def rare(self) -> bool:
        """Whether only --all runs the case."""
        return self.long or (self.built_kernel is not None
                             and self.kernel not in (TREATED, KASAN))

    @property
    def debug(self) -> bool:
        """Whether the case is on a debug kernel, for --debug and --all."""
        return self.kernel == KASAN and not self.rare


def on_kernels(function: Callable[[str], Iterable[str] | None],
               kernels: Iterable[str] = GUEST_KERNELS, long: bool = False,
               cores: int = 0, rarely: Iterable[str] = (), sleeps: bool = False) -> list[Case]:
    """One case for each kernel. Only --all runs long cases, and kernels in @rarely, which
    rarely show a fault that the other kernels do not."""
    name = function.__name__.replace("_", "-")
    return [Case(f"{name} {kernel}", functools.partial(function, kernel), kernel, rare,
                 cores=cores, sleeps=sleeps)
            for some, rare in ((kernels, long), (rarely, True)) for kernel in some]


def beside(works: Iterable[Callable[[], _T]]) -> list[_T]:
    """Run several measurements at the same time, each on one of the case's cores; return
    their results."""
    cores = sorted(os.sched_getaffinity(0))
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for core in cores:
        free.put(core)

    def pin() -> None:
        os.sched_setaffinity(0, {free.get()})

    with concurrent.futures.ThreadPoolExecutor(len(cores), initializer=pin) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def is_treated(kernel: str) -> bool:
    """Whether a kernel has the patch."""
    return "-treated" in kernel


def is_debug(kernel: str | None) -> bool:
    """Whether a kernel is a debug kernel, which is slow."""
    return kernel in DEBUG_KERNELS


def expect(truth: object, what: str) -> None:
    if not truth:
        raise TestFailed(what)


def expect_equal(found: object, wanted: object, what: str) -> None:
    expect(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


def run_script(*command: str | Path) -> str:
    """Run a command in the checkout and return its output; raise TestFailed if it fails."""
    result = subprocess.run(command, cwd=TOP, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                            timeout=_SCRIPT_SECONDS)
    if result.returncode:
        raise TestFailed(f"{command[0]} failed:\n{result.stdout.rstrip()}")
    return result.stdout


# The environment variable of every case with the folder of this run.
RUN_FOLDER = "AERATOR_TESTS_RUN"


def once_a_run(name: str, make: Callable[[], str]) -> str:
    """The result of a function that runs only once for all cases of a run. Cases are
    processes that run in parallel: the result is kept in a file."""
    with Path(os.environ[RUN_FOLDER], name).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            text = make()
            file.write(text)
        return text


def module_file(kernel: str, folder: str = "module") -> Path:
    """The module for a kernel; built if it does not exist, or inputs have changed."""
    def build() -> str:
        return subprocess.run([TOP / "scripts/module", "--of", folder, kernel], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()

    return Path(once_a_run(f"{folder}-{kernel}".replace("/", "-"), build))


def kernel_images(kernel: str) -> tuple[Path, Path]:
    """The image and the initramfs of a kernel. To look them up for each guest would take a fifth
    of the time of a boot."""
    found = once_a_run(f"images-{kernel}", lambda: "\n".join(map(str, kernel_files(kernel))))
    image, initramfs = map(Path, found.splitlines())
    return image, initramfs


def module_objects(kernel: str) -> list[Path]:
    """The objects of which the module for a kernel consists, one for each of its C files."""
    folder = module_file(kernel).parent / "module"
    return [path for path in sorted(folder.glob("**/*.o"))
            if (TOP / "module" / path.relative_to(folder)).with_suffix(".c").exists()]


class LineStuck(GuestFailed):
    """An interrupt line of QEMU was stuck, and the guest has disabled it.

    QEMU's iothread completes free page hints, and raises the balloon's interrupt without
    the lock that protects the number of devices that assert the line (virtio_notify() in
    hw/virtio/virtio-balloon.c, pci_change_irq_level()). In less than one of a hundred
    migrations that number is then wrong: the line stays asserted, and the guest disables
    it.
    """


_STUCK = "nobody cared (try booting with"


class CheckedGuest(Guest):
    """A guest that is also checked for memory leaks before it ends, if its kernel has
    kmemleak."""

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
        """No object is reported by two scans of kmemleak: one scan may miss a pointer that is
        just being copied. Only new finds are logged, so the file is read."""
        found = self.run(f"[ ! -e {_LEAKS} ] || {{ sleep 6; echo scan >{_LEAKS} &&"
                         f" echo scan >{_LEAKS} && cat {_LEAKS}; }}",
                         timeout=_LEAKS_SECONDS)
        expect(not found, f"leaks:\n{found.rstrip()}")


def make_guest(kernel: str, name: str, append: str = "",
               **arguments: Any) -> Guest:
    """A guest with the module as a file, on a host that offers free page reporting."""
    arguments.setdefault("balloon", {"free-page-reporting": True})
    if is_debug(kernel):
        arguments.setdefault("boot_limit", _DEBUG_BOOT_SECONDS)
        append = f"{_DEBUG_PARAMETERS.get(kernel, '')} {append}"
        arguments["allow"] = (*arguments.get("allow", ()), *_DEBUG_ALLOWED.get(kernel, ()))
    files = {MODULE: module_file(kernel), **arguments.pop("files", {})}
    # A guest that is suspended to RAM needs another image.
    images: str | tuple[Path, Path] = kernel if arguments.get("s3") else kernel_images(kernel)
    return CheckedGuest(images, name=f"{name}-{kernel}", files=files,
                        append=append.strip(), **arguments)


def mmio_balloon(legacy: str) -> tuple[str, ...]:
    """Arguments of QEMU for a balloon on virtio-mmio with legacy registers ("on"), or not."""
    return ("-global", f"virtio-mmio.force-legacy={legacy}",
            "-device", "virtio-balloon-device,id=balloon,free-page-reporting=on")


def load_aerator(guest: Guest, **params: object) -> str:
    """Load aerator as on a distribution, where virtio_balloon has the device before. Return
    the folder with the device's files."""
    guest.run("modprobe virtio_balloon")
    guest.insmod(MODULE, params)
    expect_equal(balloon_driver(guest), "aerator", "driver after insmod")
    return f"{balloon_device(guest)}/aerator"


def balloon_driver(guest: Guest) -> str | None:
    """The driver of the balloon."""
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
    """Wait until a condition is true; return the seconds. Fail at the time limit."""
    start = time.monotonic()
    while not truth():
        expect(time.monotonic() - start < seconds, f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - start


def meminfo(guest: Guest, key: str) -> int:
    """The value of a line of /proc/meminfo, kB."""
    return int(guest.run(f"sed -n 's/^{key}: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"))


def settled_free(guest: Guest) -> int:
    """Free memory in kB, including the per-CPU lists: after a churn these have more pages
    than any leak."""
    guest.run("sync; echo 3 >/proc/sys/vm/drop_caches; sleep 1")
    parked = int(guest.run("awk '/count:/ { n += $2 } END { print n }' /proc/zoneinfo"))
    return meminfo(guest, "MemFree") + parked * 4
