# SPDX-License-Identifier: GPL-2.0
"""The patch in kpatch/, tested in guests: by KUnit (tests/kernel), and with other users of
free blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aerator_vm import Guest
from aerator_vm.common import TOP

from .harness import (TREATED_KERNELS, TestFailed, expect, expect_equal,
                      make_guest, module_file, on_kernels, run_script)

_MODULE = "/aeration_test.ko"
_PARAMETERS = "/sys/module/aeration_test/parameters"
_SUITE = "aeration"

# A KUnit case takes up to half a minute under emulation.
_SECONDS = 500
_RESULT = re.compile(r"^( *)(not )?ok (\d+) (\S+)")
_TIME = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\] ?", re.MULTILINE)


def _guest(kernel: str, name: str, append: str, **arguments: Any) -> Guest:
    """A guest without a balloon, so that only the tests register for page reporting. Allocated
    memory is not zeroed, which would be slow under emulation."""
    return make_guest(kernel, name, append=f"init_on_alloc=0 {append}", balloon=None,
                      files={_MODULE: module_file(kernel, "tests/kernel")},
                      time_limit=_SECONDS + 90, **arguments)


def module(kernel: str) -> None:
    """The module of the KUnit tests builds without a message of compiler and sparse."""
    output = run_script("scripts/module", "--sparse", "--of", "tests/kernel", kernel)
    said = [line for line in output.splitlines() if re.search(r"\b(warning|error|note):", line)]
    expect(not said, "\n".join(said))


def _cases(source: Path) -> list[str]:
    return re.findall(r"KUNIT_CASE\((\w+)\)", source.read_text())


def _check_results(log: str) -> list[str]:
    """Each case has a result, followed by that of the suite; none has failed."""
    begin = log.rfind(f"# Subtest: {_SUITE}\n")
    expect(begin >= 0, "KUnit has not begun")
    lines = log[begin:].splitlines()
    results = [match for line in lines if (match := _RESULT.match(line))]
    bad = [match[4] for match in results if match[2]]
    expect(not bad, "\n".join([f"failed: {' '.join(bad)}", *lines]))
    names = [match[4] for match in results]
    wanted = [*_cases(TOP / "tests/kernel/suite.c"), _SUITE]
    expect_equal(names, wanted, "results of KUnit")
    return [line.partition("figure: ")[2] for line in lines if "figure: " in line]


def _run(guest: Guest, parameters: str = "") -> list[str]:
    guest.run(f"insmod {_MODULE} {parameters}", timeout=_SECONDS)
    figures = _check_results(_TIME.sub("", guest.dmesg()))
    guest.run("rmmod aeration_test")
    return figures


def kunit(kernel: str) -> Iterator[str]:
    """KUnit tests of the patch pass on one processor, with exact costs in instructions."""
    with _guest(kernel, "kunit", "kunit.enable=1", icount=True) as guest:
        yield from _run(guest, "instructions=1")


def kunit_shuffled(kernel: str) -> Iterator[str]:
    """KUnit tests of the patch pass on two processors with shuffled free lists."""
    with _guest(kernel, "kunit-shuffled",
                "kunit.enable=1 page_alloc.shuffle=1") as guest:
        expect_equal(guest.read("/sys/module/page_alloc/parameters/shuffle"), "Y",
                     "shuffle")
        _run(guest)
    yield from ()


# Other users of free blocks. Each is a shell script with many tries; the result is the number
# of tries that succeed at once. The last movable memory block is left out: its end belongs to
# the firmware.

_COUNT = """
tried=0 done=0
try() { tried=$((tried + 1)); if "$@" 2>/dev/null; then done=$((done + 1)); fi; }
write() { echo "$1" >"$2"; }
movable() {
	cd /sys/devices/system/memory && grep -l Movable memory*/valid_zones |
		sort -t y -k 3 -n | sed '$d;s,/.*,,' | grep .
}
# What frees all the time, so that there is something to take, and to move.
churn() { memtool --small churn 200 50 900 >/dev/null & trap "kill $!" EXIT; }
"""

_OFFLINE = """
churn
blocks=$(movable) && cd /sys/devices/system/memory || exit
for round in $(seq 1 20); do
	for block in $blocks; do
		try write offline $block/state
		write online_movable $block/state
	done
