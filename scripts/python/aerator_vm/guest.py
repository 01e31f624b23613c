# SPDX-License-Identifier: GPL-2.0
"""A test guest: booted, driven through its agent, checked, powered off."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from .agent import Agent, AgentGone, AgentSilent, Answer
from .common import BUILD, TOP, CommandFailed, GuestFailed, retried, say, ticking
from .cpio import append_files
from .host import HostProcess
from .job import Job
from .kernellog import bad_lines, tail
from .qemu import Machine, Qemu, QemuFailed
from .qmp import Qmp

# The first line that scripts/guest-init prints.
_INIT_RUNS = "aerator-guest: init runs"
# The mark of a function of the module in a stack trace of the kernel.
_OURS = "[aerator]"
_POWEROFF_SECONDS = 60
_TIME_LIMIT_STATUS = 124

_numbers = itertools.count(1)


def _script(*command: str) -> Path:
    """Run one of the scripts that print one path."""
    result = subprocess.run([TOP / "scripts" / command[0], *command[1:]],
                            stdout=subprocess.PIPE, text=True, check=True)
    return Path(result.stdout.strip())


def kernel_tree(kernel: str) -> Path:
    """The tree of a kernel, by the kernel's name or by the path of the tree."""
    return Path(kernel) if "/" in kernel else _script("kernel", kernel)


def kernel_files(kernel: str, packed: bool = False) -> tuple[Path, Path]:
    """The image and initramfs of a kernel, by its name or by the path of its tree; with
    @packed, the image that unpacks itself."""
    tree = kernel_tree(kernel)
    image = tree / "boot" / "vmlinuz" if packed else _script("vmlinux", str(tree))
    return image, _script("initramfs", str(tree))


