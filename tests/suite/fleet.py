# SPDX-License-Identifier: GPL-2.0
"""aerator-fleet: what a host sees of its guests, on prepared files and on real guests."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from aerator_vm import Guest
from aerator_vm.common import TOP

from .fleet_fakes import (Balloon, Fake, Servers, Tree, serve_cut, serve_half, serve_nothing,
                          serve_other)
from .fleet_program import Answer, ask, program, temporary_folder
from .fleet_prometheus import prometheus
from .harness import (MIB, Case, expect, expect_equal, load_aerator, make_guest, meminfo,
                      on_kernels, run_script, wait_until)

_WIDTH = 80
_SIZES = ("configured_bytes", "actual_bytes", "guest_free_bytes", "guest_used_bytes",
          "host_bytes", "host_swap_bytes", "host_cache_bytes", "waste_bytes")


def _expect_sizes(guest: dict[str, Any], *mib: int | None) -> None:
    found = [guest[key] if guest[key] is None else guest[key] // MIB for key in _SIZES]
    expect_equal(found, list(mib), f"{guest['name']}: MiB, {' '.join(_SIZES)}")


def figures() -> Iterator[str]:
    """Three guests have the figures of QMP and of their cgroups, the largest waste first, in
    all forms of output."""
    small = Fake("small", balloon=Balloon(free=100 * MIB, age=1))
    large = Fake("large", 4096 * MIB, Balloon(2048 * MIB, 1536 * MIB, 2, 5, False,
                                              "/machine/peripheral",
                                              "virtio-balloon-pci-transitional"))
    unknown = Fake(None, 512 * MIB, None)
    with temporary_folder() as folder, Servers(folder, small, large, unknown) as servers:
        tree = Tree(folder / "root")
        sizes = ((1000, 10, 200, 50), (1800, 200, 30, 0), (300, 0, 0, 0))
        for number, (pid, (current, swap, file, shmem)) in enumerate(zip(servers.pids, sizes)):
            tree.process(pid, f"/machine.slice/{number}")
            tree.charge(f"/machine.slice/{number}", current * MIB, pid, swap=swap * MIB,
                        file=file * MIB, shmem=shmem * MIB)
        options = ["--root", str(tree.folder), *servers.options]
        _check_json(ask(*options, "--json"), servers.sockets[2])
        yield from _check_table(ask(*options))
        _check_bytes(ask(*options, "--bytes"))
        _check_prometheus(ask(*options, "--prometheus"), servers.sockets[2])


def _check_json(answer: Answer, unnamed: str) -> None:
    expect_equal(answer.status, 0, f"status, with {answer.err}")
    found = answer.json
    expect_equal(found["schema"], 1, "schema")
    expect_equal([guest["name"] for guest in found["guests"]], ["large", "small", unnamed],
                 "order")
    _expect_sizes(answer.guest("small"), 1024, 1024, 100, 924, 1010, 10, 150, 86)
    _expect_sizes(answer.guest("large"), 4096, 2048, 1536, 512, 2000, 200, 30, 1488)
    _expect_sizes(answer.guest(unnamed), 512, 512, None, None, 300, 0, 0, None)
    expect_equal([guest["reporting"] for guest in found["guests"]], [False, True, False],
                 "reporting")
    total = found["total"]
    expect_equal((total["waste_bytes"], total["host_bytes"], total["incomplete"]),
                 (1574 * MIB, 3310 * MIB, 1), "total")
    expect(0 <= answer.guest("small")["statistics_age_seconds"] < 30, "age of the statistics")


def _check_table(answer: Answer) -> Iterator[str]:
    lines = answer.out.splitlines()
    yield from lines
    expect(all(len(line) <= _WIDTH for line in lines), "a line is too long")
    expect("\033" not in answer.out, "colours, or other controls, on a pipe")
    rows = [line.split() for line in lines[:5]]
    expect_equal(rows[1][:8], ["large", "4.0G", "2.0G", "512M", "2.0G", "30M", "1.5G", "off"],
                 "first line")
    expect_equal(rows[4], ["total", "known", "5.5G", "3.5G", "1.4G", "3.2G", "180M", "1.5G"],
                 "last line")
    expect("no balloon" in " ".join(lines[5:]), "no note of the guest without a balloon")


def _check_bytes(answer: Answer) -> None:
    expect(str(1488 * MIB) in answer.out.splitlines()[1], "--bytes does not print bytes")


def _check_prometheus(answer: Answer, unnamed: str) -> None:
    def value(metric: str, guest: str) -> int | None:
        text = re.escape(f'aerator_fleet_guest_{metric}{{guest="{guest}"}} ')
        found = re.search(f"^{text}(-?\\d+)$", answer.out, re.M)
        return int(found[1]) if found else None

    expect_equal(value("waste_bytes", "large"), 1488 * MIB, "waste")
    expect_equal(value("reporting", "large"), 0, "reporting")
    expect_equal(value("waste_bytes", unnamed), None, "waste that is not known")
    expect_equal(value("errors", unnamed), 0, "errors")
    expect("\naerator_fleet_guests 3\n" in answer.out, "number of guests")


# Cgroups

_CURRENT = 500 * MIB

# Each of these prepares the files of a guest whose QEMU has a pid, in a cgroup that has the
# name of the case.
_Prepare = Callable[[Tree, int, str], None]


def _plain(tree: Tree, pid: int, group: str) -> None:
    tree.process(pid, group)
    tree.charge(group, _CURRENT, pid, swap=20 * MIB, file=7 * MIB, shmem=3 * MIB)


def _threaded(tree: Tree, pid: int, group: str) -> None:
    """As libvirt does it: the group of the process has no figures, and lists no processes."""
    _plain(tree, pid, group)
    tree.process(pid, f"{group}/libvirt/emulator")
    tree.group(f"{group}/libvirt/emulator").mkdir(parents=True)


def _helper(tree: Tree, pid: int, group: str) -> None:
    """A process beside QEMU, which maps the guest's memory and has little of its own, and one
    that has ended."""
    tree.process(pid, group)
    tree.process(1, group, anon=2000, shmem=500 << 10)
    tree.charge(group, _CURRENT, pid, 1, 2, swap=20 * MIB, file=4 * MIB)


def _huge(tree: Tree, pid: int, group: str) -> None:
    tree.process(pid, group, huge=64 << 10)
    tree.charge(group, _CURRENT - 64 * MIB, pid, swap=20 * MIB, file=4 * MIB)


def _huge_charged(tree: Tree, pid: int, group: str) -> None:
    """The host charges cgroups for pages of hugetlbfs, too."""
    _plain(tree, pid, group)
    tree.process(pid, group, huge=64 << 10)
    mounts = tree.path("/proc/mounts")
    mounts.write_text(mounts.read_text().replace("2 rw", "2 rw,memory_hugetlb_accounting"))


def _without_swap(tree: Tree, pid: int, group: str) -> None:
    """The host has no swap, and does not account it."""
    tree.process(pid, group)
    tree.charge(group, _CURRENT + 20 * MIB, pid, swap=None, file=4 * MIB)


def _shared(tree: Tree, pid: int, group: str) -> None:
    """Another process in a group below has much memory."""
    _plain(tree, pid, group)
    tree.process(3, f"{group}/other", anon=100 << 10)
    tree.charge(f"{group}/other", _CURRENT, 3)


def _common(tree: Tree, pid: int, group: str) -> None:
    """Several guests are in a cgroup, with memory that is shared with other processes."""
    _plain(tree, pid, "/common")


def _root_group(tree: Tree, pid: int, group: str) -> None:
    tree.process(pid, "/")


def _no_account(tree: Tree, pid: int, group: str) -> None:
    """The host has swap, and does not account it."""
    tree.process(pid, group)
    tree.charge(group, _CURRENT, pid, swap=None)


def _broken(name: str, text: str | None) -> _Prepare:
    """The same as _plain, but a file is cut, wrong, missing (None), or cannot be read ("/")."""
    def prepare(tree: Tree, pid: int, group: str) -> None:
        _plain(tree, pid, group)
        path = (tree.path(name.replace("PID", str(pid))) if name.startswith("/") else
                tree.group(group, name))
        path.unlink()
        if text == "/":
            path.mkdir()
        elif text is not None:
            path.write_text(text)
    return prepare


_KNOWN = ((_plain, 2), (_plain, 1), (_threaded, 2), (_helper, 2), (_helper, 1), (_huge, 2),
          (_huge, 1))
# On a host of their own.
_KNOWN_ALONE = ((_huge_charged, 2, True), (_without_swap, 1, False), (_without_swap, 2, False))
_NOTED = ((_shared, 2, "1 other processes with 100 MiB"), (_root_group, 2, "in no cgroup with"),
          (_common, 2, "other guests"), (_common, 2, "other guests"),
          (_no_account, 2, "does not account swap"), (_no_account, 1, "does not account swap"))
_BROKEN = (("memory.current", "52428", 2, "empty or cut"),
           ("memory.current", "", 2, "empty or cut"),
           ("memory.current", "many\n", 2, "not a number"),
           ("memory.current", "/", 2, "Is a directory"),
           ("memory.swap.current", "-1\n", 2, "not a number"),
           ("memory.usage_in_bytes", None, 1, "No such file"),
           ("memory.stat", None, 2, "No such file"),
           ("memory.stat", "anon 1\n", 2, "no figure of the page cache"),
           ("memory.stat", "total_cache 1\ntotal_swap 0\n", 1, "no figure of the page cache"),
           ("/proc/PID/cgroup", None, 2, "No such file"),
           ("/proc/PID/cgroup", "garbage\n", 2, "no memory cgroup"),
           ("/proc/PID/status", "", 2, "empty or cut"))


def _ask_prepared(version: int, swap: bool, *prepares: _Prepare) -> tuple[int, list[Any]]:
    """Ask for a guest for each of these functions; return the status, and the guests."""
    fakes = [Fake(f"/vm-{number}", balloon=Balloon(free=824 * MIB, age=1))
             for number, _ in enumerate(prepares)]
    with temporary_folder() as folder, Servers(folder, *fakes) as servers:
        tree = Tree(folder / "root", version, swap)
        tree.group("/").mkdir(parents=True)
        for prepare, fake, pid in zip(prepares, fakes, servers.pids):
            prepare(tree, pid, fake.name or "")
        answer = ask("--root", tree.folder, *servers.options, "--json")
        found = [answer.guest(fake.name or "") for fake in fakes]
        for guest in found:
            for error in guest["errors"]:
                expect(f"{guest['name']}: {error}\n" in answer.err, f"stderr: {answer.err}")
        return answer.status, found


def cgroups() -> None:
    """What the host holds is the cgroup's memory and swap, v1 and v2; where that cannot be
    known it is null, with a note that says why."""
    for version in (1, 2):
        known = [prepare for prepare, wanted in _KNOWN if wanted == version]
        noted = [(prepare, words) for prepare, wanted, words in _NOTED if wanted == version]
        status, guests = _ask_prepared(version, True, *known, *(prepare for prepare, _ in noted))
        expect_equal(status, 0, "status")
        for prepare, guest in zip(known, guests):
            _expect_sizes(guest, 1024, 1024, 824, 200, 520, 20, 4, 320)
        for (_, words), guest in zip(noted, guests[len(known):], strict=True):
            _expect_unknown(guest, "notes", words)
    for prepare, version, swap in _KNOWN_ALONE:
        status, [guest] = _ask_prepared(version, swap, prepare)
        _expect_sizes(guest, 1024, 1024, 824, 200, 520, 20 * swap, 4, 320)


def cgroup_faults() -> None:
    """A file of /proc or of the cgroup that is missing, cut, wrong or unreadable is an error,
    and the figure is null."""
    for version in (1, 2):
        broken = [(_broken(name, text), words) for name, text, wanted, words in _BROKEN
                  if wanted == version]
        status, guests = _ask_prepared(version, True, *(prepare for prepare, _ in broken))
        expect_equal(status, 1, "status")
        for (_, words), guest in zip(broken, guests, strict=True):
            _expect_unknown(guest, "errors", words)
    status, [guest] = _ask_prepared(2, True, _broken("/proc/mounts", "proc /proc proc rw 0 0\n"))
    _expect_unknown(guest, "errors", "no memory cgroups are mounted")


def _expect_unknown(guest: dict[str, Any], place: str, words: str) -> None:
    """What cannot be known is null and there is one reason; the rest is known."""
    nulls = (("host_cache_bytes",) if "page cache" in words else ("host_bytes", "waste_bytes"))
    expect_equal([guest[key] for key in nulls], [None] * len(nulls), words)
    expect_equal(len(guest["notes"]) + len(guest["errors"]), 1, f"reasons of {guest}")
    expect(words in guest[place][0], f"{words}: {guest}")
    expect_equal(guest["guest_used_bytes"], 200 * MIB, words)


# Statistics

_STATISTICS = (
    (Balloon(free=100 * MIB, age=None, period=0), "are off: --poll"),
    (Balloon(free=100 * MIB, age=None, period=7), "has sent no statistics yet: ask again in 7"),
    (Balloon(free=100 * MIB, age=1000, period=0), "s old, and off"),
    (Balloon(free=100 * MIB, age=1000, period=5), "s old: its balloon driver is missing"),
    (Balloon(age=1), "does not say how much memory is free"),
    (Balloon(free=1025 * MIB, age=1), "more memory is free"),
    (None, "no balloon device"))


def statistics() -> None:
    """Free memory is not known without statistics of the guest, or with old ones, and a note
    says why; more free memory than there is is an error."""
    fakes = [Fake(str(number), balloon=balloon)
             for number, (balloon, _) in enumerate(_STATISTICS)]
    with temporary_folder() as folder, Servers(folder, *fakes) as servers:
        for pid in servers.pids:
            _plain(Tree(folder), pid, f"/{pid}")
        answer = ask(*servers.options, "--root", folder, "--json")
    for number, (_, words) in enumerate(_STATISTICS):
        found = answer.guest(str(number))
        expect_equal([found[key] for key in ("guest_free_bytes", "guest_used_bytes",
                                             "waste_bytes")], [None] * 3, words)
        expect_equal((found["actual_bytes"], found["host_bytes"]), (1024 * MIB, 520 * MIB), words)
        expect(words in " ".join(found["notes"] + found["errors"]), f"{words}: {found}")


def polling() -> None:
    """A guest is changed by --poll only."""
    fake = Fake("one", balloon=Balloon(period=0))
    with temporary_folder() as folder, Servers(folder, fake) as servers:
        for options, period in (((), 0), (("--poll", "3"), 3), ((), 3)):
            found = ask(*servers.options, *options, "--json").guest("one")
            expect_equal(found["statistics_period_seconds"], period, f"period after {options}")


# Faults

_FAULTS = {
    "silent": (Fake("silent", serve=serve_nothing), "within 3 s from QEMU, which has not greeted"),
    "held": (Fake("held", accepts=False), "within 3 s from QEMU, which has not greeted"),
    "hung": (Fake("hung", serve=serve_half), "within 3 s from query-balloon"),
    "cut": (Fake("cut", serve=serve_cut), "the connection was closed"),
    "other": (Fake("other", serve=serve_other), "this is not QMP"),
}


def faults() -> Iterator[str]:
    """A source that hangs, closes, or is something else is an error line within the time limit,
    and the other guests are shown."""
    fakes = [fake for fake, _ in _FAULTS.values()]
    good = Fake("good", balloon=Balloon(free=100 * MIB, age=1))
    with temporary_folder() as folder, Servers(folder, *fakes, good) as servers:
        stale = folder / "stale"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(stale))
        options = [*servers.options, "--qmp", str(folder / "none"), "--qmp", str(stale)]
        program()
        start = time.monotonic()
        answer = ask(*options, "--timeout", "3", "--json")
        yield f"{len(options) // 2} guests, of which 3 hang: {time.monotonic() - start:.1f} s"
        expect_equal(answer.status, 1, "status")
        for path, (_, words) in zip(servers.sockets, _FAULTS.values()):
            expect(re.search(f"^aerator-fleet: {path}: .*{words}", answer.err, re.M),
                   f"{words}: {answer.err}")
        expect(f"{folder}/none: No such file" in answer.err, answer.err)
        expect(f"{stale}: Connection refused" in answer.err, answer.err)
        expect_equal(answer.guest("good")["guest_free_bytes"], 100 * MIB, "the good guest")
        _expect_given_up(servers)


def _expect_given_up(servers: Servers) -> None:
    """All hanging guests are waited for at the same time, by default for 5 s: one after the
    other, they would take 15."""
    start = time.monotonic()
    ask(*[word for path in servers.sockets[:3] for word in ("--qmp", path)])
    took = time.monotonic() - start
    expect(5 <= took < 14, f"{took:.1f} s for three guests that hang")


def libvirt_silent() -> None:
    """A libvirtd that accepts and says nothing, and none at all, are an error line."""
    with temporary_folder() as folder, Servers(folder, Fake("x", serve=serve_nothing)) as servers:
        uri = f"qemu+unix:///system?socket={servers.sockets[0]}"
        start = time.monotonic()
        answer = ask("--connect", uri, "--timeout", "3")
        expect(time.monotonic() - start < 20, "libvirt was waited for too long")
        expect_equal((answer.status, answer.out), (1, ""), "status and output")
        expect_equal(answer.err,
                     f"aerator-fleet: {uri}: no answer within 3 s from libvirt\n", "stderr")
        answer = ask("--connect", f"{uri}-none", "--json")
        expect_equal((answer.status, answer.json["guests"]), (1, []), "status and guests")
        expect("Failed to connect" in answer.json["errors"][0], str(answer.json))


# Command line

_BAD = (("--qmp",), ("--timeout", "0"), ("--timeout", "1x"), ("--watch=-1",), ("--poll", ""),
        ("--nothing",), ("word",), ("--qmp", "a", "--connect", "b"),
        ("--json", "--prometheus"), ("--watch", "--textfile", "a"))


def usage() -> None:
    """A wrong command line is refused with status 2, and nothing on stdout; --help and
    --version are not."""
    for words in _BAD:
        answer = ask(*words)
        expect_equal((answer.status, answer.out), (2, ""), f"status and output of {words}")
        expect("Try aerator-fleet --help." in answer.err, answer.err)
    text = ask("--help").out
    expect(all(len(line) <= _WIDTH for line in text.splitlines()), "a line of --help is too long")
    version = re.search(r"^aerator-version := (\S+)$", (TOP / "module/Kbuild").read_text(), re.M)
    expect_equal(ask("--version").out, f"aerator-fleet {version and version[1]}\n", "version")
    with open("/dev/full", "w") as full:
        result = subprocess.run([program(), "--help"], stdout=full, check=False)
    expect_equal(result.returncode, 1, "status if stdout is full")


def fleet_documents() -> None:
    """The manual page is well formed, and it and the completion have all options."""
    page = TOP / "Documentation/aerator-fleet.1"
    expect_equal(run_script("mandoc", "-T", "lint", "-W", "warning", page), "", "mandoc")
    wanted = set(re.findall(r"(?<= )--?[a-z]+", ask("--help").out.replace(",", "")))
    text = page.read_text().replace("\\-", "-")
    lacking = [option for option in sorted(wanted)
               if not re.search(rf"^\.BR? (.* )?\"?{option}\b", text, re.M)]
    expect_equal(lacking, [], "options that the manual page lacks")
    long = {option for option in wanted if option.startswith("--")}
    completed = (TOP / "packaging/bash-completion/aerator-fleet").read_text()
    expect_equal(long - set(re.findall(r"--[a-z]+", completed)), set(),
                 "options that the completion lacks")
    version = ask("--version").out.split()[1]
    expect(f'"aerator {version}"' in text, f"the manual page is not of version {version}")
    completion = ("source packaging/bash-completion/aerator-fleet;"
                  " COMP_WORDS=(aerator-fleet --pr); COMP_CWORD=1; _aerator_fleet;"
                  " echo ${COMPREPLY[@]}")
    expect_equal(run_script("bash", "-c", completion), "--prometheus\n", "completion of --pr")


def textfile() -> None:
    """The file for node_exporter is replaced as a whole, and stays if that fails; guests of one
    name have labels of their own."""
    fake = Fake('na"me\\', balloon=Balloon(free=100 * MIB, age=1))
    with temporary_folder() as folder, Servers(folder, fake, fake) as servers:
        path = folder / "out" / "fleet.prom"
        expect_equal(ask(*servers.options, "--textfile", path).status, 1, "status, no folder")
        path.parent.mkdir()
        answer = ask(*servers.options, "--textfile", path)
        expect_equal(answer.out, "", "stdout")
        expect_equal([entry.name for entry in path.parent.iterdir()], [path.name], "files")
        expect_equal(path.stat().st_mode & 0o777, 0o644, "mode")
        labels = re.findall(r"^aerator_fleet_guest_free_bytes\{guest=(.*)\} 104857600$",
                            path.read_text(), re.M)
        expect_equal(labels, [f'"na\\"me\\\\ ({socket})"' for socket in servers.sockets], "labels")


def watch() -> None:
    """--watch prints all anew, one object of JSON a line, and says for how long waste is there."""
    fake = Fake("one", balloon=Balloon(free=924 * MIB, age=1))
    with temporary_folder() as folder, Servers(folder, fake) as servers:
        tree = Tree(folder / "root")
        tree.process(servers.pids[0], "/vm")
        tree.charge("/vm", 600 * MIB, servers.pids[0])
        command = [str(program()), "--root", str(tree.folder), *servers.options, "--json",
                   "--watch", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                _check_watch(process, tree, servers.pids[0])
            finally:
                process.terminate()


def _check_watch(process: subprocess.Popen[str], tree: Tree, pid: int) -> None:
    assert process.stdout
    found = [json.loads(process.stdout.readline())["guests"][0] for _ in range(3)]
    expect_equal([guest["waste_bytes"] for guest in found], [500 * MIB] * 3, "waste")
    seconds = [guest["waste_seconds"] for guest in found]
    expect(seconds[0] == 0 and seconds[2] >= 1, f"seconds of waste: {seconds}")
    # Less than half of what it is later: the time begins anew.
    tree.charge("/vm", 300 * MIB, pid)
    while json.loads(process.stdout.readline())["guests"][0]["waste_bytes"] > 200 * MIB:
        pass
    tree.charge("/vm", 600 * MIB, pid)
    while (last := json.loads(process.stdout.readline())["guests"][0])["waste_bytes"] \
            < 500 * MIB:
        pass
    expect(last["waste_seconds"] < seconds[2] + 1, f"seconds of new waste: {last}")


# Real guests

_MEM = 512
_FREED = 300
# What changes between two looks at a guest that is left alone.
_SLACK = 24 * MIB


def _touch(guest: Guest, driver: str) -> None:
    """Load a driver; then a program touches memory, and frees it."""
    if driver == "aerator":
        load_aerator(guest)
    else:
        guest.run("modprobe virtio_balloon")
    guest.run(f"echo | memtool hold {_FREED}")


def _held(guest: Guest) -> int:
    """What the host holds; 0 where a machine has no memory cgroups for tests."""
    return guest.host.memory_current() or 0


def _compare(guest: Guest, options: list[str], name: str) -> dict[str, Any]:
    """The figures of a guest are those of its cgroup's files, and of its /proc/meminfo."""
    before, free = _held(guest), meminfo(guest, "MemFree") << 10
    found = ask(*options, "--json").guest(name)
    expect_equal((found["notes"], found["errors"]), ([], []), f"reasons of {name}")
    expect_equal((found["configured_bytes"], found["actual_bytes"]), (_MEM * MIB, _MEM * MIB),
                 f"sizes of {name}")
    low, high = sorted((before, _held(guest)))
    expect(low - _SLACK <= found["host_bytes"] <= high + _SLACK,
           f"{name}: host_bytes {found['host_bytes']}, cgroup {low} to {high}")
    expect(abs(found["guest_free_bytes"] - free) < _SLACK,
           f"{name}: guest_free_bytes {found['guest_free_bytes']}, MemFree {free}")
    expect_equal(found["waste_bytes"], found["host_bytes"] - (
        found["actual_bytes"] - found["guest_free_bytes"]), f"waste of {name}")
    return found


