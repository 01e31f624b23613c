# SPDX-License-Identifier: GPL-2.0
"""The guest's command line tool, as files of a guest."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .common import TOP

TOOL = TOP / "build/tools/aerator"


def tool_files(tool: Path = TOOL) -> dict[str, Path | str]:
    """The tool and the libraries that it needs, {guest path: host path}. "make tools" builds
    it."""
    words = subprocess.run(["ldd", tool], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split()
    return {"/bin/aerator": tool, **{word: word for word in words if word.startswith("/")}}
