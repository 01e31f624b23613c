# SPDX-License-Identifier: GPL-2.0
"""Facts from the module's sources: parameters, files, tracepoints, log lines, version."""

from __future__ import annotations

import re
from typing import Any

from aerator_vm.common import TOP

from .harness import expect, run_script

MODULE = TOP / "module"

# The page size that the documents assume.
_PAGE_SHIFT = 12
_ORDERS = {"0": 0, "1": 1, "MAX_PAGE_ORDER": 10, "pageblock_order": 9}


def _source(name: str) -> str:
    return (MODULE / name).read_text()


def _found(pattern: str, text: str, flags: int = 0) -> list[Any]:
    """All matches in a source. No match is an error: the form of the source has changed."""
    found = re.findall(pattern, text, flags)
    expect(found, f"the sources have nothing like {pattern}: has their form changed?")
    return found


def version() -> str:
    return _found(r"^aerator-version := (.+)$", _source("Kbuild"), re.M)[0]


def _constants(patched: bool) -> dict[str, int]:
    """The values of constants, for a kernel with or without the patch."""
    flags = ["-DCOMPAT_HAS_AERATION"] if patched else []
    said = run_script("gcc", "-E", "-dM", *flags, "module/params.h")
    found = {name: int(value)
             for name, value in _found(r"#define (PARAMS_\w+) (\d+)$", said, re.M)}
    shift = _found(r"#define PARAMS_ORDER_DEFAULT\s+\((\d+) - PAGE_SHIFT\)",
                   _source("params.c"))[0]
    return {**found, "PARAMS_ORDER_UNSET": int(shift) - _PAGE_SHIFT}


def _number(expression: str, constants: dict[str, int]) -> int:
    """The value of a number, a constant, or either of them shifted."""
    value, _, shift = expression.strip().partition(" << ")
    return constants.get(value, 0) if value in constants else int(value) << int(shift or 0)


def _defaults(patched: bool) -> dict[str, str]:
    text = _source("params.c")
    constants = _constants(patched)
    names = _found(r"^(?:PARAM_RANGE|module_param_cb)\((\w+)", text, re.M)
    start = _found(r"struct aerator_params aerator_params = \{(.*?)\};", text, re.S)[0]
    given = dict(_found(r"\.(\w+) = (\S+),", start))
    words = {"intake": "auto", **{name: "auto" for name, value in given.items()
                                  if value == "POLICY_WINDOW_AUTO"}}
    return {name: words.get(name) or str(_number(given.get(name, "0"), constants))
            for name in names}


def span(low: int, high: int) -> str:
    """A range as the documents write it."""
    if high - low == 1:
        return f"{low}, {high}"
    return str(low) if low == high else f"{low} to {high}"


def _allowed(patched: bool) -> dict[str, str]:
    constants = _constants(patched)
    ranges = _found(r"^PARAM_RANGE\((\w+), ([^,]+), ([^,]+),", _source("params.c"), re.M)
    window = _found(r"param_window_ms = \{.*?\.max = (\d+),", _source("params.c"), re.S)[0]
    return {"window_ms": f"{span(0, int(window))}, or auto",
            **{name: span(_number(low, constants), _number(high, constants))
               for name, low, high in ranges}}


def _allowed_orders() -> str:
    """The allowed orders: of newer kernels, of 6.1, of 5.10."""
    bounds = _found(r"COMPAT_REPORTING_ORDER_(?:MIN|MAX)\s+(\w+)", _source("compat/compat.h"))
    low, high, later_low, _, old_low, _ = (_ORDERS[bound] for bound in bounds)
    return (f"{span(low, high)} (without the patch, 6.1: from {later_low};"
            f" 5.10: {old_low} only)")


def _both(stock: dict[str, str], patched: dict[str, str]) -> dict[str, str]:
    return {name: text if text == patched[name] else f"{text}; patched {patched[name]}"
            for name, text in stock.items()}


def parameters() -> dict[str, tuple[str, str]]:
    """The default and the allowed values of each parameter, as the documents write them."""
    defaults = _both(_defaults(False), _defaults(True))
    kinds = [_found(r"\.name = \"(\w+)\"", _source(f"intake_{name}.c"))[0]
             for name in ("reporting", "treated")]
    allowed = {**_both(_allowed(False), _allowed(True)), "order": _allowed_orders(),
               "intake": ", ".join(["auto", *kinds])}
    return {name: (default, allowed[name]) for name, default in defaults.items()}


def device_files() -> dict[str, str]:
    """The access mode of each of the device's files."""
    text = _source("sysfs.c")
    words = {"WO": "Write only", "RO": "Read only", "ADMIN_RO": "Read only, by root"}
    modes = {name: words[kind] for kind, name in
             _found(r"DEVICE_ATTR_(\w+)\((\w+)\)", text)}
    return {name: modes.get(name, "Read only")
            for name in _found(r"&dev_attr_(\w+)\.attr", text)}


def tracepoints() -> dict[str, set[str]]:
    """The fields of each tracepoint."""
    text = _source("trace.h")
    stage, *others = (set(_found(r"(\w+)=%", line))
                      for line in _found(r"TP_printk\((.*)", text))
    stages = _found(r"^AERATOR_STAGE_EVENT\((\w+)\)", text, re.M)
    events = _found(r"^TRACE_EVENT\((\w+),", text, re.M)
    return {**{f"aerator_{name}": stage for name in stages},
            **dict(zip(events, others, strict=True))}


def _spell_out(text: str) -> str:
    """Replace macros by their strings, where they are concatenated with other strings."""
    for name, string in re.findall(r'^#define (\w+)\s+"(.*)"$', text, re.M):
        text = text.replace(f'" {name}', f'{string}"').replace(f'{name} "', f'"{string}')
    return text


def log_lines() -> set[str]:
    """The constant parts of all log messages, between format specifiers."""
    text = _spell_out("".join(path.read_text() for path in sorted(MODULE.glob("*.[ch]"))))
    # Comments name functions, too.
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    calls = _found(r"\b(?:pr|dev)_(?:err|warn|info)(?:_ratelimited)?\((.*?)\);", text, re.S)
    calls += _found(r"\b(?:balloon_fail|vq_give_up)\((.*?)\);", text, re.S)
    calls += _found(r"^(?:static )?const char \*\w+_refusal\(.*?^\}", text, re.S | re.M)
    quoted = [line for call in calls for line in re.findall(r'"((?:[^"\\]|\\.)*)"', call)]
    pieces = [piece.strip() for line in quoted
              for piece in re.split(r"%(?:\.\*)?[a-z]+|\\n", line)]
    return {piece for piece in pieces if len(piece) > 4}
