# SPDX-License-Identifier: GPL-2.0
"""Running aerator-fleet."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerator_vm.common import BUILD

from .harness import expect, once_a_run, run_script

_SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
# A time limit that a busy machine keeps; the tool gives up after a part of it.
_LIMIT_SECONDS = 60


def program() -> Path:
    """aerator-fleet, with sanitizers; built once in a run."""
    path = BUILD / "check/aerator-fleet"

    def build() -> str:
        run_script("scripts/deps", "fleet")
        run_script("make", "-s", f"FLEET={path}", f"CFLAGS={_SANITIZERS}", str(path))
        return str(path)

    return Path(once_a_run("aerator-fleet", build))


@dataclass(frozen=True)
class Answer:
    """What a run of the tool gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    def guest(self, name: str) -> dict[str, Any]:
        [found] = [guest for guest in self.json["guests"] if guest["name"] == name]
        return found


def ask(*options: str | Path) -> Answer:
    """Run the tool."""
    result = subprocess.run([program(), *options], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            timeout=_LIMIT_SECONDS)
    expect("Sanitizer" not in result.stderr, result.stderr)
    expect("runtime error" not in result.stderr, result.stderr)
    return Answer(result.returncode, result.stdout, result.stderr)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aerator-fleet-") as name:
        yield Path(name)
