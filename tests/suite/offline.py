# SPDX-License-Identifier: GPL-2.0
"""Memory that goes offline while aerator reads its page structs."""

from __future__ import annotations

from collections.abc import Iterator

from .harness import (expect, expect_equal, load_aerator, make_guest, module_file,
                      on_kernels)

_PROBE = "/looks.ko"
_FOUND = "/sys/module/looks/parameters"

# Take the first memory block that can be emptied offline, and online again.
_OFFLINE = """
cd /sys/devices/system/memory
for block in memory[1-9]*; do
    echo offline >$block/state && echo online >$block/state && exit
done 2>/dev/null
exit 1
"""


def looks(kernel: str) -> Iterator[str]:
    """Page structs are read in RCU read sections only, and memory goes offline only after these
    have ended. Afterwards page structs may be unmapped."""
    files = {_PROBE: module_file(kernel, "tests/looks")}
    with make_guest(kernel, "looks", files=files) as guest:
        folder = load_aerator(guest)
        guest.insmod(_PROBE)
        guest.run("memtool hold 256 </dev/null")
        guest.run(f"echo 1 >{folder}/flush; cat {folder}/raw_bytes", timeout=90)
        guest.run(_OFFLINE)
        found = {name: guest.read(f"{_FOUND}/{name}")
                 for name in ("looks", "bare", "read", "waited")}
        expect(int(found["looks"]), "no read of a page struct was seen")
        expect_equal(found["bare"], "0", f"of {found['looks']} reads, outside of a read section")
        expect_equal(found["read"], "Y", "a read section began")
        expect_equal(found["waited"], "Y", "mm waited for its end")
        yield f"{found['looks']} reads of page structs, all in read sections"


CASES = on_kernels(looks, ("6.12",))
