# SPDX-License-Identifier: GPL-2.0
"""Unit tests of the module's pure parts in user space, under ASan and UBSan; and a test of
the patterns for bad log lines."""

from __future__ import annotations

import re

from aerator_vm.kernellog import bad_lines

from .harness import Case, TestFailed, expect, run_script
from .replay import replay


def unit() -> list[str]:
    """Unit tests of the module's pure parts pass in user space, under ASan and UBSan."""
    output = run_script("make", "-s", "-C", "tests/unit", "check")
    passed = len(re.findall(r"^ok ", output, re.MULTILINE))
    if not passed:
        raise TestFailed(f"no test was run:\n{output}")
    return [f"{passed} unit tests"]


# A log message of each checker of a debug kernel; at least one line must be recognized.
_FINDS = {
    "KASAN": "BUG: KASAN: slab-use-after-free in treated_drain+0x5a/0x1b0 [aerator]",
    "KCSAN": "BUG: KCSAN: data-race in treated_oom / treated_work",
    "lockdep, circle": "WARNING: possible circular locking dependency detected",
    "lockdep, irq": "WARNING: inconsistent lock state",
    "lockdep, no key": "INFO: trying to register non-static key.",
    "lockdep, RCU": "WARNING: suspicious RCU usage",
    "DEBUG_ATOMIC_SLEEP": "BUG: sleeping function called from invalid context at"
                          " kernel/workqueue.c:4321",
    "kmemleak": "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "page poisoning": "pagealloc: memory corruption",
    "debug_pagealloc": "BUG: unable to handle page fault for address: ffff88803a5d1000",
    "bad page": "BUG: Bad page state in process memtool  pfn:3a5d1",
    "list, added": "list_add corruption. next->prev should be prev (ffff888), but was 0000000.",
    "list, removed": "list_del corruption, ffffea0000e97448->next is LIST_POISON1",
    "DEBUG_VM": "kernel BUG at mm/page_alloc.c:714!",
    "DEBUG_VM, warning": "WARNING: CPU: 0 PID: 9 at mm/memory_aeration.c:205"
                         " __aeration_verify+0x9c/0xb0",
    "DEBUG_OBJECTS": "ODEBUG: free active (active state 0) object: ffff8880"
                     " object type: work_struct",
    "refcount": "refcount_t: underflow; use-after-free.",
    "hung task": "INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
    "soft lockup": "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:0:19]",
    "RCU stall": "rcu: INFO: rcu_preempt self-detected stall on CPU",
}

# Log lines of these checkers that are harmless.
_HARMLESS = (
    "kasan: KernelAddressSanitizer initialized",
    "kcsan: enabled early",
    "kmemleak: Kernel memory leak detector initialized (mem pool available: 27816)",
    "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
    "mem auto-init: stack:all(zero), heap alloc:on, heap free:off",
    "aerator: loading out-of-tree module taints kernel.",
)


def log_lines() -> list[str]:
    """Bad lines in a guest's log are recognized, and harmless lines are not."""
    missed = [name for name, text in _FINDS.items()
              if not bad_lines("[    1.2] " + text.replace("\n", "\n[    1.2] "))]
    expect(not missed, f"not recognised: {', '.join(missed)}")
    wrong = [line for line in _HARMLESS if bad_lines(f"[    1.2] {line}")]
    expect(not wrong, f"taken for a failure: {wrong}")
    return [f"{len(_FINDS)} kinds of failure, {len(_HARMLESS)} lines that are none"]


CASES = [Case("unit", unit), Case("replay", replay), Case("log-lines", log_lines)]
