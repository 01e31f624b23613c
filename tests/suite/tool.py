# SPDX-License-Identifier: GPL-2.0
"""The guest's command line tool, aerator: on prepared trees of sysfs and /proc, and in guests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aerator_vm import Guest
from aerator_vm.common import TOP

from . import documents_facts as facts
from .documents import parameters_of_guests
from .fleet_prometheus import folder_of_prometheus
from .harness import (MODULE, Case, balloon_driver, counters, expect, expect_equal, load_aerator,
                      make_guest, module_file, on_kernels, run_script)
from .tool_doctor import doctor
from .tool_tree import DEVICE, PARAMETERS, Tree, guest_files


def _status_shows(tree: Tree) -> None:
    """status shows what the files say, as a table and as JSON."""
    table, said = tree.run()
    expect_equal(said, "", "messages")
    head, line = (text.split() for text in table.splitlines())
    expect_equal(dict(zip(head, line)),
                 {"DEVICE": "virtio1", "DRIVER": "aerator", "INTAKE": "reporting", "ORD": "9",
                  "STAGE": "idle", "FREE": "3.0G", "SURPLUS": "2.9G", "REPORTED": "2.9G",
                  "LAST": "2h", "BALLOON": "64M", "ERR": "3"}, "table of status")
    device, = tree.json("status")["devices"]
    wanted = {path.name: path.read_text().strip()
              for path in (tree.root / DEVICE / "aerator").iterdir()
              if path.name not in ("flush", "windows", "treated_bytes", "raw_bytes", "refusals",
                                   "stages")}
    expect_equal({name: str(device.get(name)) for name in wanted}, wanted, "JSON of status")
    expect_equal([window["ms"] for window in device["windows"] if window["used"]], [75],
                 "windows in use")
    expect_equal(device["refusals"], {"window": 4, "limit": 0, "rate": 1}, "refusals")
    expect_equal(device["stages"]["decant"], {"batches": 11, "us": 55}, "stage decant")
    expect_equal(device["order"], 9, "order in the JSON of status")
    raw, _ = tree.run("status", "--raw", "--noheadings", "--output", "surplus,device")
    expect_equal(raw.split(), [str(3000 << 20), "virtio1"], "raw columns")


def status() -> None:
    """aerator status shows what sysfs and /proc say, with 80 columns, and as JSON."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        _status_shows(Tree(Path(name, "aerator"), raw=120,
                           files={"errors": 3, "inflated_bytes": 64 << 20,
                                  "last_report": int(time.time()) - 8000, "reused_bytes": 7}))
        unknown, = Tree(Path(name, "unknown")).json("status")["devices"]
        expect("reused_bytes" not in unknown, f"reused memory that is not known: {unknown}")
        tree = Tree(Path(name, "balloon"), driver="virtio_balloon")
        device, = tree.json("status")["devices"]
        expect_equal(device, {"name": "virtio1", "driver": "virtio_balloon",
                              "reporting": True}, "JSON with virtio_balloon")
        expect("virtio_balloon -" in tree.run()[0], "no table with virtio_balloon")
        expect_equal(tree.run("--sysroot", str(Path(name, "aerator")), "--json", "status")[0],
                     tree.run("status", "--json", "--sysroot", str(Path(name, "aerator")))[0],
                     "output with options before the verb")
        _, said = Tree(Path(name, "none"), driver="x").run("status", "virtio7", status=1)
        expect("virtio7 is no balloon device" in said, said)
        for words, wrong in ((("frobnicate",), "frobnicate"), (("status", "--colour"), "--colour"),
                             (("status", "--output", "SIZE"), "SIZE"),
                             (("status", "a", "b"), "b")):
            _, said = tree.run(*words, status=2)
            expect(f"'{wrong}'" in said and "--help" in said, said)


_Breaker = Callable[[Path], object]


def _cut(path: Path) -> None:
    """Cut a file within its last number or word."""
    path.write_text(path.read_text().rstrip()[:-1])


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