class Guest:
    """A guest: boots at the start of its with block; the end checks the log and powers off.

    kernel      a name such as "6.1", a release such as "6.12.95+deb12-cloud-amd64", the
                directory of a kernel tree, or the paths of an image and an initramfs
    mem, smp    MiB (may have a fraction), and processors (default: 2, with icount 1)
    balloon     options of the balloon's device; None for a guest without one
    append      more kernel parameters
    files       additional files of the initramfs, {guest path: host path}
    icount      guest time is a count of instructions: repeatable, but only with
                one processor (a second one never comes online: the first spins)
    tcg_thread  "multi": processors run in parallel; "single": they take turns.
                Turns are safer: with multi, a processor of amd64 may trap on an
                int3 that another processor has already removed while it patches
                code (a static key changes), and the kernel ends in "Oops: int3".
                arm64 puts a breakpoint only where a kprobe is, stops the other
                processors meanwhile, and ignores one that is gone
    time_limit  seconds until QEMU is killed in any case
    boot_limit  seconds until the agent must have answered
    name        of the directory in build/log/ where the logs stay
    s3          the guest will be suspended to RAM. QEMU copies an unpacked kernel into the
                memory again when the guest wakes up: so the kernel has to unpack itself
    nodes       number of NUMA nodes, each with an equal part of the memory
    empty_nodes number of additional nodes without memory
    more_memory further options of QEMU's -m, such as ",slots=2,maxmem=4G"
    allow       regular expressions for log lines that do not count as a failure
    """

    host: HostProcess
    qmp: Qmp
    _agent: Agent

    def __init__(self, kernel: str | tuple[Path, Path], *, mem: float = 1024,
                 smp: int | None = None,
                 balloon: Mapping[str, object] | None = None, append: str = "",
                 files: Mapping[str, Path | str] | None = None,
                 qemu_args: Sequence[str] = (), icount: bool = False,
                 tcg_thread: str = "single", time_limit: int = 300,
                 boot_limit: float = 90,
                 name: str | None = None, log_dir: Path | None = None,
                 allow: Iterable[str] = (), s3: bool = False, nodes: int = 1,
                 empty_nodes: int = 0, more_memory: str = "") -> None:
        if isinstance(kernel, str):
            kernel = kernel_files(kernel, packed=s3)
        image, self._initramfs = kernel
        smp = smp or (1 if icount else 2)
        if icount and smp != 1:
            raise ValueError("icount needs smp=1")
        self._machine = Machine(image, mem, smp, balloon, append, qemu_args,
                                icount, tcg_thread, time_limit, nodes,
                                empty_nodes, more_memory)
        self._files = dict(files or {})
        self._boot_limit = boot_limit
        self._allow = list(allow)
        name = name or f"guest-{os.getpid()}-{next(_numbers)}"
        self.log_dir = log_dir or BUILD / "log" / name
        self.serial_log = self.log_dir / "serial.log"
        self._jobs = itertools.count(1)
        self._receivers = itertools.count(2)
        self._qemu: Qemu | None = None
        self._finished = False

    # Start and end

    def __enter__(self) -> Self:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        if not self._boot(last_try=False):
            retried("the guest died or hung before its init ran"
                    f" (log: {self._keep_first_log()})")
            self._boot(last_try=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            if kind is None:
                self.finish()
            elif not issubclass(kind, GuestFailed):
                self._show_bad_lines()
        finally:
            self._stop()

    def _boot(self, last_try: bool) -> bool:
        """Boot; return False if init never ran, the module was not involved, and this is not
        the last try."""
        try:
            with ticking("booting a guest"):
                self._start()
            return True
        except QemuFailed as failure:
            self._stop()
            raise GuestFailed(str(failure)) from None
        except (AgentGone, AgentSilent) as failure:
            error = self._failure("did not boot", failure)
            self._stop()
            if last_try or any(word in self._serial() for word in (_INIT_RUNS, _OURS)):
                raise error from None
            return False
        except BaseException:
            self._stop()
            raise

    def _start(self) -> None:
        self._qemu = Qemu(self._machine)
        with tempfile.TemporaryDirectory(prefix="aerator-initramfs-") as directory:
            initramfs = self._initramfs
            if self._files:
                initramfs = Path(directory, "initramfs")
                append_files(self._initramfs, initramfs, self._files)
            self._qemu.start(initramfs, self.serial_log,
                             self.log_dir / "qemu.log")
            self.follow(self._qemu)
            self._agent.wait_ready(self._boot_limit)

    def reset(self) -> None:
        """Reset the machine, as its reset button does, and wait until it has booted again.
        Any other reset, such as that of a panic, ends QEMU."""
        self.qmp.execute("set-action", reboot="reset")
        self.qmp.execute("system_reset")
        try:
            with ticking("booting a guest again"):
                self._agent.wait_ready(self._boot_limit)
        except (AgentGone, AgentSilent) as failure:
            raise self._failure("did not boot again", failure) from None
        self.qmp.execute("set-action", reboot="shutdown")

    def _stop(self) -> None:
        if self._qemu:
            self._qemu.stop()
            self._qemu = None

    # Migration

    @contextlib.contextmanager
    def receiver(self) -> Iterator[Qemu]:
        """Another QEMU with the same machine, as the destination of a migration. The end of
        the with block ends the QEMU that the guest is not in.

        The agent's connection is open before the guest runs there, because the agent ends
        if its port has no reader. The initramfs lacks the files of a test: that does
        not matter, as the guest has booted.
        """
        here = self._qemu
        there = Qemu(dataclasses.replace(self._machine, incoming=True))
        try:
            there.start(self._initramfs, self.serial_log,
                        self.log_dir / f"qemu-{next(self._receivers)}.log")
            yield there
        finally:
            gone = here if self._qemu is there else there
            if gone:
                gone.stop()

    def follow(self, qemu: Qemu) -> None:
        """Use this QEMU from now on, as the guest has migrated to it."""
        self._qemu = qemu
        self._agent, self.qmp, self.host = qemu.agent, qemu.qmp, qemu.host

    def finish(self, power_off: bool = True) -> None:
        """Check the kernel's log, power off, check again. The end of the with block does this
        unless a test has called it: earlier, or for a guest that cannot power off."""
        if self._finished:
            return
        self._finished = True
        self._check(self.dmesg())
        if power_off:
            self._end(lambda: self._agent.send_last("poweroff -f"))
        else:
            self._end(lambda: self.qmp.execute("quit"))

    def finish_unheard(self) -> None:
        """End a guest whose agent is silent: only its serial console is checked."""
        self._finished = True
        self._end(lambda: self.qmp.execute("quit"))

    def _end(self, how: Callable[[], object]) -> None:
        with ticking("powering off"):
            how()
            if self._qemu is None or self._qemu.wait(_POWEROFF_SECONDS) is None:
                raise self._failure("did not power off")
        self._check(self._serial())

    # For tests

    def execute(self, command: str, timeout: float = 60) -> Answer:
        """Run a shell command; return its status and its output as bytes."""
        try:
            return self._agent.request(command, timeout)
        except AgentGone as failure:
            raise self._failure(f"died during {command!r}", failure) from None
        except AgentSilent as failure:
            raise self._failure(f"did not finish {command!r} in {timeout:g} s",
                                failure) from None

    def run(self, command: str, timeout: float = 60, check: bool = True) -> str:
        """Run a shell command; return its output."""
        answer = self.execute(command, timeout)
        output = answer.output.decode(errors="replace")
        if check and answer.status:
            raise CommandFailed(command, answer.status, output)
        return output

    def send_last(self, command: str) -> None:
        """Run a shell command that ends this kernel, and has no answer."""
        self._agent.send_last(command)

    def start_job(self, command: str) -> Job:
        """Run a shell command in the background."""
        return Job(self, next(self._jobs), command)

    def read(self, path: str) -> str:
        """A file's content, without the newline at its end."""
        return self.run(f"cat {shlex.quote(path)}").removesuffix("\n")

    def insmod(self, path: str, params: Mapping[str, object] | None = None) -> None:
        """Load a module file of the guest. If that fails, show the kernel's new log lines:
        insmod itself prints only an error number."""
        words = [path, *(f"{key}={value}" for key, value in (params or {}).items())]
        command = f"insmod {shlex.join(words)}"
        before = len(self.dmesg())
        try:
            self.run(command)
        except CommandFailed as failure:
            raise CommandFailed(command, failure.status,
                                failure.output + self.dmesg()[before:]) from None

    def dmesg(self) -> str:
        return self.run("dmesg")

    def alive(self) -> bool:
        """Whether QEMU still runs, whatever the state of the guest."""
        return self._qemu is not None and self._qemu.wait(0) is None

    # Failure

    def _serial(self) -> str:
        try:
            text = self.serial_log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return text.replace("\r", "")

    def _check(self, log: str) -> None:
        if bad_lines(log, self._allow):
            raise self._failure("has bad lines in its kernel log")

    def _failure(self, what: str, cause: Exception | None = None) -> GuestFailed:
        if isinstance(cause, AgentGone) and self._qemu:
            # The connection closes a moment before the process ends and its log is complete.
            if self._qemu.wait(10) == _TIME_LIMIT_STATUS:
                what += f", at its time limit of {self._machine.time_limit} s"
        log = self._serial()
        parts = [f"guest {what}", *bad_lines(log, self._allow)[:10],
                 f"--- end of {self.serial_log}", tail(log)]
        return GuestFailed("\n".join(parts))

    def _show_bad_lines(self) -> None:
        """Print bad lines of the log: they may be the cause of a test's failure."""
        for line in bad_lines(self._serial(), self._allow)[:10]:
            say(f"{self.serial_log}: {line}")

    def _keep_first_log(self) -> Path:
        kept = self.log_dir / "serial.first-try.log"
        self.serial_log.replace(kept)
        return kept
