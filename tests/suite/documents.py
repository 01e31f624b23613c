# SPDX-License-Identifier: GPL-2.0
"""Documents agree with the code, each file has a licence, and the tarball is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aerator_vm.common import TOP

from . import documents_facts as facts
from .documents_tarball import tarball, tarball_builds
from .harness import TREATED, Case, expect, expect_equal, module_file, on_kernels, run_script
from .static import tracked

# Documents describe the module on a stock kernel and on a patched one.
_STOCK = "6.12"

_MAN = TOP / "Documentation/aerator.4"
_ABI = TOP / "Documentation/ABI"
_PARAMETERS = "/sys/module/aerator/parameters/"
_DEVICE_FILES = "/sys/bus/virtio/devices/virtioX/aerator/"
_TRACEPOINTS = "/sys/kernel/tracing/events/aerator/"
_ABI_TAGS = ["What", "Date", "KernelVersion", "Contact", "Description"]

# Files without comments, and files whose licence is that of the kernel (patches).
_NO_SPDX = re.compile(r"LICENSE|.*\.(png|patch|json)|Documentation/ABI/.*"
                      r"|debian/(copyright|source/format)")


def _expect_same(found: Mapping[str, object], wanted: Mapping[str, object],
                 where: str) -> None:
    """Two mappings are equal: a name in the document that the module lacks is as wrong as the
    reverse."""
    wrong = [f"{name}: {found.get(name)} there, {wanted.get(name)} in the module"
             for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    expect(not wrong, f"{where}:\n" + "\n".join(wrong))


def _readme_rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its header."""
    text = (TOP / "README.md").read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in body.splitlines() if line.startswith("| `")]


def _man_items(section: str) -> dict[str, str]:
    """The names in bold of a section of the manual page, each with the paragraph after it."""
    body = _MAN.read_text().partition(f"\n.SH {section}\n")[2].partition("\n.SH ")[0]
    return dict(re.findall(r"^\.TP\n\.B (\w+)\n(.*?)(?=^\.TP|^\.PP|\Z)", body, re.S | re.M))


def _man_text() -> str:
    """The formatted manual page, on one line."""
    text = run_script("mandoc", "-Tutf8", "-Owidth=1000", _MAN)
    return " ".join(re.sub(r".\x08", "", text).split())


def _abi_entries() -> list[dict[str, str]]:
    """The entries of all ABI documents: tags and their texts."""
    blocks = [block for path in sorted(_ABI.iterdir())
              for block in re.split(r"\n\n(?=What:)", path.read_text())]
    return [dict(re.findall(r"^(\w+):\s*(.*?)(?=^\w+:|\Z)", block, re.S | re.M))
            for block in blocks]


def _abi(folder: str) -> dict[str, str]:
    """The descriptions of the files of a folder."""
    found = {entry["What"].strip(): entry["Description"] for entry in _abi_entries()}
    return {path.removeprefix(folder): text for path, text in found.items()
            if path.startswith(folder)}


