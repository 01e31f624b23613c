# SPDX-License-Identifier: GPL-2.0
"""aerator doctor: each fault that it knows, on a prepared tree."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from . import documents_facts as facts
from .harness import expect, expect_equal
from .tool_tree import Tree


def _modules(tree: Tree, *names: str) -> Tree:
    release = tree.read("proc/sys/kernel/osrelease").strip()
    tree.write(f"lib/modules/{release}/modules.dep", "".join(
        f"updates/dkms/{name}.ko.xz:\n" for name in names))
    return tree


# Lines of the module's log that doctor looks for.
_LATE = "no early notification of frees"
_EARLY = "early notification of frees works again"
_UNKNOWN = "page reporting of this kernel does not work as expected"

# What is wrong with a tree, by the check of doctor that warns, and a word of its advice.
_ILL: tuple[tuple[str, str, dict[str, Any], dict[str, str]], ...] = (
    ("driver", "modprobe aerator", {"driver": "virtio_balloon"}, {}),
    ("device", "free-page-reporting=on", {"device": 6}, {}),
    ("kernel", "Reboot", {"driver": "virtio_balloon"},
     {"proc/sys/kernel/osrelease": "6.12.95-cloud-amd64\n"}),
    ("reporting", "free-page-reporting=on", {"driver": "virtio_balloon", "features": 0}, {}),
    ("poison", "page-poison=on", {"driver": "virtio_balloon", "features": 0},
     {"proc/cmdline": "page_poison=1\n"}),
    ("module", "dkms autoinstall", {}, {"lib/modules/6.12.118-cloud-amd64/modules.dep": "a:\n"}),
    ("signature", "key of DKMS", {"driver": "virtio_balloon"},
     {"dev/kmsg": "6,1,1,-;Loading of unsigned module is rejected\n"}),
    ("host", "VFIO", {"files": {"host_discards": "no"}}, {}),
    ("enabled", "aerator resume", {"parameters": {"enabled": 0}}, {}),
    ("limits", "rate_mb=0", {"parameters": {"reserve_mb": 100}}, {}),
    ("errors", "dmesg", {"files": {"errors": 1}}, {}),
    ("notice", "kprobes", {}, {"dev/kmsg": f"4,1,1,-;aerator: {_LATE} (k)\n"}),
    ("notice", "kprobes", {}, {"dev/kmsg": f"4,1,1,-;aerator: {_UNKNOWN}: so\n"}),
    ("order", "order=9", {},
     {"sys/module/page_reporting/parameters/page_reporting_order": "10\n"}),
)


def doctor() -> list[str]:
    """doctor finds nothing in a good guest; each fault gives its warning, with what to do."""
    with tempfile.TemporaryDirectory(prefix="aerator-tool-") as name:
        tree = _modules(Tree(Path(name, "good")), "aerator")
        tree.write("dev/kmsg", f"4,1,1,-;{_LATE}\n6,2,2,-;aerator: {_EARLY}\n")
        good = tree.json("doctor")["checks"]
        expect_equal({check["result"] for check in good}, {"ok"}, f"results in {good}")
        expect_equal({check["name"] for check in good}, {row[0] for row in _ILL},
                     "checks, and checks that are tested")
        for number, (wanted, word, arguments, files) in enumerate(_ILL):
            tree = _modules(Tree(Path(name, str(number)), **arguments), "aerator")
            for path, text in files.items():
                tree.write(path, text)
            found = {check["name"]: check for check in tree.json("doctor", status=1)["checks"]}
            expect_equal(found[wanted]["result"], "warn", f"check {wanted}")
            expect(word in found[wanted]["advice"], f"no '{word}' in {found[wanted]['advice']}")
            text = " ".join(tree.run("doctor", status=1)[0].split())
            expect(f"warn {wanted}" in text and word in text, text)
    logged = "\n".join(facts.log_lines("6.12"))
    for line in (_LATE, _EARLY, _UNKNOWN):
        expect(line in logged, f"the module does not log '{line}'")
    return [f"{len(_ILL)} faults"]
