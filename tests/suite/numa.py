# SPDX-License-Identifier: GPL-2.0
"""Guests with several NUMA nodes: each has its own surplus, and its own pressure."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from aerator_vm import Guest
from aerator_vm.balloon import park_little

from .harness import (MIB, TREATED, Case, counters, expect, expect_equal, load_aerator,
                      make_guest, meminfo, module_file, on_kernels, wait_until)

_MEM = 2048
_DISK = "tests/disk"
_DISK_FILE = "/zerodisk.ko"

# The memory of each of two jobs, which take turns, each on its own node.
_JOB_MIB = 384
_TURN_MS = 600
_TURNS = 16
# All free memory is treated before the first turns on each node, which are not counted.
_LEARNING_TURNS = 4


def _reported(guest: Guest, folder: str) -> int:
    return counters(guest, folder)["reported_bytes"] // MIB


def _host_mib(guest: Guest) -> int:
    held = guest.host.memory_current()
    return (guest.host.rss() if held is None else held) // MIB


def turns(kernel: str) -> Iterator[str]:
    """Churn is detected per node: memory that a job allocates and frees again and again is not
    reported, even if the sum of free memory of all nodes is constant."""
    with make_guest(kernel, "numa-turns", mem=_MEM, nodes=2, icount=True) as guest:
        park_little(guest)
        folder = load_aerator(guest)
        before, after, later = map(int, guest.run(
            f"cd {folder} && echo 1 >flush &&"
            f" memtool turns {_JOB_MIB} {_TURN_MS} 2 {_LEARNING_TURNS} >/dev/null;"
            f" cat reported_bytes; memtool turns {_JOB_MIB} {_TURN_MS} 2 {_TURNS} >/dev/null;"
            f" cat reported_bytes; sleep 20; cat reported_bytes", timeout=200).split())
    a_turn = (after - before) / _TURNS / MIB
    expect(a_turn < _JOB_MIB / 8, f"{a_turn:.0f} MiB of {_JOB_MIB} were reported in each turn")
    # After the jobs, the memory of both nodes is reported.
    rest = (later - after) / MIB
    expect(rest > 2 * _JOB_MIB * 3 / 4, f"only {rest:.0f} MiB went in the end")
    yield f"{a_turn:.0f} of {_JOB_MIB} MiB were reported in each turn, {rest:.0f} in the end"


def busy_node(kernel: str) -> Iterator[str]:
    """A node that reclaims memory all the time does not stop reports of another node."""
    files = {_DISK_FILE: module_file(kernel, _DISK)}
    with make_guest(kernel, "numa-busy", mem=_MEM, nodes=2, files=files) as guest:
        park_little(guest)
        guest.insmod(_DISK_FILE)
        load_aerator(guest, enabled=0)
        # The page cache of a block device is freed when its last user closes it.
        guest.start_job("exec sleep 1000 </dev/zerodisk")
        guest.run("echo | memtool --node 1 memtool hold 700", timeout=120)
        reader = guest.start_job("memtool --node 0 sh -c"
                                 " 'while :; do dd if=/dev/zerodisk of=/dev/null bs=1M; done'")
        scanned = _scans(guest)
        wait_until("node 0 reclaims", 60, lambda: _scans(guest) > scanned)
        held = _host_mib(guest)
        guest.run("echo 1 >/sys/module/aerator/parameters/enabled")
        wait_until("the host has the memory of node 1 back", 40,
                   lambda: _host_mib(guest) < held - 500)
        before = _scans(guest)
        wait_until("node 0 still reclaims", 20, lambda: _scans(guest) > before)
        reader.signal("KILL")
        after = _host_mib(guest)
    yield f"the host had {held} MiB, {after} MiB while node 0 was short of memory"


def _scans(guest: Guest) -> int:
    return int(guest.run("awk '/^pgscan_/ { n += $2 } END { print n }' /proc/vmstat"))


def lone_node(kernel: str) -> Iterator[str]:
    """A node without memory is skipped; hotplugged memory of it is reported, and can be
    removed again. Reports of other nodes are not affected."""
    dimm = 512
    args = ("-object", f"memory-backend-ram,id=dimm,size={dimm}M,reserve=off")
    with make_guest(kernel, "numa-lone", mem=1024, empty_nodes=1,
                    more_memory=",slots=2,maxmem=4G",
                    qemu_args=args,
                    append="memhp_default_state=online_movable") as guest:
        park_little(guest)
        folder = load_aerator(guest)
        _comes_back(guest, 0)
        total = meminfo(guest, "MemTotal")
        for _ in range(2):
            guest.qmp.execute("device_add", driver="pc-dimm", id="dimm0", memdev="dimm", node=1)
            wait_until("the node has memory", 30,
                       lambda: meminfo(guest, "MemTotal") > total + dimm * 900)
            guest.run(f"echo 1 >{folder}/flush", timeout=90)
            _comes_back(guest, 1)
            guest.qmp.execute("device_del", id="dimm0")
            # The memory disappears in the guest a moment before QEMU removes the device.
            wait_until("the node's memory, and its memory device, are removed", 60,
                       lambda: meminfo(guest, "MemTotal") == total
                       and not guest.qmp.execute("query-memory-devices"))
        _comes_back(guest, 0)
        expect_equal(counters(guest, folder)["errors"], 0, "errors")
    yield "memory of a node was added and removed twice"


def _comes_back(guest: Guest, node: int) -> None:
    """Memory of a node that is used and freed returns to the host."""
    guest.run(f"memtool --node {node} memtool churn 300 0 1", timeout=60)
    held = _host_mib(guest)
    wait_until(f"memory of node {node} is back", 30, lambda: _host_mib(guest) < held - 200)


CASES = [*on_kernels(turns, ("6.12",), rarely=(TREATED,)),
         *on_kernels(busy_node, ("6.12", TREATED), long=True),
         Case("lone-node 6.12", functools.partial(lone_node, "6.12"), "6.12")]