# Ways to break a file. A folder in place of a file cannot be read, not even by root; a FIFO
# hangs.
_BREAKERS: dict[str, _Breaker] = {
    "cut": _cut,
    "empty": lambda path: path.write_text(""),
    "missing": Path.unlink,
    "unreadable": lambda path: _replace(path, Path.mkdir),
    "no number": lambda path: path.write_text("-1\n"),
    "too large": lambda path: path.write_text("99999999999999999999\n"),
}

_BROKEN_FILES = ("reported_bytes", "surplus_bytes", "windows", "stage", "refusals", "stages",
                 "reused_bytes")
_BROKEN = (*(f"{DEVICE}/aerator/{file}" for file in _BROKEN_FILES), f"{DEVICE}/features",
           f"{PARAMETERS}/order", "proc/meminfo", "proc/buddyinfo", "proc/zoneinfo")


def _broken(folder: Path, number: int, path: str, breaker: _Breaker, what: str) -> None:
    tree = Tree(folder / str(number))
    file = tree.root / path
    breaker(file)
    for words in (("status",), ("status", "--json")):
        output, said = tree.run(*words, status=1)
        expect_equal(output, "", f"output with {path} {what}")
        expect(said.startswith("aerator: ") and said.count("\n") == 1 and f"/{path}" in said,
               f"no error line with {path} {what}: {said!r}")


def broken() -> list[str]:
    """A file that is cut, missing, unreadable, wrong, or hangs, gives an error line, and no
    number."""
    # Any word may be a stage.
    cases = [(path, what) for path in _BROKEN for what in _BREAKERS
             if not (path.endswith("stage") and what in ("no number", "too large"))]
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        for number, (path, what) in enumerate(cases):
            _broken(Path(name), number, path, _BREAKERS[what], what)
        tree = Tree(Path(name, "hangs"))
        _replace(tree.root / DEVICE / "aerator/cycles", os.mkfifo)
        output, said = tree.run("status", "--json", status=1)
        expect(not output and "cycles: no answer within 4 s" in said, said)
    return [f"{len(cases)} broken files"]


def _tool(guest: Guest, words: str, status: int = 0) -> str:
    answer = guest.execute(f"aerator {words} 2>&1")
    output = answer.output.decode()
    expect_equal(answer.status, status, f"status of aerator {words}:\n{output}")
    return output


def _check_status(guest: Guest, folder: str) -> None:
    """The counters that status prints are those of sysfs."""
    guest.run("echo | memtool hold 128")
    guest.run(f"echo 1 >{folder}/flush")
    guest.run("echo 0 >/sys/module/aerator/parameters/enabled")
    device, = json.loads(_tool(guest, "status --json"))["devices"]
    found = counters(guest, folder)
    named = [name for name in found if name in device and name != "surplus_bytes"]
    expect(len(named) > 8, f"status has {named} only")
    expect_equal({name: device[name] for name in named},
                 {name: found[name] for name in named}, "counters")
    expect(found["reported_bytes"] > 100 << 20, "nothing was reported")
    guest.run("echo 1 >/sys/module/aerator/parameters/enabled")


def _check_user(guest: Guest) -> None:
    """Without root, status shows all files but those of root."""
    guest.run("mkdir -p /etc && echo plain:x:65534:65534::/:/bin/sh >/etc/passwd")
    text = guest.run("su plain -c 'aerator status --json'")
    device, = json.loads(text)["devices"]
    expect("reported_bytes" in device and "surplus_bytes" not in device, text)


_CACHE_MIB = 500
_USE = "echo | memtool hold 400"

# What a guest does, and the first reason that it has then; each begins with nothing in use.
_GUEST_REASONS = (
    # The cache of a disk is dropped when it is closed.
    ("cache_clean", "sleep 100 </dev/vda >/dev/null 2>&1 &"
     f" dd if=/dev/vda of=/dev/null bs=1M count={_CACHE_MIB} 2>&1", ""),
    ("fragments", "", "memtool --small hold 500 0"),
    ("window", f"echo 60000 >/sys/module/aerator/parameters/window_ms; {_USE}", ""),
    ("reserve", f"cd /sys/module/aerator/parameters; echo 0 >window_ms; echo 700 >reserve_mb;"
     f" {_USE}", ""),
    ("paused", f"cd /sys/module/aerator/parameters; echo 0 >enabled; echo 0 >reserve_mb; {_USE}",
     ""),
)