_REAL = {"unreported": ("virtio_balloon", False), "stock": ("virtio_balloon", True),
         "treated": ("aerator", True)}


def fleet_guests(kernel: str) -> Iterator[str]:
    """Of three guests that have freed memory, those that report it waste less; their figures
    are those of their cgroups, and of their /proc/meminfo."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        running = {name: stack.enter_context(make_guest(
            kernel, f"fleet-{name}", mem=_MEM, smp=1,
            balloon={"free-page-reporting": offered},
            qemu_args=("-name", name, "-qmp", f"unix:{folder / name},server=on,wait=off")))
            for name, (_, offered) in _REAL.items()}
        if any(guest.host.memory_current() is None for guest in running.values()):
            yield "SKIPPED: no memory cgroup here"
            return
        options = [word for name in running for word in ("--qmp", str(folder / name))]
        for name, guest in running.items():
            _touch(guest, _REAL[name][0])
        ask(*options, "--poll", "1")
        wait_until("statistics, and a report of all guests", 60,
                   lambda: _settled(ask(*options, "--json")))
        found = {name: _compare(guest, options, name) for name, guest in running.items()}
        answer = ask(*options)
        expect_equal(answer.status, 0, f"status, with {answer.err}")
        yield from answer.out.splitlines()
        for name, (_, offered) in _REAL.items():
            expect_equal(found[name]["reporting"], offered, f"reporting of {name}")
        expect_equal(answer.out.split("\n")[1].split()[0], "unreported", "first line")
        expect(found["unreported"]["waste_bytes"] > (_FREED - 50) * MIB,
               f"waste without reporting: {found['unreported']}")


def _settled(answer: Answer) -> bool:
    """Whether each guest has sent statistics, and those that report have reported."""
    return all(guest["waste_bytes"] is not None
               and (not guest["reporting"] or guest["waste_bytes"] < _FREED // 2 * MIB)
               for guest in answer.json["guests"])


CASES = [
    Case("fleet-figures", figures),
    Case("fleet-cgroups", cgroups),
    Case("fleet-cgroup-faults", cgroup_faults),
    Case("fleet-statistics", statistics),
    Case("fleet-polling", polling),
    Case("fleet-faults", faults, sleeps=True),
    Case("fleet-libvirt-silent", libvirt_silent),
    Case("fleet-usage", usage),
    Case("fleet-documents", fleet_documents),
    Case("fleet-textfile", textfile),
    Case("fleet-watch", watch, sleeps=True),
    Case("fleet-prometheus", prometheus, long=True),
    *on_kernels(fleet_guests, ("6.12",), long=True, sleeps=True),
]
