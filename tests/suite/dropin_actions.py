# SPDX-License-Identifier: GPL-2.0
"""The actions of a host. Each of them begins and ends with an empty balloon."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aerator_vm import QmpError
from aerator_vm.driver import bind

from .dropin_rows import Row
from .dropin_subject import PAGE, Subject, mib
from .harness import MIB, balloon_driver, expect, settled_free

Action = Callable[[Subject], Iterator[Row]]

HALF = 512 * MIB
# The least memory that the guest can run with.
_LEAST = 256 * MIB
_DRIVERS = "/sys/bus/virtio/drivers"
_ROOT_PORT = "rootport"
_UNSET = (1 << 64) - 1

# Targets for a guest of 1 GiB: down, up, by a small amount, by single pages, by a part of a
# page, to the minimum, and above the guest's memory.
_TARGETS = (768 * MIB, HALF, 896 * MIB, 892 * MIB, 700 * MIB + 3 * PAGE,
            600 * MIB + 1234, _LEAST, 4096 * MIB)
_TOO_LITTLE = 16 * MIB

# For the guest's programs: more than is left at the minimum, less than the guest has.
_TOO_MUCH_MIB = 700

# Memory of QEMU itself, including translated code.
_QEMU_MIB = 120

# In MiB. The difference may be fragments that are too small to be reported, which the host
# held already: 50 MiB of them in a guest that ran for a while.
_MOST_OF_300 = 200

# As single pages, so that compaction moves some of them.
_SCATTERED_MIB = 200

# Time in which most of the freed memory is reported.
_REPORTED_SECONDS = 8
# Memory that an idle guest may touch meanwhile.
_OTHERS_MIB = 40

# Memory that is touched and freed: the host drops it only if it is reported or ballooned.
_TOUCHED_MIB = 800


def targets(subject: Subject) -> Iterator[Row]:
    """Memory in the balloon is not in use on the host, even if the guest has used it before."""
    for target in _TARGETS:
        subject.guest.run(f"echo | memtool hold {_fitting(subject)}")
        wanted = subject.aim(target)
        took = subject.wait_actual(wanted)
        held = subject.held()
        more = "more" if held > wanted / MIB + _QEMU_MIB else "no more"
        told = "told" if subject.announced(wanted) else "not told"
        yield Row(f"balloon {mib(target)}", f"actual {mib(wanted)}, host holds {more} and is"
                  f" {told}, MemTotal less {subject.missing()}", took,
                  shown=f"held {held:.0f} MiB")


def _fitting(subject: Subject) -> int:
    """MiB that a program can have now without deflating the balloon."""
    return min(_TOUCHED_MIB, max(1, subject.actual() // MIB - 256))


def halves(subject: Subject) -> Iterator[Row]:
    """Inflate to half of memory, and deflate again."""
    took = subject.reach(HALF) + subject.reach(subject.bytes)
    yield Row("balloon 512 MiB and back", f"actual {mib(subject.actual())}", took)


def too_little(subject: Subject) -> Iterator[Row]:
    """A target below the guest's minimum: the guest inflates as far as it can, and survives."""
    subject.aim(_TOO_LITTLE)
    subject.wait("most is in the balloon", lambda: subject.actual() < HALF)
    time.sleep(5)
    left = subject.actual()
    expect(_TOO_LITTLE < left, f"actual is {mib(left)}")
    yield Row(f"balloon {mib(_TOO_LITTLE)}", "as far as it goes", mib=left / MIB)
    yield Row("and back", "actual is all", subject.reach(subject.bytes))
    try:
        subject.aim(0)
    except QmpError as refused:
        yield Row("balloon 0", str(refused))


def statistics(subject: Subject) -> Iterator[Row]:
    """The statistics agree with the guest's /proc."""
    start = time.monotonic()
    subject.poll_statistics(1)
    subject.wait("statistics", lambda: subject.statistics()["last-update"] > 0)
    took = time.monotonic() - start
    first = subject.statistics()["last-update"]
    subject.wait("new statistics", lambda: subject.statistics()["last-update"] > first + 1)
    told = subject.statistics()["stats"]
    subject.poll_statistics(0)
    named = sorted(name.removeprefix("stat-") for name, value in told.items()
                   if value != _UNSET)
    unset = sorted(name.removeprefix("stat-") for name, value in told.items()
                   if value == _UNSET)
    yield Row("statistics each second", f"{', '.join(named)};"
              f" absent: {', '.join(unset) or 'none'}", took)
    yield Row("their values", _compare_statistics(subject, told))


