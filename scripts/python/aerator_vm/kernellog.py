# SPDX-License-Identifier: GPL-2.0
"""Recognizes the lines of a kernel log that mean that a test has failed."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The only such list of the tests. Each entry is a regular expression, searched in a
# line, case-sensitive: at boot, debug kernels print harmless lines about kasan, kcsan
# and lockdep, in other spellings.
BAD_LINES = (
    r"\bWARNING:",
    r"\bBUG\b",
    r"\bOops\b",
    r"Call Trace:",
    r"Kernel panic",
    r"[Bb]ad page",
    r"[Uu]nable to handle",
    r"general protection",
    r"page allocation failure",
    r"Out of memory:",
    r"blocked for more than",
    r"(soft|hard) (lockup|LOCKUP)",
    r"rcu.*(stall|starved)",
    r"possible (circular|recursive|irq) .*(lock|dependency)",
    r"inconsistent lock state",
    r"suspicious RCU usage",
    r"INFO: (trying to register non-static key|lockdep is turned off)",
    r"scheduling while atomic",
    r"\bKASAN:",
    r"\bKCSAN:",
    r"\bUBSAN:",
    r"\bODEBUG:",
    r"kmemleak: \d+ new suspected",
    r"(list_add|list_del) corruption",
    r"refcount_t:",
    r"pagealloc: (memory corruption|single bit error)",
    # virtio_ring prints this if a device returns a buffer that is not in use.
    r"is not a head!",
)

_BAD = re.compile("|".join(BAD_LINES))


def bad_lines(log: str, allow: Iterable[str] = ()) -> list[str]:
    """The lines of a log that fail a test, without those that the test allows."""
    allowed = [re.compile(pattern) for pattern in allow]
    return [line for line in log.splitlines()
            if _BAD.search(line)
            and not any(pattern.search(line) for pattern in allowed)]


def tail(log: str, lines: int = 30) -> str:
    """The end of a log, for messages."""
    return "\n".join(log.splitlines()[-lines:])
