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

# What scripts/guest-init prints first.
_INIT_RUNS = "aerator-guest: init runs"
# How a trace of the kernel marks a function of the module.
_OURS = "[aerator]"
_POWEROFF_SECONDS = 60
_TIME_LIMIT_STATUS = 124

_numbers = itertools.count(1)


def _script(*command: str) -> Path:
    """Run a script of ours whose answer is one path."""
    result = subprocess.run([TOP / "scripts" / command[0], *command[1:]],
                            stdout=subprocess.PIPE, text=True, check=True)
    return Path(result.stdout.strip())


def kernel_tree(kernel: str) -> Path:
    """Where a kernel is, by its name or by that."""
    return Path(kernel) if "/" in kernel else _script("kernel", kernel)


def kernel_files(kernel: str) -> tuple[Path, Path]:
    """The image and initramfs of a kernel by its name, or of such a tree."""
    tree = kernel_tree(kernel)
    return tree / "boot" / "vmlinuz", _script("initramfs", str(tree))


class Guest:
    """Boots on entry of its block; on exit, checks the log and powers off.

    kernel      a name such as "6.1", a release such as "6.12.95+deb12-cloud-amd64", the
                directory of a kernel tree, or the paths of an image and an initramfs
    mem, smp    MiB, whole or not, and processors, 2 of them unless icount wants one
    balloon     options of virtio-balloon-pci; None for a guest without one
    append      more kernel parameters
    files       what the initramfs gets besides, {guest path: host path}
    icount      guest time is a count of instructions: repeatable, but only with
                one processor (another never comes up: its waker spins forever)
    tcg_thread  "multi": processors run at a time; "single": they take turns.
                Turns are safer: with multi, a processor may trap on an int3
                that another, which patches code (a static key changes), has
                taken away already, and the kernel ends in "Oops: int3"
    time_limit  seconds until QEMU is killed, whatever anybody does
    boot_limit  seconds until the agent must have answered
    name        of the directory in build/log/ where the logs stay
    nodes       of NUMA, with a part of memory each
    empty_nodes nodes besides that have no memory
    more_memory further options of QEMU's -m, such as ",slots=2,maxmem=4G"
    allow       regular expressions for log lines which are no failure here
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
                 allow: Iterable[str] = (), nodes: int = 1,
                 empty_nodes: int = 0, more_memory: str = "") -> None:
        if isinstance(kernel, str):
            kernel = kernel_files(kernel)
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
        """False if init never ran, the module had no part in that, and there is another
        try left."""
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
        """As its button does: the same machine boots again, where a panic would end it."""
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
        """Another QEMU of the same machine, which this guest may be sent to. Leaving
        the block ends the one of the two that the guest is not in.

        The agent's line is open before the guest runs there: it takes a line that
        nobody holds for the end of its work. The guest has booted, so it does not
        matter that this initramfs lacks what a test adds.
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
        """The guest is there from now on, and so is who drives it."""
        self._qemu = qemu
        self._agent, self.qmp, self.host = qemu.agent, qemu.qmp, qemu.host

    def finish(self, power_off: bool = True) -> None:
        """Check the kernel's log, power off, check again. Done by the block's end
        unless a test wants to know earlier, or has a guest that cannot."""
        if self._finished:
            return
        self._finished = True
        self._check(self.dmesg())
        if power_off:
            self._end(lambda: self._agent.send_last("poweroff -f"))
        else:
            self._end(lambda: self.qmp.execute("quit"))

    def finish_unheard(self) -> None:
        """For a guest whose agent is silent: its serial console is all there is to check."""
        self._finished = True
        self._end(lambda: self.qmp.execute("quit"))

    def _end(self, how: Callable[[], object]) -> None:
        with ticking("powering off"):
            how()
            if self._qemu is None or self._qemu.wait(_POWEROFF_SECONDS) is None:
                raise self._failure("did not power off")
        self._check(self._serial())

    # What a test does with it

    def execute(self, command: str, timeout: float = 60) -> Answer:
        """Run a shell command; give its status and its output as bytes."""
        try:
            return self._agent.request(command, timeout)
        except AgentGone as failure:
            raise self._failure(f"died during {command!r}", failure) from None
        except AgentSilent as failure:
            raise self._failure(f"did not finish {command!r} in {timeout:g} s",
                                failure) from None

    def run(self, command: str, timeout: float = 60, check: bool = True) -> str:
        """Run a shell command; give what it wrote."""
        answer = self.execute(command, timeout)
        output = answer.output.decode(errors="replace")
        if check and answer.status:
            raise CommandFailed(command, answer.status, output)
        return output

    def send_last(self, command: str) -> None:
        """Have a shell command run that this kernel does not live to answer."""
        self._agent.send_last(command)

    def start_job(self, command: str) -> Job:
        """Run a shell command in the background."""
        return Job(self, next(self._jobs), command)

    def read(self, path: str) -> str:
        """A file's content, without the newline at its end."""
        return self.run(f"cat {shlex.quote(path)}").removesuffix("\n")

    def insmod(self, path: str, params: Mapping[str, object] | None = None) -> None:
        """Load a module file of the guest. If it fails, show what the kernel said
        meanwhile: insmod itself has but an error number."""
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
        """Whether QEMU still runs; says nothing of what runs in it."""
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
            # The line closes a moment before the process and its log are done.
            if self._qemu.wait(10) == _TIME_LIMIT_STATUS:
                what += f", at its time limit of {self._machine.time_limit} s"
        log = self._serial()
        parts = [f"guest {what}", *bad_lines(log, self._allow)[:10],
                 f"--- end of {self.serial_log}", tail(log)]
        return GuestFailed("\n".join(parts))

    def _show_bad_lines(self) -> None:
        """A test may have failed of what the kernel complained of before."""
        for line in bad_lines(self._serial(), self._allow)[:10]:
            say(f"{self.serial_log}: {line}")

    def _keep_first_log(self) -> Path:
        kept = self.log_dir / "serial.first-try.log"
        self.serial_log.replace(kept)
        return kept
