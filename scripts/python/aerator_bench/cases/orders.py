# SPDX-License-Identifier: GPL-2.0
"""Free memory in blocks of one order that cannot merge: what the host gains when they are
reported, and the cost for guest and host.

The host gains next to nothing from blocks smaller than its huge pages: a huge page stays in
use until its last block is dropped (or until the host is short of memory and splits the
page), and each 4 KiB that the guest then touches is a fault. RSS does not show that, so the
case has both measures.

back      decrease of the host's memory in use after the reports
rss_back  decrease of QEMU's RSS
refaults  faults of the host when the guest touches the same amount again
"""

from __future__ import annotations

from collections.abc import Iterator

from aerator_vm import Guest, GuestFailed
from aerator_vm.balloon import park_little
from aerator_vm.host import Sample
from aerator_vm.release import host_memory

from .. import plots
from ..contestant import PARAMETERS, STOCK, TREATED, Contestant
from ..figure import Case, Figure
from ..instructions import MACHINE, MIB, SETTLED_SECONDS, Report, release, settle

_CONTESTANTS = [f"{driver}-{kernel}" for kernel in (STOCK, TREATED)
                for driver in ("virtio_balloon", "aerator")]
_ORDERS = (0, 2, 4, 6, 9, 10)
_QUICK_ORDERS = (4, 9)

# Twice this amount is allocated, and every other block freed. All other free memory has been
# reported by then: a program that touches the same amount again causes faults of the host.
_FREED_MIB = 512
_MEM = 1408
# Slightly less than half of the blocks of an order have that bit of their number clear.
_LEAST_SHARE = 0.9

_ORDER = {"virtio_balloon": "/sys/module/page_reporting/parameters/page_reporting_order",
          "aerator": f"{PARAMETERS}/order"}


def _release(guest: Guest, driver: str, order: int) -> Report:
    """Free the blocks and report them. aerator begins when all of them are free, as
    virtio_balloon does."""
    starter = "/dev/null"
    if driver == "aerator":
        starter = f"{PARAMETERS}/enabled"
        guest.run(f"echo 0 >{starter}")
    report = release(guest, _FREED_MIB, order, starter)
    guest.run(f"echo 1 >{starter}")
    if report.mib < _LEAST_SHARE * _FREED_MIB:
        raise GuestFailed(f"only {report.mib} MiB freed in blocks of order {order}")
    return report


def _free_and_touch(guest: Guest, order: int) -> Iterator[Sample]:
    """Samples before the free, after it, and after the same amount was touched again."""
    holder = guest.start_job(f"memtool --small hold {2 * _FREED_MIB} {order}")
    holder.wait_for("touched", timeout=120)
    yield guest.host.sample()
    holder.tell()
    holder.wait_for("freed", timeout=120)
    guest.run(f"sleep {SETTLED_SECONDS}", timeout=90)
    yield guest.host.sample()
    guest.run(f"echo | memtool --small hold {_FREED_MIB}", timeout=120)
    yield guest.host.sample()
    holder.tell()
    holder.wait()


def _measure(guest: Guest, driver: str, order: int) -> Iterator[Figure]:
    variant = f"order {order}"
    settle(guest)
    report = _release(guest, driver, order)
    yield Figure(variant, "order", order, "1")
    yield Figure(variant, "instructions_per_mib", report.instructions / report.mib,
                 "instructions")
    yield Figure(variant, "kicks", report.kicks, "kicks")
    settle(guest)
    held, freed, touched = _free_and_touch(guest, order)
    yield Figure(variant, "back", (host_memory(held) - host_memory(freed)) / MIB, "MiB")
    yield Figure(variant, "rss_back", (held.rss - freed.rss) / MIB, "MiB")
    yield Figure(variant, "refaults", touched.minor_faults - freed.minor_faults, "faults")


def _run(contestant: Contestant, quick: bool) -> Iterator[Figure]:
    driver = str(contestant.driver)
    with contestant.guest("orders", mem=_MEM, **MACHINE) as guest:
        park_little(guest)
        for order in _QUICK_ORDERS if quick else _ORDERS:
            guest.run(f"echo {order} >{_ORDER[driver]}")
            yield from _measure(guest, driver, order)


CASE = Case("orders", f"{_FREED_MIB} MiB that are free in blocks of one order",
            _CONTESTANTS, _run, plot=plots.orders, beside=("order",), jobs=4)