_SOURCES = {
    "stat-total-memory": ("MemTotal", "/proc/meminfo", 1024),
    "stat-free-memory": ("MemFree", "/proc/meminfo", 1024),
    "stat-available-memory": ("MemAvailable", "/proc/meminfo", 1024),
    "stat-disk-caches": ("Cached", "/proc/meminfo", 1024),
    "stat-minor-faults": ("pgfault", "/proc/vmstat", 1),
    "stat-major-faults": ("pgmajfault", "/proc/vmstat", 1),
    "stat-swap-in": ("pswpin", "/proc/vmstat", PAGE),
    "stat-swap-out": ("pswpout", "/proc/vmstat", PAGE),
}


def _compare_statistics(subject: Subject, told: dict[str, int]) -> str:
    """Statistics that differ from /proc by more than a thirtieth and a constant."""
    wrong = []
    for name, (key, path, unit) in _SOURCES.items():
        line = subject.guest.run(f"grep -E '^{key}:? ' {path}")
        found = int(line.split()[1]) * unit
        slack = found // 30 + (16 * MIB if unit > 1 else 2000)
        if abs(told[name] - found) > slack:
            wrong.append(f"{name} {told[name]} is {found}")
    return ", ".join(wrong) or "as in the guest's /proc"


def stopped(subject: Subject) -> Iterator[Row]:
    """A target that is set while the guest is stopped."""
    subject.guest.qmp.execute("stop")
    wanted = subject.aim(HALF)
    time.sleep(1)
    before = mib(subject.actual())
    subject.guest.qmp.execute("cont")
    took = subject.wait_actual(wanted)
    yield Row("stop, balloon 512 MiB, cont", f"actual {before}, then {mib(wanted)}", took)
    subject.reach(subject.bytes)


def _hold_too_much(subject: Subject) -> tuple[bool, float]:
    """Whether a program got more memory than was left, and the seconds."""
    start = time.monotonic()
    answer = subject.guest.execute(f"echo | memtool hold {_TOO_MUCH_MIB}", timeout=120)
    return answer.status == 0, time.monotonic() - start


def memory_short(subject: Subject) -> Iterator[Row]:
    """Without deflate-on-oom the balloon stays, and a program is killed."""
    subject.reach(_LEAST)
    got, took = _hold_too_much(subject)
    killed = "Killed process" in subject.guest.dmesg()
    subject.guest.run("dmesg -c >/dev/null")
    # If the host holds less of the free memory, touching it takes longer: the time is not
    # compared.
    yield Row(f"{_TOO_MUCH_MIB} MiB wanted at {mib(_LEAST)}, deflate-on-oom=off",
              f"{'got' if got else 'not got'}, {'killed' if killed else 'not killed'},"
              f" actual {mib(subject.actual())}", shown=f"after {took:.2f} s")
    subject.reach(subject.bytes)


def memory_short_deflating(subject: Subject) -> Iterator[Row]:
    """With deflate-on-oom the balloon shrinks. Its size afterwards depends on the guest."""
    subject.reach(_LEAST)
    got, took = _hold_too_much(subject)
    killed = "Killed process" in subject.guest.dmesg()
    actual = subject.actual()
    grown = "more" if actual > _LEAST else "as before"
    yield Row(f"{_TOO_MUCH_MIB} MiB wanted at {mib(_LEAST)}, deflate-on-oom=on",
              f"{'got' if got else 'not got'}, {'killed' if killed else 'not killed'},"
              f" actual is {grown}", took, actual / MIB)
    time.sleep(3)
    later = "at the target" if subject.actual() == _LEAST else "not at the target"
    yield Row("3 s after it was freed", f"actual is {later}")
    yield Row("balloon 1024 MiB", f"actual {mib(subject.bytes)}", subject.reach(subject.bytes))


def unbound(subject: Subject) -> Iterator[Row]:
    """The driver is unbound through sysfs with a half inflated balloon, and bound again, as
    when a driver is updated."""
    subject.reach(HALF)
    device = subject.device()
    folder = f"{_DRIVERS}/{subject.driver}"
    start = time.monotonic()
    subject.guest.run(f"echo {device} >{folder}/unbind")
    took = time.monotonic() - start
    yield Row("driver unbound at 512 MiB", f"actual {mib(subject.actual())},"
              f" MemTotal less {subject.missing()}", took)
    start = time.monotonic()
    subject.guest.run(f"echo {device} >{folder}/bind")
    subject.wait_actual(HALF)
    took = time.monotonic() - start
    yield Row("driver bound again", f"actual {mib(HALF)}, MemTotal less"
              f" {subject.missing()}", took)
    subject.reach(subject.bytes)


def _vmstat(subject: Subject) -> dict[str, int]:
    """Pages that were inflated, deflated and migrated."""
    lines = subject.guest.run("grep ^balloon_ /proc/vmstat").splitlines()
    return {name.removeprefix("balloon_"): int(value) for name, value in map(str.split, lines)}