def _first_reason(guest: Guest) -> str:
    """The first reason that why gives; its parts are the memory that /proc shows."""
    found = json.loads(_tool(guest, "why --json"))
    total = int(guest.run("awk '/^MemTotal/ { print $2 }' /proc/meminfo")) << 10
    expect_equal(sum(found["parts"].values()), total, "sum of the parts")
    expect(abs(found["parts"]["other"]) < 150 << 20, f"much is unexplained: {found['parts']}")
    return found["reasons"][0]["name"]


def _check_reasons(guest: Guest) -> None:
    """why names the true reason first."""
    guest.run("modprobe virtio_blk; ls /dev/vda")
    for wanted, command, hold in _GUEST_REASONS:
        guest.run(command or "true")
        job = guest.start_job(hold) if hold else None
        if job:
            job.wait_for("touched")
            job.tell()
            job.wait_for("freed")
        found, text = _first_reason(guest), _tool(guest, "why")
        expect_equal(found, wanted, f"first reason:\n{text}")
        if job:
            job.tell()
            job.wait()
        guest.run("echo 3 >/proc/sys/vm/drop_caches; cd /sys/module/aerator/parameters;"
                  " echo 1 >enabled; echo 0 >reserve_mb; echo auto >window_ms")


def why_hosts(kernel: str) -> None:
    """why names a host that keeps what is reported, and a guest whose free pages are
    poisoned."""
    with make_guest(kernel, "tool-locked", mem=256, files=guest_files(),
                    qemu_args=("-overcommit", "mem-lock=on")) as guest:
        folder = load_aerator(guest)
        guest.run(f"echo 1 >{folder}/flush")
        expect_equal(_first_reason(guest), "ignored", "first reason")
    with make_guest(kernel, "tool-poisoned", mem=512, files=guest_files(), append="init_on_free=1",
                    balloon={"free-page-reporting": True, "page-poison": False}) as guest:
        guest.run("modprobe virtio_balloon")
        guest.insmod(MODULE)
        expect_equal(_first_reason(guest), "poisoned", "first reason")


# A tree, the first reason that it shows, and a word of the text for people.
_TREES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("cache_clean", "--drop-cache", {"used": {"Cached": 900}}),
    ("cache_dirty", "sync", {"used": {"Cached": 900, "Dirty": 700}}),
    ("fragments", "--compact", {"fragments": 700}),
    ("window", "0.4 s", {"raw": 600, "files": {"windows": "75 9\n150 0 *\n300 4"}}),
    ("window", "120.1 s", {"raw": 600, "parameters": {"window_ms": "60000"}}),
    ("reserve", "reserve_mb=0", {"treated": 2500, "raw": 800, "parameters": {"reserve_mb": 800}}),
    ("share", "share_pct=100", {"treated": 2048, "raw": 1200, "parameters": {"share_pct": 50}}),
    ("rate", "rate_mb=0", {"treated": 1000, "raw": 1500, "parameters": {"rate_mb": 10},
                           "files": {"surplus_bytes": 2500 << 20}}),
    ("going", "flush", {"treated": 1000, "raw": 1500, "files": {"surplus_bytes": 2500 << 20}}),
    ("paused", "aerator resume", {"raw": 500, "parameters": {"enabled": 0}}),
    ("ignored", "VFIO", {"files": {"host_discards": "no"}, "used": {"AnonPages": 1000}}),
    ("not_offered", "freePageReporting", {"driver": "virtio_balloon", "features": 0}),
    ("no_driver", "modprobe", {"driver": ""}),
    ("anonymous", "ps -e", {"treated": 100, "used": {"AnonPages": 3500}}),
    ("huge_pages", "nr_hugepages", {"treated": 1000, "used": {"Hugetlb": 2048}}),
    ("shmem", "tmpfs", {"treated": 1000, "used": {"Cached": 2000, "Shmem": 1950}}),
)