def _bounds(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The default and the allowed values of each name, from the manual page or the ABI."""
    pattern = re.compile(r"Default: (.+?)\. Allowed: (.+?)\.(?:\s|$)")
    found = {name: pattern.search(" ".join(text.split())) for name, text in texts.items()}
    return {name: match.groups() if match else () for name, match in found.items()}


def _units(texts: Mapping[str, str]) -> dict[str, str]:
    found = {name: re.search(r"Unit: (.+?)\.\s", text) for name, text in texts.items()}
    return {name: match[1] if match else "none said" for name, match in found.items()}


def _both(stock: str, patched: str) -> str:
    """A value on a stock kernel and on a patched one, as the documents write it."""
    return stock if stock == patched else f"{stock}; patched {patched}"


def parameters_of_guests() -> dict[str, tuple[str, str]]:
    """The default and the allowed values of each parameter, as the documents write them. The
    note on older kernels is that of older_orders()."""
    stock, patched = facts.parameters(_STOCK), facts.parameters(TREATED)
    expect_equal(sorted(stock), sorted(patched), "parameters with and without the patch")
    return {name: (_both(default, patched[name][0]), _both(allowed, patched[name][1]))
            for name, (default, allowed) in stock.items()}


def _without_note(bounds: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(text.partition(" (")[0] for text in texts)
            for name, texts in bounds.items()}


def parameters() -> None:
    """aerator(4) and the ABI documents have the parameters of a guest, README.md some."""
    wanted = parameters_of_guests()
    rows = {cells[0].strip("`"): cells[1] for cells in _readme_rows("Settings")}
    _expect_same(rows, {name: wanted[name][0] for name in rows}, "README.md, Settings")
    expect(len(rows) > 3, "README.md has no table of settings")
    man, abi = _man_items("PARAMETERS"), _abi(_PARAMETERS)
    _expect_same(_without_note(_bounds(man)), wanted, "aerator(4), PARAMETERS")
    _expect_same(_without_note(_bounds(abi)), wanted, "ABI of the parameters")
    _expect_same(_units(man), _units(abi), "units in aerator(4), and in the ABI")


def older_orders(kernel: str) -> None:
    """aerator(4) and the ABI documents have the orders that an older kernel allows."""
    allowed = facts.parameters(kernel)["order"][1]
    note = f"{kernel}: from {allowed.partition(' to ')[0]}" if " to " in allowed else \
        f"{kernel}: {allowed} only"
    for where, texts in (("aerator(4)", _man_items("PARAMETERS")), ("ABI", _abi(_PARAMETERS))):
        expect(note in _bounds(texts)["order"][1], f"{where} lacks {note!r} for order")


def options() -> None:
    """packaging/modprobe.conf has a line for each parameter, commented out, with its default."""
    text = (TOP / "packaging/modprobe.conf").read_text()
    wanted = {name: default.partition(";")[0]
              for name, (default, _) in parameters_of_guests().items()}
    _expect_same(dict(re.findall(r"^# .{20,}\n#options aerator (\w+)=(\S+)$", text, re.M)),
                 wanted, "packaging/modprobe.conf, each with a comment")


def device_files() -> None:
    """aerator(4) and the ABI documents have the device's files of a guest."""
    wanted = facts.device_files(_STOCK)
    man, abi = _man_items("DEVICE FILES"), _abi(_DEVICE_FILES)
    _expect_same({name: text.partition(".")[0] for name, text in abi.items()}, wanted,
                 "ABI of the device's files")
    _expect_same(_units(man), _units(abi), "units in aerator(4), and in the ABI")


def tracepoints() -> None:
    """The ABI documents have the tracepoints of a guest, with their fields."""
    wanted = facts.tracepoints(_STOCK)
    abi = _abi(_TRACEPOINTS)
    fields = {name: set(re.findall(r"^\t\t(\w+)\t", text, re.M)) for name, text in abi.items()}
    same = {name for name, text in abi.items()
            if "those of aerator_fill." in " ".join(text.split())}
    _expect_same({name: fields.get("aerator_fill") if name in same else found
                  for name, found in fields.items()}, wanted, "ABI of the tracepoints")
    missing = [name for name in wanted if name not in _man_text()]
    expect(not missing, f"aerator(4) has no {missing}")


def abi_form() -> None:
    """The ABI documents have the kernel's form, which scripts/get_abi.pl reads."""
    for entry in _abi_entries():
        expect_equal(list(entry), _ABI_TAGS, f"tags of {entry.get('What', entry)}")
        expect(all(entry.values()), f"{entry['What']} has an empty tag")


def manual_page() -> None:
    """The manual page is well formed, and has all lines of the log."""
    expect_equal(run_script("mandoc", "-T", "lint", "-W", "warning", _MAN), "", "mandoc")
    text = _man_text()
    lines = facts.log_lines(_STOCK) | facts.log_lines(TREATED)
    missing = [line for line in sorted(lines) if line not in text]
    expect(not missing, "lines of the log that aerator(4) lacks:\n" + "\n".join(missing))


def versions() -> None:
    """The module's version is that of all documents."""
    wanted = facts.modinfo(module_file(_STOCK))["version"][0]
    heads = {"aerator.4": re.search(r'^\.TH .*"aerator (\S+)"', _MAN.read_text(), re.M),
             "CHANGELOG.md": re.search(r"^## ([\w.~]+)", (TOP / "CHANGELOG.md").read_text(), re.M)}
    _expect_same({name: match and match[1] for name, match in heads.items()},
                 dict.fromkeys(heads, wanted), "versions")


def _lacks_licence(path: str) -> bool:
    text = (TOP / path).read_bytes()
    if _NO_SPDX.fullmatch(path) and not text.startswith(b"#!"):
        return False
    line = rb"\A(#.*\n)?.*SPDX-License-Identifier: GPL-2\.0( \*/| -->)?\n"
    return not re.search(line, text)


def licences() -> None:
    """Each file names its licence, which is GPL 2."""
    expect("GNU GENERAL PUBLIC LICENSE\n                       Version 2"
           in (TOP / "LICENSE").read_text(), "LICENSE is not that of GPL 2")
    lacking = [path for path in tracked() if _lacks_licence(path)]
    expect(not lacking, "no SPDX line, GPL-2.0, at the top of " + ", ".join(lacking))


def _modinfo_parameters(found: Mapping[str, list[str]], kernel: str) -> None:
    """Each parameter has a description and a type; the defaults and bounds in the description
    are correct."""
    texts = dict(line.split(":", 1) for line in found.get("parm", []))
    wanted = facts.parameters(kernel)
    said = {name: re.fullmatch(r".{10,}\b(?:default (\w+)|(\w+), the default)[,)].*"
                               r"\((?:uint|charp)\)", text)
            for name, text in texts.items()}
    _expect_same({name: match and (match[1] or match[2]) for name, match in said.items()},
                 {name: default for name, (default, _) in wanted.items()},
                 "modinfo: description, default and type")
    for name, text in texts.items():
        bounds = re.search(r"\((\d+) to (\d+),", text)
        if bounds:
            expect_equal(facts.span(*map(int, bounds.groups())),
                         wanted[name][1].removesuffix(", or auto"),
                         f"modinfo: bounds of {name}")


def modinfo(kernel: str) -> None:
    """modinfo shows author, licence, and correct defaults and bounds of parameters."""
    found = facts.modinfo(module_file(kernel))
    for name, wanted in {"license": "GPL", "author": "The aerator developers",
                         "alias": "virtio:d00000005v*"}.items():
        expect_equal(found.get(name), [wanted], f"modinfo: {name}")
    expect(len(found.get("description", [""])[0]) > 20, "modinfo: no description")
    _modinfo_parameters(found, kernel)


CASES = [
    Case("documents-parameters", parameters, TREATED),
    *on_kernels(older_orders, (), rarely=("5.10", "6.1")),
    Case("documents-options", options, TREATED),
    Case("documents-device-files", device_files, _STOCK),
    Case("documents-tracepoints", tracepoints, _STOCK),
    Case("documents-abi-form", abi_form),
    Case("documents-manual-page", manual_page, TREATED),
    Case("documents-versions", versions, _STOCK),
    Case("documents-licences", licences),
    *on_kernels(modinfo, (_STOCK, TREATED)),
    Case("tarball", tarball),
    Case("tarball-builds", tarball_builds, long=True),
]
