# SPDX-License-Identifier: GPL-2.0
"""Builds for kernels that are not booted: with other names of the APIs, for other
architectures, for other releases of a series."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from aerator_vm.common import BUILD, TOP

from .harness import Case, TestFailed, expect, run_script
from .static import silent


def _answer(*command: str) -> Path:
    """The path that a script of the checkout prints."""
    result = subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip())


def _stock_headers(kernel: str) -> Path:
    """The headers against which a module for a stock kernel is built."""
    tree = _answer("scripts/kernel", kernel)
    release = (tree / "release").read_text().strip()
    return tree / "lib/modules" / release / "build"


def _common(headers: Path) -> Path:
    """The folder of headers that all flavours of a release have in common."""
    makefile = (headers / "Makefile").read_text()
    return Path(re.findall(r"^include (\S+)/Makefile$", makefile, re.M)[0])


def _folder(name: str) -> Path:
    """Make an empty folder that the compiler of any suite can see."""
    folder = BUILD / "check" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _compile(name: str, suite: str, headers: Path, *arguments: str) -> None:
    """The module builds with W=1 without a message."""
    silent(run_script("scripts/compile", name, suite, headers, "W=1", *arguments),
           "warnings")


# Names in 7.3's headers, and what they were in 6.17 and in the first releases of 6.18.
_NAMES_6_17 = {"VIRTIO_FEATURES_U64S": "VIRTIO_FEATURES_DWORDS",
               "VIRTIO_FEATURES_BITS": "VIRTIO_FEATURES_MAX",
               "VIRTIO_U64": "VIRTIO_DWORD"}


def virtio_names() -> None:
    """The module builds with the names that 6.17 has for features of a device. No suite has
    6.17 any more: headers of 7.3 with these names come first in the include path."""
    headers = _stock_headers("7.3")
    folder = _folder("virtio-names/include/linux")
    for header in (_common(headers) / "include/linux").glob("virtio*.h"):
        text = header.read_text()
        for new, old in _NAMES_6_17.items():
            text = re.sub(rf"\b{new}\b", old, text)
        (folder / header.name).write_text(text)
    expect("VIRTIO_FEATURES_DWORDS" in (folder / "virtio_features.h").read_text(),
           "7.3 has other names now")
    _compile("virtio-names", "trixie", headers,
             f"NOSTDINC_FLAGS=-nostdinc -I{folder.parent}")


def _variant(headers: Path, folder: Path) -> Path:
    """A copy of headers that can be modified: links to the original files and folders."""
    common = folder / "common"
    for copy, original in ((folder / "headers", headers), (common, _common(headers))):
        copy.mkdir()
        for path in original.iterdir():
            (copy / path.name).symlink_to(path.resolve())
    makefile = folder / "headers/Makefile"
    makefile.unlink()
    makefile.write_text(f"include {common}/Makefile\n")
    return makefile.parent


def _object(name: str, suite: str, headers: Path, *arguments: str) -> str:
    """The undefined symbols of one object of the module."""
    run_script("scripts/compile", name, suite, headers, _OBJECT, *arguments)
    return run_script("nm", "-u", BUILD / "check" / name / "module" / _OBJECT)


def _refused(what: str, *arguments: Any) -> None:
    """The module does not compile, and the compiler prints the reason."""
    try:
        _object(*arguments)
    except TestFailed as failure:
        expect(what in str(failure), f"not the reason: {failure}")
    else:
        raise TestFailed(f"compiled, though it {what}")


_OBJECT = "intake_reporting.o"
_ORDER = "page_reporting_order"


def exports() -> None:
    """Headers without Module.symvers are refused, unless the kernel's sources show what is
    exported. A tree that is prepared for modules, but not built, has no Module.symvers."""
    folder = _folder("exports")
    headers = _variant(_stock_headers("6.12"), folder)
    (headers / "Module.symvers").unlink()
    _refused("needs the kernel's Module.symvers", "exports", "trixie", headers)
    (folder / "common/mm").mkdir()
    source = folder / "common/mm/page_reporting.c"
    source.write_text(f"unsigned int {_ORDER} = -1;\nEXPORT_SYMBOL_GPL({_ORDER});\n")
    expect(_ORDER in _object("exports", "trixie", headers), "the order is not used")
    source.write_text(f"unsigned int {_ORDER} = -1;\n")
    expect(_ORDER not in _object("exports", "trixie", headers), "the order is not exported")


def pageblocks() -> None:
    """A kernel before 5.14 whose pageblock_order is a variable is refused at build time:
    modules cannot use that variable."""
    _refused("needs Linux 5.14 or newer here", "pageblocks", "bullseye",
             _stock_headers("5.10"), "KCFLAGS=-DCONFIG_HUGETLB_PAGE_SIZE_VARIABLE")


# Evaluates dkms.conf as dkms does.
_DKMS_MAKE = 'dkms_tree=/dkms kernel_source_dir=$1; . ./dkms.conf; echo "${MAKE[0]}"'


def _dkms_arguments(headers: Path) -> list[str]:
    """Arguments that dkms gives to make, and that depend on the kernel."""
    words = run_script("bash", "-euc", _DKMS_MAKE, "bash", headers).split()
    expect(words[:3] == ["make", "-C", str(headers)] and words[-1] == "modules",
           f"dkms' command: {words}")
    return words[4:-1]


# Options of a kernel's configuration that differ between clang and gcc 12; and arguments for
# make that turn off what clang 14 does not support.
_CLANG = {r"^(CONFIG_CC_IS_)GCC=y": r"\1CLANG=y",
          r"^(CONFIG_CC_IMPLICIT_FALLTHROUGH=\S+)=5": r"\1",
          r"^(CONFIG_CC_HAS_AUTO_VAR_INIT_ZERO_)BARE=y": r"\1ENABLER=y",
          r"^(CONFIG_GCC_VERSION=)\d+": r"\g<1>0",
          r"^(CONFIG_CLANG_VERSION=)\d+": r"\g<1>140000"}
_NOT_CLANG = ("CONFIG_SLS=", "CONFIG_RETHUNK=", "CONFIG_FTRACE_MCOUNT_USE_CC=",
              "CONFIG_FTRACE_MCOUNT_USE_OBJTOOL=y")


def clang() -> None:
    """The module builds for a kernel that was built with clang: Debian's headers, with the
    configuration changed."""
    folder = _folder("clang")
    stock = _stock_headers("6.1")
    headers = _variant(stock, folder)
    for name in ("include", ".config", ".kernelvariables"):
        (headers / name).unlink()
    shutil.copytree(stock / "include", headers / "include", symlinks=True)
    for path in ("include/config/auto.conf", ".config"):
        text = (stock / path).read_text().replace('"', "")
        for gcc, other in _CLANG.items():
            text = re.sub(gcc, other, text, flags=re.M)
        (headers / path).write_text(text)
    (headers / ".kernelvariables").write_text(
        re.sub(r"^CC = .*", "", (stock / ".kernelvariables").read_text(), flags=re.M))
    expect(not _dkms_arguments(stock), "an argument for gcc")
    _refused("unrecognized command-line option", "clang", "bookworm/clang", headers,
             *_NOT_CLANG)
    _compile("clang", "bookworm/clang", headers, *_NOT_CLANG, *_dkms_arguments(headers))


def _fetched(suite: str, purpose: str, *which: str) -> None:
    """The module builds against fetched headers, and uses no symbol that is not exported."""
    headers = _answer("scripts/headers", suite, *which) / "build"
    base = suite.removesuffix("-backports")
    _compile("-".join((suite, *which)), f"{base}{purpose}", headers)


def architecture(suite: str, architecture: str, flavour: str, series: str,
                 long: bool = False) -> Case:
    return Case(f"architecture {series} {flavour}",
                functools.partial(_fetched, suite, "/cross", architecture, flavour, series),
                long=long)


def release(suite: str, series: str, age: str) -> Case:
    return Case(f"release {suite} {series} {age}",
                functools.partial(_fetched, suite, "", "amd64", "cloud-amd64", series, age),
                long=True)


CASES = [
    Case("virtio-names 7.3", virtio_names, long=True),
    Case("exports 6.12", exports, long=True),
    Case("pageblocks 5.10", pageblocks),
    Case("clang 6.1", clang, long=True),
    architecture("bookworm", "i386", "686-pae", "6.1", long=True),
    architecture("bookworm-backports", "arm64", "cloud-arm64", "6.12", long=True),
    architecture("bookworm-backports", "ppc64el", "powerpc64le", "6.12", long=True),
    architecture("bookworm-backports", "s390x", "s390x", "6.12", long=True),
    architecture("bookworm", "ppc64el", "powerpc64le", "6.1", long=True),
    architecture("bookworm", "s390x", "s390x", "6.1", long=True),
    architecture("trixie", "arm64", "arm64-16k", "6.12", long=True),
    architecture("trixie", "arm64", "rt-arm64", "6.12", long=True),
    architecture("trixie", "ppc64el", "powerpc64le-64k", "6.12", long=True),
    architecture("trixie-backports", "arm64", "cloud-arm64", "7.3", long=True),
    release("bullseye", "5.10", "oldest"),
    release("bookworm", "6.1", "oldest"),
    release("bookworm", "6.12", "oldest"),
    release("bookworm", "6.12", "newest"),
    release("bookworm-backports", "6.12", "newest"),
    release("trixie", "6.12", "oldest"),
    release("trixie-backports", "7.2", "oldest"),
]