def _compact(subject: Subject) -> None:
    """Compact memory; free pages between small pages in use are the targets."""
    job = subject.guest.start_job(f"memtool --small hold {_SCATTERED_MIB} 0")
    job.wait_for("touched")
    job.tell()
    job.wait_for("freed")
    subject.guest.run("for i in 1 2 3; do echo 1 >/proc/sys/vm/compact_memory; done")
    job.tell()
    job.wait()


# Take memory blocks offline until pages of the balloon have moved. Some blocks cannot go
# offline.
_OFFLINE = """
cd /sys/devices/system/memory
before=$(grep balloon_migrate /proc/vmstat)
for block in memory[1-9]*; do
    echo offline >$block/state && echo online >$block/state || continue
    [ "$(grep balloon_migrate /proc/vmstat)" = "$before" ] || break
done 2>/dev/null
"""


def compacted(subject: Subject) -> Iterator[Row]:
    """Pages in the balloon are migrated; none of them is lost or counted twice."""
    before = _vmstat(subject)
    subject.reach(HALF)
    # If all of the balloon lies above the free memory, compaction moves none of its pages.
    _compact(subject)
    subject.guest.run(_OFFLINE)
    moved = "moved" if _vmstat(subject)["migrate"] > before["migrate"] else "not moved"
    missing, actual = subject.missing(), mib(subject.actual())
    subject.reach(subject.bytes)
    grown = {name: count - before[name] for name, count in _vmstat(subject).items()}
    out = "all" if grown["inflate"] == grown["deflate"] else "not all"
    yield Row("compacted, and a part offline, at 512 MiB", f"pages are {moved}, actual {actual},"
              f" MemTotal less {missing}; {out} come out", shown=f"{grown['migrate']} pages")


def rebooted(subject: Subject) -> Iterator[Row]:
    """The machine is reset, and the next kernel has a balloon of the same size."""
    subject.reach(HALF)
    subject.guest.reset()
    subject.look_again()
    actual = mib(subject.actual())
    start = time.monotonic()
    bind(subject.guest, subject.driver)
    subject.wait("a balloon again", lambda: subject.missing() == mib(subject.bytes - HALF))
    # MemTotal changes before the driver updates "actual".
    subject.wait_actual(HALF)
    took = time.monotonic() - start
    yield Row("system_reset at 512 MiB", f"actual {actual}, then {mib(subject.actual())},"
              f" MemTotal less {subject.missing()}", took)
    subject.reach(subject.bytes)


def unplugged(subject: Subject) -> Iterator[Row]:
    """A half inflated device is unplugged; then another one is plugged in, which has
    deflate-on-oom."""
    subject.reach(HALF)
    qmp = subject.guest.qmp
    start = time.monotonic()
    qmp.execute("device_del", id="balloon")
    # Events of the device's parts, which have no id, come first.
    while qmp.wait_event("DEVICE_DELETED", 30)["data"].get("device") != "balloon":
        pass
    took = time.monotonic() - start
    yield Row("device_del at 512 MiB", f"MemTotal less {subject.missing()}", took)
    qmp.execute("device_add", driver="virtio-balloon-pci", id="balloon", bus=_ROOT_PORT,
                **{"free-page-reporting": True, "deflate-on-oom": True})
    # With both drivers loaded, the other one may be bound for a moment.
    took = subject.wait("its driver has it", lambda: _bound(subject) == subject.driver, 10)
    yield Row("device_add", f"same driver, actual {mib(subject.actual())}", took)
    took = subject.reach(HALF)
    yield Row("balloon 512 MiB", f"actual {mib(HALF)}, MemTotal less {subject.missing()}",
              took)
    subject.reach(subject.bytes)


def _bound(subject: Subject) -> str | None:
    """The driver of the balloon; None if there is no balloon, or no driver is bound."""
    paths = "/sys/bus/virtio/devices/*/device"
    if subject.guest.execute(f"grep -q 0x0005 {paths}").status:
        return None
    return balloon_driver(subject.guest)


def reported(subject: Subject) -> Iterator[Row]:
    """Memory that the guest frees is reported after a while."""
    job = subject.guest.start_job("memtool hold 300")
    job.wait_for("touched")
    held = subject.held()
    job.tell()
    took = subject.wait("freed memory is the host's",
                        lambda: subject.held() < held - _MOST_OF_300)
    # virtio_balloon runs every two seconds: its time is random, and not compared.
    yield Row("300 MiB freed", "the host has it", shown=f"after {took:.1f} s")
    job.tell()
    job.wait()


def deflated(subject: Subject) -> Iterator[Row]:
    """Memory that was deflated is free, and not in use on the host. The allocator does not
    know that, so it is reported as all freed memory is; the host's memory stays the same."""
    subject.reach(HALF)
    held = subject.held()
    with subject.guest.host.madvise_traced() as dropped:
        subject.reach(subject.bytes)
        time.sleep(_REPORTED_SECONDS)
    more = "more" if subject.held() > held + _OTHERS_MIB else "no more"
    yield Row("512 MiB deflated, and left alone", f"host holds {more}",
              shown=f"{dropped.bytes / MIB:.0f} MiB reported")


