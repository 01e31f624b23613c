# SPDX-License-Identifier: GPL-2.0
"""The tool aerator, and trees of sysfs and /proc that are prepared for it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aerator_vm.tool import TOOL, tool_files

from .harness import expect, expect_equal, once_a_run, run_script

_GIB = 1 << 20
WIDTH = 80
DEVICE = "sys/bus/virtio/devices/virtio1"
PARAMETERS = "sys/module/aerator/parameters"

# Kilobytes of a guest of 4 GiB; blocks of the order 9, and smaller ones.
_MEMINFO = {
    "MemTotal": 4 * _GIB, "MemFree": 0, "MemAvailable": 3 * _GIB, "Buffers": 0,
    "Cached": 80 << 10, "SwapCached": 0, "Dirty": 0, "Writeback": 0, "AnonPages": 100 << 10,
    "Mapped": 0, "Shmem": 0, "SReclaimable": 20 << 10, "SUnreclaim": 40 << 10, "Hugetlb": 0,
}

_PARAMETERS: dict[str, object] = {
    "enabled": "1", "takeover": "1", "intake": "auto", "window_ms": "auto",
    "refault_ms": "2000", "reserve_mb": "0", "share_pct": "100", "rate_mb": "0", "order": "9",
    "reactor_size": "32", "reactors": "1", "settle_timeout_ms": "10000",
}

_FILES: dict[str, object] = {
    "stage": "idle", "intake": "reporting", "cycles": "12", "reported_bytes": "0",
    "reported_blocks": "0", "chains": "12", "kicks": "12", "interrupts": "12",
    "settle_timeouts": "0", "errors": "0", "inflated_bytes": "0", "host_discards": "yes",
    "last_report": "0", "refusals": "window 4\nlimit 0\nrate 1", "reused_bytes": "unknown",
    "stages": "fill 12 600\nreact 12 120\nsettle 12 3000\ndecant 11 55",
    "surplus_bytes": "0", "windows": "75 0 *\n150 12\n300 24", "treated_bytes": "0",
    "raw_bytes": "0",
}


def _build() -> str:
    run_script("make", "-s", "tools")
    return str(TOOL)


def tool_path() -> Path:
    """The tool, built once in a run."""
    return Path(once_a_run("tool", _build))


def guest_files() -> dict[str, Path | str]:
    """The tool and its libraries as files of a guest."""
    return tool_files(tool_path())


class Tree:
    """A tree of a guest of 4 GiB, with free memory in MiB: reported, not reported, and in
    fragments."""

    def __init__(self, root: Path, driver: str = "aerator", treated: int = 3000, raw: int = 0,
                 fragments: int = 0, used: Mapping[str, int] | None = None,
                 files: Mapping[str, object] | None = None,
                 parameters: Mapping[str, object] | None = None, features: int = 1 << 5,
                 device: int = 5) -> None:
        self.root = root
        free = treated + raw + fragments
        self._proc(free, fragments, used or {})
        self._device(driver, device, features)
        if driver == "aerator":
            self._aerator({"treated_bytes": treated << 20, "raw_bytes": raw << 20,
                           "surplus_bytes": treated << 20, "reported_bytes": treated << 20,
                           **(files or {})}, parameters or {})

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def _proc(self, free: int, fragments: int, used: Mapping[str, int]) -> None:
        lines = {**_MEMINFO, "MemFree": free << 10,
                 **{name: mib << 10 for name, mib in used.items()}}
        self.write("proc/meminfo", "".join(f"{name + ':':<16}{value:>8} kB\n"
                                           for name, value in lines.items()))
        # Blocks of 4 MiB, and pages.
        large = (free - fragments) // 4
        counts = [fragments << 8, *[0] * 9, large]
        self.write("proc/buddyinfo", "Node 0, zone   Normal "
                   + " ".join(f"{count:6}" for count in counts) + " \n")
        self.write("proc/zoneinfo", "Node 0, zone   Normal\n  pages free     "
                   f"{free << 8}\n        min      100\n        low      200\n  pagesets\n"
                   "    cpu: 0\n              count: 256\n              high:  900\n")
        self.write("proc/cmdline", "console=ttyS0\n")
        self.write("proc/sys/kernel/osrelease", "6.12.118-cloud-amd64\n")
        self.write("proc/vmstat", "pgfault 1\ncompact_stall 0\n")
        self.write("dev/kmsg", "6,1,1,-;Linux version 6.12.118\n")

    def _device(self, driver: str, number: int, features: int) -> None:
        for name, device, bound, bits in (("virtio0", 3, "virtio_console", 0),
                                          ("virtio1", number, driver, features)):
            folder = f"sys/bus/virtio/devices/{name}"
            self.write(f"{folder}/device", f"0x{device:04x}\n")
            self.write(f"{folder}/features",
                       "".join(str(bits >> bit & 1) for bit in range(64)) + "\n")
            if bound:
                self.write(f"sys/bus/virtio/drivers/{bound}/bind", "")
                (self.root / folder / "driver").symlink_to(f"../../drivers/{bound}")

    def _aerator(self, files: Mapping[str, object], parameters: Mapping[str, object]) -> None:
        for name, value in {**_FILES, **files}.items():
            self.write(f"{DEVICE}/aerator/{name}", f"{value}\n")
        self.write(f"{DEVICE}/aerator/flush", "")
        for name, value in {**_PARAMETERS, **parameters}.items():
            self.write(f"{PARAMETERS}/{name}", f"{value}\n")
        self.write("sys/module/aerator/version", "0.1.0\n")

    def run(self, *words: str, status: int = 0, **options: Any) -> tuple[str, str]:
        """Run the tool on the tree; return its output and its messages. Both fit into 80
        columns, and have no colours."""
        tool = tool_path()
        start = time.monotonic()
        done = subprocess.run([tool, *words], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              env={**os.environ, "AERATOR_SYSROOT": str(self.root)}, **options)
        seconds = time.monotonic() - start
        said = f"aerator {' '.join(words)}:\n{done.stdout}{done.stderr}"
        expect_equal(done.returncode, status, f"status after {said}")
        expect(seconds < 20, f"{seconds:.1f} s for {said}")
        expect("\033" not in done.stdout + done.stderr, f"escape codes in {said}")
        if "--json" not in words and "--raw" not in words and "metrics" not in words:
            long = [line for line in done.stdout.splitlines() if len(line) > WIDTH]
            expect(not long, f"longer than {WIDTH} columns: {long}")
        return done.stdout, done.stderr.replace(str(self.root), "")

    def json(self, *words: str, status: int = 0) -> dict[str, Any]:
        """The JSON object that a verb prints."""
        found: dict[str, Any] = json.loads(self.run(*words, "--json", status=status)[0])
        expect_equal(found["schema"], 1, "schema")
        return found
