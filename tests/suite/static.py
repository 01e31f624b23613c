# SPDX-License-Identifier: GPL-2.0
"""Static checks: builds without warnings, and checkers of style and code."""

from __future__ import annotations

import re
import subprocess

from aerator_vm.common import TOP

from .harness import (BUILD_KERNELS, TREATED, TREATED_KERNELS, Case, expect, on_kernels,
                      run_script)
from .rotation import EACH_COMMIT
from .seams import seams

# Harmless lines of output: the path of the module, and progress.
_HARMLESS = re.compile(r"/\S+/aerator\.ko$|  .* \.\.\. \d+ s$")


def tracked(*patterns: str) -> list[str]:
    """The files of the project, including those that are not committed yet."""
    output = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
         *patterns], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True)
    return output.stdout.split()


def silent(output: str, what: str) -> None:
    """The output of a build or a checker has no finds."""
    lines = [line for line in output.splitlines()
             if line and not _HARMLESS.match(line)]
    expect(not lines, f"{what}:\n" + "\n".join(lines))


def _shebang(path: str, word: str) -> bool:
    with open(TOP / path, "rb") as file:
        return word.encode() in file.readline() and file.tell() < 64


def build(kernel: str) -> None:
    """The module builds for a kernel of guests without a warning."""
    silent(run_script("scripts/module", kernel), "warnings")


def sparse(kernel: str) -> None:
    """Sparse finds nothing in the module, with endianness checks."""
    silent(run_script("scripts/module", "--sparse", kernel), "warnings, or sparse")


def checkpatch() -> None:
    """The module's sources keep the kernel's coding style."""
    run_script("scripts/check/checkpatch", *tracked("module/*.c", "module/*.h"))


def checkpatch_guest() -> None:
    """The C files of the tests keep the kernel's coding style. In user space, the kernel's types
    are not required, and libraries have names of their own style."""
    run_script("scripts/check/checkpatch", "--ignore",
               "PREFER_KERNEL_TYPES,BIT_MACRO,EMBEDDED_FUNCTION_NAME,VOLATILE,CAMELCASE",
               *tracked("tests/*.c", "tests/*.h", "tools/*.c", "tools/*.h"))


def shellcheck() -> None:
    """shellcheck finds nothing in any shell script."""
    scripts = [path for path in tracked("scripts", "tests", ".ci", "packaging", "debian")
               if path.endswith(".sh") or _shebang(path, "bash")
               or _shebang(path, "/bin/sh")]
    run_script("shellcheck", "-x", "-P", "scripts:scripts/check", *scripts, "dkms.conf")


def coccicheck() -> None:
    """The kernel's semantic patches find nothing in the module."""
    run_script("scripts/check/coccicheck", "module")


def _python() -> list[str]:
    return [path for path in tracked("scripts", "tests")
            if path.endswith(".py") or _shebang(path, "python3")]


def flake8() -> None:
    """flake8 finds nothing in any Python file."""
    run_script("flake8", *_python())


def mypy() -> None:
    """mypy finds no wrong type in any Python file."""
    run_script("mypy", *_python())


def described() -> None:
    """Each test has a sentence that says what it shows, for tests/run --list; tests that are
    run for each commit exist, and are rare."""
    from . import GROUPS, load  # here, as that imports this module
    cases = load(GROUPS)
    without = [case.name for case in cases if len(case.about) < 20]
    expect(not without, f"no docstring, or a short one: {without}")
    unknown = set(EACH_COMMIT) - {case.name for case in cases if case.rare}
    expect(not unknown, f"for each commit, but not rare: {sorted(unknown)}")


CASES = [
    *on_kernels(seams, (TREATED,)),
    *on_kernels(build, (*BUILD_KERNELS, *TREATED_KERNELS)),
    *on_kernels(sparse, (TREATED,), rarely=("6.1", "6.12", "7.3")),
    Case("checkpatch", checkpatch),
    Case("checkpatch-guest", checkpatch_guest),
    Case("shellcheck", shellcheck),
    Case("coccicheck", coccicheck),
    Case("flake8", flake8),
    Case("mypy", mypy),
    Case("described", described),
]