@dataclass(frozen=True)
class Sleep:
    """An action: the guest sleeps with half of its memory in the balloon.

    wake() is called when the suspend begins, and returns when the guest is awake, with the
    balloon's size in between. Until then no request is sent to the agent: a guest that
    hibernates loses everything that it received after its image was written.
    """

    name: str
    command: str
    wake: Callable[[Subject], int]

    def __call__(self, subject: Subject) -> Iterator[Row]:
        subject.reach(HALF)
        # The agent has to answer before the suspend freezes it.
        job = subject.guest.start_job(f"sleep 1; {self.command}")
        asleep = self.wake(subject)
        start = time.monotonic()
        job.wait(60, check=False)
        subject.wait_actual(HALF)
        took = time.monotonic() - start
        yield Row(self.name, f"meanwhile {mib(asleep)}, then {mib(HALF)}, MemTotal less"
                  f" {subject.missing()}", took)
        subject.reach(subject.bytes)


def _log(subject: Subject) -> str:
    """The kernel's log on the serial console, which works without the agent."""
    return subject.guest.serial_log.read_text(errors="replace")


def _push_button(subject: Subject) -> int:
    """Press the power button: only this device wakes a guest from suspend to idle."""
    subject.wait("the guest sleeps", lambda: "suspend entry (s2idle)" in _log(subject))
    time.sleep(3)
    asleep = subject.actual()
    subject.guest.qmp.execute("system_powerdown")
    return asleep


def _wake_up(subject: Subject) -> int:
    subject.guest.qmp.wait_event("SUSPEND", 60)
    asleep = subject.actual()
    subject.guest.qmp.execute("system_wakeup")
    return asleep


def _come_back(subject: Subject) -> int:
    """Wait until the guest has resumed, from the image on its disk. Linux 6.1 finds the disk
    busy then, and continues as the same kernel, which drivers must support as well."""
    subject.wait("an image", lambda: "Image saving done" in _log(subject))
    asleep = subject.actual()
    subject.wait("the guest is back", lambda: "hibernation exit" in _log(subject))
    return asleep


_SWAP = "/dev/vda"

SUSPEND_TO_IDLE = Sleep("suspend to idle at 512 MiB",
                        "modprobe button; echo freeze >/sys/power/state", _push_button)
# Only once in a guest, as its last action: see suspend.py.
SUSPEND_TO_RAM = Sleep("suspend to RAM at 512 MiB",
                       "echo deep >/sys/power/mem_sleep; echo mem >/sys/power/state", _wake_up)
# Hibernate and resume without a power cycle: the image is written to the disk, read again, and
# replaces the running kernel.
HIBERNATE = Sleep("hibernate at 512 MiB",
                  f"modprobe virtio_blk && mkswap {_SWAP} && swapon {_SWAP} &&"
                  f" cat /sys/block/{Path(_SWAP).name}/dev >/sys/power/resume;"
                  " echo test_resume >/sys/power/disk && echo disk >/sys/power/state", _come_back)


# Time in which the balloon reaches its target again.
_SETTLED_SECONDS = 6
_AWAKE = re.compile(r"PM: (suspend|hibernation:.*) exit")
_TOTAL = re.compile(r"MemTotal: +(\d+) kB\n")


def unheard(subject: Subject, sleep: Sleep) -> Iterator[Row]:
    """The same as class Sleep, for kernels on which the agent is silent after a resume: the
    guest writes its answer to the kernel log. It is the last action of this guest."""
    subject.reach(HALF)
    subject.guest.start_job(f"sleep 1; {sleep.command}; sleep {_SETTLED_SECONDS};"
                            " grep MemTotal: /proc/meminfo >/dev/kmsg")
    asleep = sleep.wake(subject)
    subject.wait("the guest is awake", lambda: bool(_AWAKE.search(_log(subject))))
    took = subject.wait_actual(HALF)
    subject.wait("word of the guest", lambda: bool(_TOTAL.search(_log(subject))))
    total = int(_TOTAL.findall(_log(subject))[0])
    yield Row(sleep.name, f"meanwhile {mib(asleep)}, then {mib(subject.actual())}, MemTotal"
              f" less {mib((subject.total_kb - total) * 1024)}", took)


def all_is_back(subject: Subject) -> Iterator[Row]:
    """After all actions the balloon is empty."""
    free = settled_free(subject.guest) / 1024
    yield Row("in the end", f"actual {mib(subject.actual())}, MemTotal less"
              f" {subject.missing()}", mib=subject.bytes / MIB - free)