def why() -> list[str]:
    """aerator why names the true reason first, and its parts are all of the memory."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        for number, (wanted, word, arguments) in enumerate(_TREES):
            tree = Tree(Path(name, str(number)), **arguments)
            found = tree.json("why")
            expect_equal(found["reasons"][0]["name"], wanted, f"first reason of {arguments}")
            expect_equal(sum(found["parts"].values()), found["total_bytes"], "sum of the parts")
            text = " ".join(tree.run("why")[0].split())
            expect(word in text, f"no '{word}' in the text of {wanted}: {text}")
        tree = Tree(Path(name, "poisoned"), driver="virtio_balloon", features=0)
        tree.write("proc/cmdline", "quiet init_on_free=1\n")
        expect_equal(tree.json("why")["reasons"][0]["name"], "poisoned", "first reason")
    return [f"{len(_TREES) + 1} trees"]


_CONF = "etc/modprobe.d/aerator.conf"

# Bad arguments of set, and what is said of them.
_BAD_VALUES = (("refault_ms=60001", "0 to 60000"), ("refault_ms=-1", "0 to 60000"),
               ("refault_ms=", "0 to 60000"), ("window_ms=automatic", "or auto"),
               ("intake=auto reporting", "patched also treated"), ("enabled=yes", "0, 1"),
               ("enabled", "NAME=VALUE"), ("=1", "unknown"), ("speed=1", "unknown"))


def _values(tree: Tree) -> dict[str, str]:
    """The values of a tree: the kernel's, and the file for later loads."""
    files = [*(tree.root / PARAMETERS).iterdir(), *(tree.root / "etc/modprobe.d").iterdir()]
    return {file.name: file.read_text() for file in files}


def _set_saves(tree: Tree) -> None:
    """set --save changes only the lines of its parameters, and adds those that are missing."""
    tree.run("set", "--save", "refault_ms=5000", "rate_mb=7", "order=8", "window_ms=auto")
    text = tree.read(_CONF)
    shipped = (TOP / "packaging/modprobe.conf").read_text()
    lines = text.splitlines()
    wanted = {"refault_ms=5000", "rate_mb=7", "order=8", "window_ms=auto", "share_pct=50"}
    expect_equal({line.removeprefix("options aerator ") for line in lines
                  if line.startswith("options")}, wanted, f"options of {text}")
    kept = [line for line in lines if not line.startswith("options")]
    expect_equal(kept, shipped.splitlines(), "other lines")
    after = lines[lines.index("#options aerator refault_ms=2000") + 1]
    expect_equal(after, "options aerator refault_ms=5000", "line after the default")
    expect_equal(tree.read(f"{PARAMETERS}/refault_ms"), "5000\n", "value in the kernel")


def settings() -> list[str]:
    """get shows the parameters, and set changes them; bad input changes nothing, and is told
    what is allowed."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree = Tree(Path(name, "set"))
        tree.write(_CONF, (TOP / "packaging/modprobe.conf").read_text()
                   + "options aerator refault_ms=100 share_pct=50")
        found = tree.json("get")["parameters"]
        expect_equal((found["refault_ms"], found["window_ms"]), (2000, "auto"), "get --json")
        expect_equal(tree.run("get", "order", "--raw")[0].split()[4:6], ["order", "9"], "get")
        before = _values(tree)
        for text, said in _BAD_VALUES:
            output, error = tree.run("set", "--save", "rate_mb=5", text, status=2)
            expect(said in error and not output, f"set {text}: {error}")
            expect_equal(_values(tree), before, f"values after set {text}")
        _set_saves(tree)
        balloon = Tree(Path(name, "balloon"), driver="virtio_balloon")
        for words in (("get",), ("set", "enabled=0"), ("flush",), ("quiesce",)):
            expect("aerator doctor" in balloon.run(*words, status=1)[1], f"no hint by {words}")
    return [f"{len(_BAD_VALUES)} bad values"]


def settings_known() -> None:
    """The tool's list of parameters, with defaults and allowed values, is the module's."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        text, _ = Tree(Path(name)).run("get", "--noheadings")
    rows = {cells[0]: (cells[2], cells[3].strip()) for cells in
            (line.split(None, 3) for line in text.splitlines())}
    # A line has room for what only a patched kernel allows.
    wanted = {name: (default.partition(";")[0],
                     re.sub(r"^(.+); patched \1, ", r"\1; patched also ",
                            allowed.partition(" (")[0]))
              for name, (default, allowed) in parameters_of_guests().items()}
    expect_equal(rows, wanted, "aerator get")


