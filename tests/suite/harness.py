# SPDX-License-Identifier: GPL-2.0
"""What a test is, how tests are run, and what several of them need."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aerator_vm import CommandFailed, Guest, GuestFailed
from aerator_vm.balloon import balloon_device
from aerator_vm.common import TOP, processors
from aerator_vm.qemu import end_all

# Kernels that guests are booted with, and those that the module is built for.
GUEST_KERNELS = ("6.1", "6.12", "7.3")
BUILD_KERNELS = ("5.10", *GUEST_KERNELS)

# Kernels that are built here, with the patch: those of every run, and those that
# are for --all only.
TREATED = "6.12-treated"
KASAN = f"{TREATED}-kasan"
PAGEALLOC = f"{TREATED}-pagealloc"
KCSAN = f"{TREATED}-kcsan"
COMMON_TREATED = (TREATED, KASAN)
TREATED_KERNELS = tuple(f"{series}-treated" for series in GUEST_KERNELS
                        if any((TOP / "kpatch" / series).glob("*.patch")))
DEBUG_KERNELS = (KASAN, PAGEALLOC, KCSAN)

# What a kernel looks for only if it is told to at boot.
_DEBUG_PARAMETERS = {PAGEALLOC: "page_poison=1 page_owner=on debug_pagealloc=on"}

# Races of the kernel's own, between two functions that are none of our business: the
# idle loop looks at what its timer's interrupt writes.
_DEBUG_ALLOWED = {KCSAN: (r"KCSAN: data-race in tick_nohz_\w+ / tick_nohz_\w+$",)}

# Debug kernels are slow where they are emulated.
_DEBUG_BOOT_SECONDS = 240
_LEAKS = "/sys/kernel/debug/kmemleak"
_LEAKS_SECONDS = 180

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
    kernel: str | None = None
    long: bool = False
    alone: bool = False
    first: bool = False  # it takes minutes: others are to run beside it

    @property
    def built_kernel(self) -> str | None:
        """The kernel that it needs, if that is one that we build, and no release of
        Debian's (uname -r)."""
        if self.kernel and "-" in self.kernel and not self.kernel.endswith("-amd64"):
            return self.kernel
        return None

    @property
    def rare(self) -> bool:
        """For --all only."""
        return self.long or (self.built_kernel is not None
                             and self.kernel not in COMMON_TREATED)


def on_kernels(function: Callable[[str], Iterable[str] | None],
               kernels: Iterable[str] = GUEST_KERNELS, long: bool = False) -> list[Case]:
    """One case for each kernel; those that take long are for --all."""
    name = function.__name__.replace("_", "-")
    return [Case(f"{name} {kernel}", functools.partial(function, kernel), kernel, long)
            for kernel in kernels]


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


# Two makes in one folder would get in each other's way.
_building = threading.Lock()


def module_file(kernel: str, folder: str = "module") -> Path:
    """The module for a kernel, built if need be."""
    with _building:
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
_STUCK_TRIES = 3


class CheckedGuest(Guest):
    """One that also looks for leaks before it ends, where its kernel can."""

    def __exit__(self, *exc: object) -> None:
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
               **arguments: object) -> Guest:
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


class Kernels:
    """Those that cases need and that are built here, unless the cache has them.

    Debug kernels take longest to build, and few cases need them. So they get what others
    leave of the processors' time, beside cases that do not need them: more than a third,
    as tests wait for timers. What measures waits until they are built.
    """

    _IDLE = ("chrt", "--idle", "0")

    def __init__(self) -> None:
        self._builder = concurrent.futures.ThreadPoolExecutor(1)
        self._built: dict[str, concurrent.futures.Future[bool]] = {}
        self._script: subprocess.Popen[bytes] | None = None
        self._ended = False

    def begin(self, cases: Iterable[Case], idle: bool) -> None:
        """Build those that the cases need, one after the other."""
        for kernel in dict.fromkeys(case.built_kernel for case in cases):
            if kernel and kernel not in self._built:
                self._built[kernel] = self._builder.submit(self._build, kernel, idle)

    def _build(self, kernel: str, idle: bool) -> bool:
        """scripts/kernel says on stderr how far it is."""
        command = [*(self._IDLE if idle else ()), TOP / "scripts/kernel", kernel]
        self._script = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        start_new_session=True)
        if self._ended:
            self.end()
        return self._script.wait() == 0

    def end(self) -> None:
        """Build no more, and give up what is being built: who waits for it goes on."""
        self._ended = True
        self._builder.shutdown(wait=False, cancel_futures=True)
        if self._script and self._script.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._script.pid, signal.SIGTERM)

    def wait(self) -> None:
        """Until nothing is built any more."""
        concurrent.futures.wait(self._built.values())

    def lack(self, case: Case) -> bool:
        """Whether the one that the case needs could not be built."""
        return case.built_kernel is not None and not self._built[case.built_kernel].result()


