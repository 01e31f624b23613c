# SPDX-License-Identifier: GPL-2.0
"""The pure parts of the module, in user space, under ASan and UBSan."""

from __future__ import annotations

import re

from .harness import Case, TestFailed, run_script


def unit() -> list[str]:
    output = run_script("make", "-s", "-C", "tests/unit", "check")
    passed = len(re.findall(r"^ok ", output, re.MULTILINE))
    if not passed:
        raise TestFailed(f"no test was run:\n{output}")
    return [f"{passed} unit tests"]


CASES = [Case("unit", unit)]
