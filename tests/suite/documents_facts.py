# SPDX-License-Identifier: GPL-2.0
"""What a built module and a booted guest say about the module's interface: parameters, files,
tracepoints, log lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from aerator_vm import Guest

from .harness import (PARAMETERS, load_aerator, make_guest, module_objects, once_a_run,
                      run_script)

_EVENTS = "/sys/kernel/tracing/events/aerator"

# Values of the parameters, their bounds from the log of a refused write, the access modes of the
# device's files, and the formats of the tracepoints.
_ASK = """
cd {parameters} && grep . *
echo ---
for name in *; do ! echo bad >$name || exit 1; done
dmesg
echo ---
cd {device} && stat -c '%n:%a' *
echo ---
cd {events} && grep '^print fmt' */format
"""

# Objects whose strings the log does not show: formats of the tracepoints.
_NO_LOG = {"trace.o"}


def span(low: int, high: int) -> str:
    """A range as the documents write it."""
    if high - low == 1:
        return f"{low}, {high}"
    return str(low) if low == high else f"{low} to {high}"


def _allowed(text: str) -> str:
    """The allowed values in a log line, as the documents write them: without the reason."""
    text = text.partition(" (")[0].replace(" and ", ", ")
    return re.sub(r"(\d+) to (\d+)", lambda match: span(int(match[1]), int(match[2])), text)


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines())


def _ask(guest: Guest) -> dict[str, dict[str, str]]:
    said = guest.run(_ASK.format(parameters=PARAMETERS, device=load_aerator(guest),
                                 events=_EVENTS))
    defaults, log, modes, formats = said.split("---\n")
    refused = re.findall(r"aerator: (\w+)=bad refused: allowed are (.+)", log)
    return {"defaults": _pairs(defaults),
            "allowed": {name: _allowed(text) for name, text in refused},
            "modes": _pairs(modes),
            "formats": {name.removesuffix("/format"): text
                        for name, text in _pairs(formats).items()}}


def _boot(kernel: str) -> str:
    with make_guest(kernel, "documents") as guest:
        return json.dumps(_ask(guest))


def _facts(kernel: str) -> dict[str, dict[str, str]]:
    """What the guest says. One guest is booted for all cases of a run."""
    return json.loads(once_a_run(f"documents-{kernel}", lambda: _boot(kernel)))


def parameters(kernel: str) -> dict[str, tuple[str, str]]:
    """The default and the allowed values of each parameter."""
    facts = _facts(kernel)
    return {name: (default, facts["allowed"].get(name, "any"))
            for name, default in facts["defaults"].items()}


def device_files(kernel: str) -> dict[str, str]:
    """The access mode of each of the device's files, as the documents write it."""
    words = {"200": "Write only", "444": "Read only", "400": "Read only, by root"}
    return {name: words.get(mode, mode) for name, mode in _facts(kernel)["modes"].items()}


def tracepoints(kernel: str) -> dict[str, set[str]]:
    """The fields of each tracepoint, with the names that a trace shows."""
    return {name: set(re.findall(r"(\w+)=%", text))
            for name, text in _facts(kernel)["formats"].items()}


def modinfo(module: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in run_script("modinfo", module).splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name, []).append(value.strip())
    return found


def _strings(path: Path) -> Iterator[str]:
    """The constant strings of an object."""
    sections = re.findall(r"\.rodata\S*\.str\S*\s+PROGBITS\s+\w+ (\w+) (\w+)",
                          run_script("readelf", "-SW", path))
    for start, size in ((int(start, 16), int(size, 16)) for start, size in sections):
        yield from path.read_bytes()[start:start + size].decode().split("\0")


def log_lines(kernel: str) -> set[str]:
    """The constant parts of all log messages, between format specifiers. Each string of several
    words is one: the module has no other use for phrases."""
    phrases = [re.sub("^\x01.aerator: ", "", text)
               for path in module_objects(kernel) if path.name not in _NO_LOG
               for text in _strings(path) if " " in text.strip()]
    pieces = [piece.strip() for text in phrases
              for piece in re.split(r"%(?:\.\*)?[a-z]+|\n", text)]
    return {piece for piece in pieces if len(piece) > 4}