done
"""

# Allocate a part of the CMA area, and all of it. Each allocation is freed before the next.
_CMA = """
churn
cd /sys/kernel/debug/cma/*/ || exit
for round in $(seq 1 20); do
	for pages in 100 5000 $(cat count); do
		try write $pages alloc
		write $pages free
	done
done
"""

# Soft-offline some pages in each block, nearly all of them free, and make them usable again.
# A page that a program has at the moment may need a second try.
_SOFT_OFFLINE = """
churn
blocks=$(movable) && cd /sys/devices/system/memory || exit
size=$((0x$(cat block_size_bytes) / 4096))
pages=
for block in $blocks; do
	first=$((0x$(cat $block/phys_index) * size))
	for page in $(seq 0 19); do pages="$pages $((first + page * 1597))"; done
done
poison() {
	write $1 soft_offline_page && return
	dmesg | tail -n 1 | grep -q "migration failed" && write $1 soft_offline_page
}
for page in $pages; do
	usleep 25000
	try poison $((page * 4096))
done
for page in $pages; do
	write $page /sys/kernel/debug/hwpoison/unpoison-pfn 2>/dev/null
done
# What is poisoned is not poisoned a second time.
grep "HardwareCorrupted: *0 kB" /proc/meminfo || exit
"""

_COMPACT = """
churn
for round in $(seq 1 50); do
	try write 1 /proc/sys/vm/compact_memory
done
"""

# For each user the module's mode (parameter "cycling") and the script. The mode that leaves
# all memory raw comes first, as it needs memory that is still raw.
_USERS = {"pages soft-offlined": (2, _SOFT_OFFLINE), "blocks offlined": (1, _OFFLINE),
          "CMA allocations": (1, _CMA), "compactions": (1, _COMPACT)}


def _use(guest: Guest, script: str) -> tuple[int, int]:
    output = guest.run(f"{_COUNT}{script}\necho result $done $tried", timeout=240)
    if not (match := re.search(r"^result (\d+) (\d+)$", output, re.MULTILINE)):
        raise TestFailed(f"no result:\n{output}")
    return int(match[1]), int(match[2])


def _batches(guest: Guest) -> int:
    return int(guest.read(f"{_PARAMETERS}/batches"))


def _use_with_driver(guest: Guest, script: str, cycling: int) -> tuple[int, int]:
    """The number of successes and tries while the driver works, and the number of batches."""
    guest.run(f"echo {cycling} >{_PARAMETERS}/cycling")
    done, _ = _use(guest, script)
    batches = _batches(guest)
    guest.run(f"echo 0 >{_PARAMETERS}/cycling")
    return done, batches


# An isolation waits a tenth of a second for what is in flight. A host that stops the guest for
# longer makes one fail: 59 of 60 were seen, once in many runs.
_FAILED_PART = 30


def users(kernel: str) -> Iterator[str]:
    """Other users of free blocks (offlining, CMA, compaction) succeed as often as without a
    driver at work."""
    with _guest(kernel, "users", "kunit.enable=0 cma=64M kernelcore=400M",
                mem=1024) as guest:
        guest.run(f"insmod {_MODULE}")
        for what, (cycling, script) in _USERS.items():
            without, tried = _use(guest, script)
            done, batches = _use_with_driver(guest, script, cycling)
            yield (f"{what}: {done} of {tried} during {batches} batches,"
                   f" {without} without")
            expect(tried and without, f"{what}: nothing was done")
            expect(batches > 5, f"{what}: only {batches} batches")
            expect(done >= without - tried // _FAILED_PART,
                   f"{what}: {done} of {tried}, {without} without")
        guest.run("rmmod aeration_test")


CASES = [*(case for function in (module, kunit, users)
           for case in on_kernels(function, TREATED_KERNELS)),
         *on_kernels(kunit_shuffled, TREATED_KERNELS, long=True)]