def quiesce() -> None:
    """quiesce pauses, and fails while a batch is in flight; resume ends the pause. flush says
    what stayed."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree = Tree(Path(name, "idle"), raw=500)
        tree.run("quiesce")
        expect_equal(tree.read(f"{PARAMETERS}/enabled"), "0\n", "enabled after quiesce")
        tree.run("resume")
        expect_equal(tree.read(f"{PARAMETERS}/enabled"), "1\n", "enabled after resume")
        for command in ("drop_caches", "compact_memory"):
            tree.write(f"proc/sys/vm/{command}", "")
        text, _ = tree.run("flush", "--compact", "--drop-cache")
        expect("0B went to the host" in text and "500M" in text, text)
        written = [tree.read(path) for path in ("proc/sys/vm/drop_caches",
                                                "proc/sys/vm/compact_memory",
                                                f"{DEVICE}/aerator/flush")]
        expect_equal(written, ["3\n", "1\n", "1\n"], "what was written")
        tree.write(f"{DEVICE}/aerator/stage", "settle\n")
        _, said = tree.run("quiesce", "--timeout", "1", status=1)
        expect("a batch is in flight" in said, said)
        _replace(tree.root / DEVICE / "aerator/flush", os.mkfifo)
        text, said = tree.run("flush", "--timeout", "1", status=1)
        expect("within 1 s" in said and "500M" in text, said + text)
        expect("3600" in tree.run("flush", "--timeout", "0", status=2)[1], "no limits are said")


def metrics() -> list[str]:
    """metrics are what sysfs says, promtool accepts them, and the file is replaced at once."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree = Tree(Path(name, "tree"), raw=100, files={"last_report": 1790000000})
        target = Path(name, "out", "aerator.prom")
        said = tree.run("metrics", "--textfile", str(target), status=1)[1]
        expect("No such file" in said, said)
        target.parent.mkdir()
        tree.run("metrics", "--textfile", str(target))
        text = target.read_text()
        expect_equal(text, tree.run("metrics")[0], "the file, and standard output")
        expect_equal([path.name for path in target.parent.iterdir()], [target.name], "files")
        expect_equal(target.stat().st_mode & 0o777, 0o644, "mode")
        for line in (f'aerator_reported_bytes_total{{device="virtio1"}} {3000 << 20}',
                     'aerator_parameter{name="refault_ms"} 2000',
                     'aerator_host_discards{device="virtio1"} 1',
                     'aerator_refusals_total{device="virtio1",reason="window"} 4',
                     'aerator_stage_seconds_sum{device="virtio1",stage="settle"} 0.003000',
                     'aerator_stage_seconds_count{device="virtio1",stage="settle"} 12',
                     'aerator_last_report_timestamp_seconds{device="virtio1"} 1790000000',
                     f'aerator_free_bytes{{kind="blocks"}} {3100 << 20}'):
            expect(f"{line}\n" in text, f"no line {line} in\n{text}")
        expect("aerator_reused_bytes_total" not in text, "reused memory that is not known")
        checked = subprocess.run([folder_of_prometheus() / "promtool", "check", "metrics"],
                                 input=text, text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        expect_equal((checked.returncode, checked.stdout), (0, ""), "promtool")
        (tree.root / DEVICE / "aerator/errors").unlink()
        tree.run("metrics", "--textfile", str(target), status=1)
        expect_equal(target.read_text(), text, "the file after a failure")
        balloon = Tree(Path(name, "balloon"), driver="virtio_balloon").run("metrics")[0]
        expect('driver="virtio_balloon"' in balloon, balloon)
    return [f"{text.count('# TYPE')} metrics"]


def record_replay() -> list[str]:
    """record writes a trace that replay reads, and replay's figures are those of build/replay."""
    run_script("make", "-s", "replay")
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree, trace = Tree(Path(name, "tree"), raw=100), Path(name, "trace.txt")
        tree.run("record", "--seconds", "1", str(trace))
        samples = [line for line in trace.read_text().splitlines() if line[0] != "#"]
        expect(len(samples) == 2 and samples[0].split()[1:] == ["793600", "793600"],
               f"samples of memory that stays as it is: {samples}")
        tree.run("replay", str(trace))
        expect("time goes back" in tree.run("replay", str(tree.write("bad", "5 1\n4 1\n")),
                                            status=1)[1], "a bad trace is read")
        tree.run("record", str(trace), "too-much", status=2)
        churn = TOP / "tests/unit/traces/churn-1.txt"
        found = {row["driver"]: row for row in tree.json("replay", str(churn))["drivers"]}
    for driver in ("virtio_balloon", "aerator"):
        wanted = json.loads(run_script("build/replay", "--intake", "reporting", "--driver",
                                       driver, churn))
        expect_equal([found[driver][key] for key in ("held_gib_s", "refaulted_gib")],
                     [round(wanted[key], 3) for key in ("held_gib_s", "refaulted_gib")],
                     f"figures of {driver}")
    best = found.pop("best possible")
    expect(all(row["cost"] >= best["cost"] for row in found.values()), "better than the best")
    return [f"cost of {driver}: {row['cost']}" for driver, row in found.items()]


def top() -> None:
    """top prints a line for each interval on a pipe, and comma separated values."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree = Tree(Path(name), raw=100, files={"windows": "75 0 *\n150 12"})
        head, *lines = tree.run("top", "--count", "2")[0].splitlines()
        expect_equal(len(lines), 2, "lines")
        found = dict(zip(head.split(), lines[0].split()))
        expect_equal((found["BLOCKS"], found["REPORT/S"], found["WIN-MS"]), ("3.0G", "0B", "75"),
                     "a line")
        text, _ = tree.run("top", "--count", "1", "--csv", "--raw")
        head, line = text.splitlines()
        row = dict(zip(head.split(","), line.split(",")))
        expect_equal((row["free_blocks_bytes"], row["reported_bytes_per_second"],
                      row["surplus_bytes"]), (str(3100 << 20), "0", str(3000 << 20)), "csv")
        tree.run("top", "--interval", "0", status=2)
        # Counted after the first look, and before the second.
        more = 200 << 20

        def count() -> None:
            tree.write(f"{DEVICE}/aerator/reported_bytes", f"{(3000 << 20) + more}\n")
            tree.write(f"{DEVICE}/aerator/stages", "fill 14 700\nreact 12 120\n")

        timer = threading.Timer(1, count)
        timer.start()
        text, _ = tree.run("top", "--count", "1", "--interval", "3", "--csv", "--raw")
        timer.join()
        head, line = text.splitlines()
        row = dict(zip(head.split(","), line.split(",")))
        reported = float(row["reported_bytes_per_second"]) * float(row["seconds"])
        expect(abs(reported / more - 1) < 0.01, f"{reported:.0f} bytes in {text}")
        expect_equal((row["fill_us"], row["react_us"]), ("50", "0"), f"mean times in {text}")


def manual() -> None:
    """aerator(1) is well formed; it and the completion have the verbs and options of --help."""
    page = TOP / "Documentation/aerator.1"
    expect_equal(run_script("mandoc", "-T", "lint", "-W", "warning", page), "", "mandoc")
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree = Tree(Path(name))
        usage, _ = tree.run("--help")
        version, _ = tree.run("--version")
    known = facts.modinfo(module_file("6.12"))["version"][0]
    expect_equal(version, f"aerator {known}\n", "version")
    verbs = re.findall(r"^  ([a-z]+)\b", usage, re.M)
    options = set(re.findall(r"--[a-z-]+", usage))
    expect(len(verbs) > 10 and len(options) > 10, usage)
    text = page.read_text().replace("\\-", "-")
    completion = (TOP / "packaging/bash-completion/aerator").read_text()
    for where, found in (("aerator(1)", text), ("completion", completion)):
        missing = [word for word in (*verbs, *sorted(options)) if word not in found]
        expect(not missing, f"{where} lacks {missing}")


_INSTANCES = "/sys/kernel/tracing/instances"


def _check_stages(guest: Guest, folder: str) -> str:
    """stages has the batches that the counters have, and leaves no trace instance behind."""
    before = counters(guest, folder)["cycles"]
    job = guest.start_job("aerator stages --seconds 300 --json")
    guest.run(f"until grep -q 1 {_INSTANCES}/*/events/aerator/aerator_decant/enable; do"
              " sleep 0.2; done; echo | memtool hold 300")
    guest.run(f"echo 1 >{folder}/flush")
    most = counters(guest, folder)["cycles"] - before
    guest.run("killall aerator")
    rows = json.loads(job.wait())["stages"]
    found = {stage: sum(row["batches"] for row in rows if row["stage"] == stage)
             for stage in ("fill", "react", "settle", "decant")}
    expect(min(found.values()) > 0, f"batches by stage: {found}, {most} counted")
    expect_equal(guest.run(f"ls {_INSTANCES}"), "", "instances left")
    return f"batches by stage {found}, {most} counted"


def _check_verbs(guest: Guest, folder: str) -> str:
    """set, quiesce and flush do in a guest what they say."""
    parameters = "/sys/module/aerator/parameters"
    _tool(guest, "set refault_ms=3000")
    said = _tool(guest, "doctor", status=1)
    # The module is not installed in this guest, but loaded from a file.
    expect_equal([line.split()[1] for line in said.splitlines() if line.startswith("warn")],
                 ["module"], f"warnings of\n{said}")
    expect_equal(len(_tool(guest, "top --count 2").splitlines()), 3, "lines of top")
    expect("aerator_reported_bytes_total" in _tool(guest, "metrics"), "no metrics")
    said = _tool(guest, "set refault_ms=4000 intake=treated", status=1)
    expect("this kernel refuses it" in said, said)
    expect_equal(guest.read(f"{parameters}/refault_ms"), "3000", "refault_ms after a refusal")
    _tool(guest, "quiesce")
    cycles = guest.read(f"{folder}/cycles")
    guest.run("echo | memtool hold 300")
    said = _tool(guest, "flush", status=1)
    expect("paused" in said, said)
    expect_equal(guest.read(f"{folder}/cycles"), cycles, "batches while paused")
    guest.run("dd if=/dev/vda of=/dev/null bs=1M count=200 2>&1")
    _tool(guest, "resume")
    with guest.host.madvise_traced() as dropped:
        said = _tool(guest, "flush --compact --drop-cache")
    expect(dropped.bytes > 200 << 20, f"the host dropped {dropped.bytes >> 20} MiB only: {said}")
    return said.splitlines()[0]


@contextlib.contextmanager
def _disk() -> Iterator[tuple[str, ...]]:
    """QEMU's arguments for a disk without content."""
    with tempfile.NamedTemporaryFile(prefix="aerator-disk-") as file:
        os.truncate(file.name, _CACHE_MIB << 20)
        yield ("-drive", f"file={file.name},if=none,format=raw,id=disk",
               "-device", "virtio-blk-pci,drive=disk")


def in_guest(kernel: str) -> Iterator[str]:
    """The verbs work in a guest with aerator, and with virtio_balloon."""
    with _disk() as disk, make_guest(kernel, "tool", files=guest_files(),
                                     qemu_args=disk) as guest:
        folder = load_aerator(guest)
        _check_status(guest, folder)
        _check_user(guest)
        _check_reasons(guest)
        yield _tool(guest, "status").splitlines()[-1]
        yield _check_verbs(guest, folder)
        yield _check_stages(guest, folder)
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
        expect("virtio_balloon" in _tool(guest, "status"), "no status with virtio_balloon")
        expect(_first_reason(guest), "no reason with virtio_balloon")
        expect("warn    driver" in _tool(guest, "doctor", status=1), "doctor, virtio_balloon")


CASES = [Case("tool-status", status), Case("tool-broken", broken), Case("tool-why", why),
         Case("tool-settings", settings), Case("tool-settings-known", settings_known),
         Case("tool-quiesce", quiesce), Case("tool-doctor", doctor),
         Case("tool-metrics", metrics), Case("tool-record-replay", record_replay),
         Case("tool-top", top), Case("tool-manual", manual),
         *on_kernels(in_guest, ("6.12",)), *on_kernels(why_hosts, ("6.12",), long=True)]
