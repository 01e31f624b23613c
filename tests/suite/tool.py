# SPDX-License-Identifier: GPL-2.0
"""The guest's command line tool, aerator: on prepared trees of sysfs and /proc, and in guests."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aerator_vm import Guest

from .harness import (Case, balloon_driver, counters, expect, expect_equal, load_aerator,
                      make_guest, on_kernels)
from .tool_tree import DEVICE, PARAMETERS, Tree, guest_files


def _status_shows(tree: Tree) -> None:
    """status shows what the files say, as a table and as JSON."""
    table, said = tree.run()
    expect_equal(said, "", "messages")
    head, line = (text.split() for text in table.splitlines())
    expect_equal(dict(zip(head, line)),
                 {"DEVICE": "virtio1", "DRIVER": "aerator", "INTAKE": "reporting", "ORD": "9",
                  "STAGE": "idle", "FREE": "3.0G", "SURPLUS": "2.9G", "REPORTED": "2.9G",
                  "BALLOON": "64M", "ERR": "3"}, "table of status")
    device, = tree.json("status")["devices"]
    wanted = {path.name: path.read_text().strip()
              for path in (tree.root / DEVICE / "aerator").iterdir()
              if path.name not in ("flush", "windows", "treated_bytes", "raw_bytes")}
    expect_equal({name: str(device.get(name)) for name in wanted}, wanted, "JSON of status")
    expect_equal([window["ms"] for window in device["windows"] if window["used"]], [75],
                 "windows in use")
    raw, _ = tree.run("status", "--raw", "--noheadings", "--output", "surplus,device")
    expect_equal(raw.split(), [str(3000 << 20), "virtio1"], "raw columns")


def status() -> None:
    """aerator status shows what sysfs and /proc say, with 80 columns, and as JSON."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        _status_shows(Tree(Path(name, "aerator"), raw=120,
                           files={"errors": 3, "inflated_bytes": 64 << 20}))
        tree = Tree(Path(name, "balloon"), driver="virtio_balloon")
        device, = tree.json("status")["devices"]
        expect_equal(device, {"name": "virtio1", "driver": "virtio_balloon",
                              "reporting": True}, "JSON with virtio_balloon")
        expect("virtio_balloon -" in tree.run()[0], "no table with virtio_balloon")
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

_BROKEN = (f"{DEVICE}/aerator/reported_bytes", f"{DEVICE}/aerator/surplus_bytes",
           f"{DEVICE}/aerator/windows", f"{DEVICE}/aerator/stage", f"{DEVICE}/features",
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
    """A user who is not root sees all but the files of root."""
    guest.run("mkdir -p /etc && echo nobody:x:65534:65534::/:/bin/sh >/etc/passwd")
    text = guest.run("su nobody -c 'aerator status --json'")
    device, = json.loads(text)["devices"]
    expect("reported_bytes" in device and "surplus_bytes" not in device, text)


def in_guest(kernel: str) -> Iterator[str]:
    """The verbs work in a guest with aerator, and with virtio_balloon."""
    with make_guest(kernel, "tool", files=guest_files()) as guest:
        folder = load_aerator(guest)
        _check_status(guest, folder)
        _check_user(guest)
        yield _tool(guest, "status").splitlines()[-1]
        guest.run("rmmod aerator")
        expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
        expect("virtio_balloon" in _tool(guest, "status"), "no status with virtio_balloon")


CASES = [Case("tool-status", status), Case("tool-broken", broken),
         *on_kernels(in_guest, ("6.12",))]
