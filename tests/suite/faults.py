# SPDX-License-Identifier: GPL-2.0
"""Fault injection: whichever allocation or registration of aerator fails, the device has a
driver afterwards, works, and no memory is lost.

The nth call fails, for each n up to the number of calls of an operation (tests/faults). The
device is that of tests/device, and each operation is a loop in the guest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aerator_vm import Guest

from .device import FILES, WORKS, Host, check_works
from .harness import (KASAN, MODULE, PARAMETERS, balloon_device, expect, expect_equal, is_debug,
                      make_guest, meminfo, module_file, on_kernels, settled_free)
from .lifecycle import QUARANTINE, SLACK_KB

_DEVICE = "/aerator_device.ko"
_FAULTS = "/faults.ko"
_DRIVER = "/sys/bus/virtio/drivers/aerator"
_SECONDS = 900
# Two blocks and a few pages.
_PAGES = 1032

# Loops until no call failed, since the operation makes fewer calls. Prints the number of
# failed calls.
_LOOP = """
faults=/sys/module/faults/parameters
files={files}
soon() {{
	tries=100
	until eval "$1"; do
		sleep 0.1
		[ $((tries -= 1)) -gt 0 ] || {{ echo "call $nth of {name}: not $1"; exit 1; }}
	done
}}
nth=0
calls=1
until [ $calls -lt $nth ]; do
	nth=$((nth + 1))
	echo 0 >$faults/calls
	echo $nth >$faults/nth
	{{ {operation}; }} 2>/dev/null
	calls=$(cat $faults/calls)
	echo 0 >$faults/nth
	{repair}
	soon "echo 1 >{flush} 2>/dev/null"
done
echo $((nth - 1))
"""


def _operations(name: str) -> dict[str, tuple[str, str]]:
    """Operations in which each call fails once: commands, and what follows in any case."""
    bound = f"[ -e {_DRIVER}/{name} ] || echo {name} >{_DRIVER}/bind"
    return {
        "load": (f"rmmod aerator; insmod {MODULE} window_ms=0",
                 f"[ -e {_DRIVER} ] || insmod {MODULE} window_ms=0; {bound}"),
        "bind": (f"echo {name} >{_DRIVER}/unbind; echo {name} >{_DRIVER}/bind", bound),
        "restart": (f"echo 16 >{PARAMETERS}/reactor_size",
                    f"soon 'echo 32 >{PARAMETERS}/reactor_size'"),
        "inflation": (f"echo {_PAGES} >$files/num_pages; sleep 0.5",
                      f"soon '[ $(cat $files/actual) = {_PAGES} ]'; echo 0 >$files/num_pages;"
                      " soon '[ $(cat $files/actual) = 0 ]'"),
        "resume": ("echo 1 >$files/asleep; echo 0 >$files/asleep", ":"),
        # The recovery begins a second after the reset.
        "recovery": ("echo reset >$files/reporting/behaviour; echo | memtool hold 64; sleep 2",
                     "echo now >$files/reporting/behaviour"),
    }


def _fail_each(guest: Guest, what: str) -> str:
    device = balloon_device(guest)
    operation, repair = _operations(device.rpartition("/")[2])[what]
    output = guest.run(_LOOP.format(
        name=what, files=FILES, flush=f"{device}/aerator/flush", operation=operation,
        repair=repair), timeout=_SECONDS)
    failed = int(output.split()[-1])
    expect(failed > 0, f"no call of {what} failed")
    return f"{what}: {failed} calls, each failed once"


def faults(kernel: str) -> Iterator[str]:
    files = {_DEVICE: module_file(kernel, "tests/device"),
             _FAULTS: module_file(kernel, "tests/faults")}
    with make_guest(kernel, "faults", mem=640, smp=1, balloon=None, files=files,
                    time_limit=3000) as guest:
        host = Host(guest)
        guest.insmod(_DEVICE)
        guest.insmod(_FAULTS)
        guest.insmod(MODULE, {"window_ms": 0})
        total, free = meminfo(guest, "MemTotal"), settled_free(guest)
        for what in _operations(""):
            yield _fail_each(guest, what)
        check_works(host, WORKS[0])
        expect_equal(host.read("violations"), 0, "violations")
        expect_equal(meminfo(guest, "MemTotal"), total, "MemTotal")
        lost = free - settled_free(guest)
        slack = SLACK_KB + (total // QUARANTINE if is_debug(kernel) else 0)
        expect(lost < slack, f"{lost} kB of MemFree are lost")
        names = set(re.findall(r"faults: (\w+) fails", guest.dmesg()))
        yield f"{len(names)} functions failed: {' '.join(sorted(names))}"


CASES = on_kernels(faults, ("6.12", KASAN), long=True)
