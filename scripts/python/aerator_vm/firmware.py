# SPDX-License-Identifier: GPL-2.0
"""Firmware with Secure Boot, in a guest's flash."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

from .common import CommandFailed
from .guest import Guest

_CODE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
_NO_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"

# From the UEFI specification: the variables (3.3), in an order that ends the setup mode
# last, and their attributes (8.2): non-volatile, boot service and runtime access,
# time-based authenticated.
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_VARIABLES = {"db": "d719b2cb-3d3a-4596-a3bc-dad00e67656f", "KEK": _GLOBAL, "PK": _GLOBAL}
_ATTRIBUTES = bytes([0x27, 0, 0, 0])

# Writes its input to a variable, in one write.
_WRITE = "base64 -d >/run/variable && dd bs=64k status=none if=/run/variable of="


class Firmware:
    """Firmware without any key until enrol(); afterwards it accepts the keys in db only.

    The owner's key is made here, and kernels are signed with it: QEMU hands them to the
    firmware directly, without a boot loader that would accept Debian's key.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._variables = folder / "variables.fd"
        shutil.copy(_NO_VARIABLES, self._variables)
        self._tool("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes",
                   "-subj", "/CN=owner/", "-days", "30", "-keyout", "owner.key",
                   "-out", "owner.crt")
        self._owner = self._list(folder / "owner.crt")

    def _tool(self, *command: str | Path) -> None:
        result = subprocess.run(command, cwd=self._folder, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode:
            raise CommandFailed(str(command[0]), result.returncode, result.stdout)

    def _list(self, certificate: Path) -> bytes:
        """A signature list of one certificate, PEM or DER."""
        self._tool("openssl", "x509", "-in", certificate, "-out", "one.crt")
        self._tool("cert-to-efi-sig-list", "one.crt", "one.esl")
        return (self._folder / "one.esl").read_bytes()

    def _signed_variable(self, name: str, content: bytes) -> bytes:
        (self._folder / "content").write_bytes(content)
        self._tool("sign-efi-sig-list", "-k", "owner.key", "-c", "owner.crt", name, "content",
                   "signed")
        return (self._folder / "signed").read_bytes()

    def arguments(self) -> tuple[str, ...]:
        """QEMU's arguments for this firmware."""
        return ("-machine", "smm=on",
                "-global", "driver=cfi.pflash01,property=secure,value=on",
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_CODE}",
                "-drive", f"if=pflash,unit=1,format=raw,file={self._variables}")

    def sign(self, image: Path) -> None:
        """Sign a kernel, in place."""
        self._tool("sbsign", "--key", "owner.key", "--cert", "owner.crt", "--output", image,
                   image)

    def enrol(self, guest: Guest, *certificates: Path) -> None:
        """Turn Secure Boot on from the next boot, with the owner's key and these in db.

        Allowed once only, while the firmware is in setup mode.
        """
        guest.run("mountpoint -q /sys/firmware/efi/efivars ||"
                  " mount -t efivarfs efivarfs /sys/firmware/efi/efivars")
        for name, vendor in _VARIABLES.items():
            more = [self._list(path) for path in certificates if name == "db"]
            signed = self._signed_variable(name, b"".join([self._owner, *more]))
            text = base64.b64encode(_ATTRIBUTES + signed).decode()
            guest.run(f"echo {text} | {_WRITE}/sys/firmware/efi/efivars/{name}-{vendor}")