@dataclass(frozen=True)
class _Result:
    """What came of a case."""

    case: Case
    notes: list[str]
    reason: str | None  # why it failed
    seconds: float


def _try_case(case: Case, notes: list[str]) -> str | None:
    """Run one, and collect what it has to say; return why it failed."""
    try:
        for _ in range(_STUCK_TRIES - 1):
            with contextlib.suppress(LineStuck):
                notes.extend(case.function() or ())
                return None
            notes.append("QEMU left an interrupt line up, once more:")
        notes.extend(case.function() or ())
    except (TestFailed, GuestFailed, CommandFailed) as failure:
        return str(failure)
    except Exception:  # a mistake in the test must not end the others
        return traceback.format_exc()
    return None


def _run_case(case: Case, kernels: Kernels) -> _Result:
    lacking = kernels.lack(case)
    start = time.monotonic()
    print(f"{case.name} ...", file=sys.stderr)
    notes: list[str] = []
    reason = (f"{case.kernel} could not be built, see what scripts/kernel said"
              if lacking else _try_case(case, notes))
    return _Result(case, notes, reason, time.monotonic() - start)


def _processors() -> int:
    """How many cases run at a time: the processors of an emulated guest take turns on
    one of the host's. One of three is left for what is around the guests."""
    cores = processors()
    return cores if cores < 3 else min(cores - 1, 4)


def _run_together(cases: list[Case], kernels: Kernels) -> Iterable[_Result]:
    with concurrent.futures.ThreadPoolExecutor(_processors()) as pool:
        futures = [pool.submit(_run_case, case, kernels) for case in cases]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.end()
            end_all()
            raise


def _run_all(cases: list[Case], kernels: Kernels) -> Iterable[_Result]:
    """In their order, but that those that need not be alone are not: of these, what takes
    long comes first, and what needs a debug kernel last."""
    for alone, group in itertools.groupby(cases, lambda case: case.alone):
        some = list(group)
        kernels.begin(some, idle=not alone)
        if alone:
            kernels.wait()
            yield from (_run_case(case, kernels) for case in some)
        else:
            some.sort(key=lambda case: (not case.first, is_debug(case.kernel)))
            yield from _run_together(some, kernels)


def _say_skipped(skipped: list[Case]) -> None:
    """What a run without --all leaves out, and why."""
    for reason, names in (
            ("takes long", [case.name for case in skipped if case.long]),
            ("kernel is built for --all only",
             [case.name for case in skipped if not case.long])):
        if names:
            print(f"# left out, {reason}: {', '.join(names)}")


def _say_result(number: int, result: _Result) -> bool:
    """Returns whether it failed."""
    lines = [*result.notes, *(result.reason or "").splitlines()]
    for line in lines:
        print(f"# {line}")
    print(f"{'ok' if result.reason is None else 'not ok'} {number} {result.case.name}"
          f" # {result.seconds:.0f} s", flush=True)
    return result.reason is not None


def run_cases(cases: list[Case], skipped: list[Case]) -> int:
    """Run them all, and say how each went when it is over."""
    kernels = Kernels()
    try:
        kernels.begin((case for case in cases if not is_debug(case.kernel)), idle=False)
        kernels.wait()
        print(f"KTAP version 1\n1..{len(cases)}", flush=True)
        _say_skipped(skipped)
        failed = sum(_say_result(number, result)
                     for number, result in enumerate(_run_all(cases, kernels), 1))
    finally:
        kernels.end()
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0
