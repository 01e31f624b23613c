# SPDX-License-Identifier: GPL-2.0
"""The Debian package: installed in a Debian system, upgraded, and purged.

Steps that compile, or make an initramfs, run in the system as a folder (chroot), at the
machine's own speed; steps that need a running kernel run in a guest that boots the system
from a disk.
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aerator_vm import Guest
from aerator_vm.balloon import park_little
from aerator_vm.common import BUILD, TOP
from aerator_vm.firmware import Firmware
from aerator_vm.release import record_release
from aerator_vm.root import Root, boot

from .harness import (MIB, Case, balloon_driver, expect, expect_equal, on_kernels,
                      once_a_run, run_script, wait_until)

# The suite of a run without --all; it has dkms 3.0.10, the oldest version in wide use.
_NATIVE = "6.1"
_NEXT = "0.1.0+next"
_FREED_MIB = 400
_RETURN_SECONDS = 40

_OTHERS = (("6.1", "generic"), ("6.1", "rt"), ("5.10", "cloud"), ("5.10", "generic"),
           ("5.10", "rt"), ("6.12", "cloud"), ("6.12", "generic"), ("6.12", "rt"),
           ("7.3", "cloud"), ("7.3", "generic"), ("7.3", "rt"), ("bookworm/6.12", "cloud"))


# dkms' status for a kernel that dkms.conf excludes: now, and before 3.0.
_EXCLUDED = ("77", "9")

_PACKAGES = "dpkg-query -W -f '${Package}\n'"
# List all files but those that may differ after a purge: logs, the state of apt and dpkg,
# generated files, and the key that dkms makes for any module.
_ALL_FILES = (r"find / -xdev \( -path /proc -o -path /dev -o -path /run -o -path /tmp"
              r" -o -path /root -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg"
              r" -o -path /var/lib/apt -o -name 'mok.*' -o -name '*.old'"
              r" -o -name __pycache__ \) -prune -o -print | sort")


def _deb(*version: str) -> Path:
    """The package, built once in a run: another build would remove it while a parallel case
    uses it."""
    return Path(once_a_run("-".join(("deb", *version)),
                           lambda: run_script("scripts/package/deb", *version).splitlines()[-1]))


def _version(deb: Path) -> str:
    return deb.name.split("_")[1]


def lintian() -> None:
    """lintian finds nothing in the binary and the source package."""
    folder = _deb().parent
    found = run_script("lintian", "--allow-root", "--info", "--display-info", "--pedantic",
                       *sorted(folder.glob("*.deb")), *sorted(folder.glob("*.dsc")))
    expect(not found, f"lintian:\n{found}")


_TOOL_FILES = {
    "usr/bin/aerator", "usr/share/man/man1/aerator.1.gz",
    "usr/share/bash-completion/completions/aerator",
    "lib/systemd/system/aerator-metrics.service", "lib/systemd/system/aerator-metrics.timer",
}


def tools() -> list[str]:
    """The package of the tools has the program, its manual page, its completion and its timer,
    and the program runs."""
    deb, = _deb().parent.glob("aerator-tools_*.deb")
    with tempfile.TemporaryDirectory(prefix="aerator-tools-") as name:
        run_script("dpkg-deb", "--extract", deb, name)
        files = {str(path.relative_to(name)) for path in Path(name).rglob("*")
                 if path.is_file()}
        expect_equal({path for path in files if not path.startswith(("usr/share/doc/",
                                                                     "usr/share/lintian/"))},
                     _TOOL_FILES, f"files of {deb.name}")
        said = run_script(Path(name, "usr/bin/aerator"), "--version")
        expect_equal(said, f"aerator {_version(deb)}\n", "version")
    needs = run_script("dpkg-deb", "--field", deb, "Depends")
    expect("libsmartcols1" in needs and "dkms" not in needs, f"it depends on {needs}")
    return [f"{deb.name}, {deb.stat().st_size >> 10} KiB"]


def _open_root(name: str, kernel: str, flavour: str = "cloud") -> Root:
    return Root(kernel, flavour, BUILD / "package" / name)


def _install(root: Root, deb: Path) -> None:
    root.run(f"apt-get install -y {root.put(deb)}")


def _module_version(root: Root, release: str) -> str:
    return root.run(f"modinfo -k {release} -F version aerator 2>/dev/null || :").strip()


def _check_debug_info(root: Root) -> None:
    """The installed module has its debug sections, also where dkms compresses modules."""
    root.run(f"file=$(modinfo -k {root.old} -F filename aerator); case $file in"
             " *.xz) xz -dc $file;; *.zst) zstd -dc $file;; *) cat $file;;"
             " esac | grep -qaF .debug_info")


def _upgrade_kernel(root: Root) -> None:
    """Install the newer kernel, whose packages are in /root/next; again if it is installed."""
    root.run("apt-get install -y --reinstall /root/next/*.deb")
    expect(root.new in root.run("ls /boot/initrd.img-*"), "no initramfs of the new kernel")


def _excluded(root: Root, release: str, configure: str) -> str:
    """For a kernel that dkms.conf excludes, dkms prints that, and the kernel's hook succeeds."""
    root.run(f"cp -a $(realpath /lib/modules/{root.old}/build) /usr/src/{release};"
             f" {configure} /usr/src/{release}/.config; mkdir /lib/modules/{release};"
             f" ln -s /usr/src/{release} /lib/modules/{release}/build")
    version = root.run("dkms status aerator").replace(",", "/").split("/")[1].strip()
    said = root.run(f"dkms build -m aerator -v {version} -k {release} 2>&1;"
                    " echo status $?")
    expect("should not be built" in said, f"no sentence of dkms: {said}")
    status = said.split()[-1]
    expect(status in _EXCLUDED, f"status {status}")
    root.run(f"run-parts --arg={release} /etc/kernel/header_postinst.d")
    root.run(f"rm -r /usr/src/{release} /lib/modules/{release}")
    return f"{release}: skipped, status {status}"


def _check_excluded(root: Root) -> Iterator[str]:
    yield _excluded(root, "5.9.0-old", "true")
    yield _excluded(root, "6.1.0-without", "sed -i /CONFIG_PAGE_REPORTING/d")


# The balloon's modalias, as udev gives it to modprobe.
_ALIAS = "virtio:d00000005v00001AF4"


def _loaded(root: Root) -> list[str]:
    """The drivers that udev loads for the device, in that order."""
    shown = root.run(f"modprobe -b -S {root.old} --show-depends {_ALIAS} || :")
    return list(dict.fromkeys(re.findall(r"/(aerator|virtio_balloon)\.ko", shown)))


def _check_modprobe(root: Root) -> None:
    """A blacklist of one driver does not affect the other one."""
    expect_equal(_loaded(root), ["aerator", "virtio_balloon"], "drivers of the device")
    kept_out = "/etc/modprobe.d/kept-out.conf"
    root.run(f"echo blacklist virtio_balloon >{kept_out}")
    expect_equal(_loaded(root), ["aerator"], "drivers without virtio_balloon")
    root.run(f"echo blacklist aerator >>{kept_out}")
    expect_equal(_loaded(root), [], "drivers without both")
    root.run(f"rm {kept_out}")


# Without initramfs-tools, as with dracut.
_OTHER_INITRAMFS = """
set -e
files=$(ls -d /usr/sbin/*initramfs /usr/bin/*initramfs /usr/share/initramfs-tools)
for file in $files; do mv "$file" "$file.hidden"; done
/var/lib/dpkg/info/aerator-dkms.postinst configure {version}
/var/lib/dpkg/info/aerator-dkms.postrm remove
for file in $files; do mv "$file.hidden" "$file"; done
"""


def _check_configuration(root: Root, deb: Path) -> None:
    _check_modprobe(root)
    said = root.run(_OTHER_INITRAMFS.format(version=_version(deb)))
    expect("initramfs" not in said, f"without initramfs-tools:\n{said}")


def _is_running(guest: Guest) -> None:
    """Wait until the system runs: systemd does not wait for all modules that udev loads."""
    guest.run("udevadm settle --timeout=120", timeout=150)
    state = guest.run("systemctl is-system-running --wait", timeout=120, check=False)
    expect_equal(state.strip(), "running", f"systemd\n{guest.run('systemctl --failed')}")


def _has_aerator(guest: Guest, version: str) -> str:
    """aerator of this version has the balloon, and freed memory returns to the host."""
    _is_running(guest)
    expect_equal(balloon_driver(guest), "aerator", "driver")
    expect_equal(guest.read("/sys/module/aerator/version"), version, "version")
    expect("failed to validate module" not in guest.dmesg(), "a BTF that the kernel refuses")
    park_little(guest)
    release = record_release(guest, "aerator", mib=_FREED_MIB, ceiling=_RETURN_SECONDS)
    back = (release.held_bytes - release.stayed_bytes) // MIB
    expect(back > 0.9 * _FREED_MIB, f"only {back} MiB came back")
    return (f"{release.guest_kernel}: aerator {version}, {back} of {_FREED_MIB} MiB back,"
            f" 90 % after {release.seconds_to(0.9):.1f} s")


def _has_virtio_balloon(guest: Guest) -> str:
    _is_running(guest)
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver")
    return f"{guest.run('uname -r').strip()}: virtio_balloon"


def _purge(guest: Guest, whole: bool) -> str:
    """Purge the package in a running system; virtio_balloon then has the balloon. Making an
    initramfs takes an emulated guest minutes: it is left out unless @whole is set."""
    guest.run("apt-get purge -y aerator-dkms" if whole else
              "dpkg --no-triggers --purge aerator-dkms", timeout=900)
    expect_equal(balloon_driver(guest), "virtio_balloon", "driver after purge")
    expect("aerator" not in guest.run("cat /proc/modules"), "aerator is still loaded")
    return "purge: virtio_balloon at once"


def _check_gone(root: Root, packages: str, files: str) -> None:
    """After a purge of aerator and of the newer kernel, packages and files are the same as
    before."""
    root.run("apt-get purge -y aerator-dkms")
    more = set(root.run(_PACKAGES).split()) - set(packages.split())
    root.run(f"apt-get purge -y {' '.join(more)}")
    left = set(root.run(_ALL_FILES).split()) - set(files.split())
    expect(not left, f"left after purge: {sorted(left)}")


def _is_small(kernel: str, flavour: str) -> bool:
    """Whether a guest makes an initramfs of this kernel in minutes, not in a quarter of an
    hour. Checks that do not depend on flavour or series run only with such a kernel."""
    return flavour == "cloud" and "/" not in kernel


def _life(root: Root, name: str, whole: bool) -> Iterator[str]:
    """Check one installed system from before aerator's installation until after its purge."""
    first, second = _deb(), _deb(_NEXT)
    before = root.run(_PACKAGES), root.run(_ALL_FILES)
    _install(root, first)
    _check_debug_info(root)
    yield from _check_excluded(root)
    _check_configuration(root, first)
    disk = root.disk("first")
    with boot(disk, root.old, f"{name}-first") as guest:
        yield _has_aerator(guest, _version(first))
    if whole:
        yield _refused(disk, root, name)
        yield _left_alone(root, name)
        yield _built_in(root, name, _version(first))
    else:
        yield ("left out, as it takes long: a kernel that refuses the module, a driver that is"
               " built in or chosen, and an initramfs made in a guest")

    _upgrade(root, second)
    yield from _new_kernel(root, name, whole)
    yield _after_purge(root, name)
    yield _broken(root, name, whole)
    _check_gone(root, *before)


def _upgrade(root: Root, deb: Path) -> None:
    _install(root, deb)
    expect_equal(_module_version(root, root.old), _NEXT, "version after the upgrade")


def _refused(disk: Path, root: Root, name: str) -> str:
    """A kernel that requires signatures refuses the module, as Secure Boot does: dkms signs it
    (from 3.0 on), but the kernel does not have the key."""
    with boot(disk, root.old, f"{name}-refused", "module.sig_enforce=1") as guest:
        driven = _has_virtio_balloon(guest)
        found = re.findall(r"Loading of .*module.* is rejected", guest.dmesg())
        expect(found, "no reason in the log")
        return f"{found[0]}, {driven}"


_CONFIGURATION = "/etc/modprobe.d/aerator.conf"


def _left_alone(root: Root, name: str) -> str:
    """The configuration can leave the balloon with virtio_balloon."""
    root.run(f"cp {_CONFIGURATION} /root; sed -i -e 's/^softdep/#&/' -e 's/^#blacklist/blacklist/'"
             f" {_CONFIGURATION}; update-initramfs -u -k all")
    disk = root.disk("left-alone")
    root.run(f"mv /root/aerator.conf {_CONFIGURATION}; update-initramfs -u -k all")
    with boot(disk, root.old, f"{name}-left-alone") as guest:
        return f"by choice, {_has_virtio_balloon(guest)}"


# Makes virtio_balloon look built-in: only the initramfs has it as a module, and that initramfs
# has no aerator; the tools that look for modules later find it in modules.builtin.
_BUILD_IN = r"""
cd /root
mv /usr/share/initramfs-tools/hooks/aerator-dkms /etc/modprobe.d/aerator.conf .
cp -a /etc/initramfs-tools/modules listed
echo virtio_balloon >>/etc/initramfs-tools/modules
update-initramfs -u -k {release}
mv listed /etc/initramfs-tools/modules
mv aerator-dkms /usr/share/initramfs-tools/hooks
mv aerator.conf /etc/modprobe.d
module=$(modinfo -k {release} -F filename virtio_balloon)
cd /lib/modules/{release}
mkdir /root/keep
cp -a modules.* /root/keep
echo "kernel/${{module#*/kernel/}}" >>modules.builtin
modinfo -0 "$module" | tr '\0' '\n' | sed -n 's/^\(alias\|license\): */virtio_balloon.\1=/p' |
	tr '\n' '\0' >>modules.builtin.modinfo
mv "$module" /root/keep/module
echo "$module" >/root/keep/path
depmod {release}
"""
_BUILD_OUT = """
cd /root/keep
mv module "$(cat path)"
rm path
cp -a modules.* /lib/modules/{release}
rm -r /root/keep
update-initramfs -u -k {release}
"""


def _built_in(root: Root, name: str, version: str) -> str:
    """A built-in virtio_balloon has the device before the root is mounted; aerator takes it."""
    root.run(_BUILD_IN.format(release=root.old))
    disk = root.disk("built-in")
    root.run(_BUILD_OUT.format(release=root.old))
    with boot(disk, root.old, f"{name}-built-in") as guest:
        found = _has_aerator(guest, version)
        expect("taken over from virtio_balloon" in guest.dmesg(), "it was not taken over")
        expect_equal(guest.run("modinfo -F filename virtio_balloon").split()[-1], "(builtin)",
                     "virtio_balloon is")
        return f"built in: {found}, {_purge(guest, whole=False)}"


_LIST = "/etc/initramfs-tools/modules"
_SECOND = "second"


def _unlist(root: Root, release: str) -> None:
    root.run(f"sed -i /virtio_balloon/d {_LIST}; update-initramfs -u -k {release}")


def _listed(root: Root, whole: bool) -> None:
    """An initramfs with virtio_balloon also has aerator. It is booted only if @whole is set, as
    the guest has to make another initramfs after the purge."""
    root.run(f"echo virtio_balloon >>{_LIST}")
    _upgrade_kernel(root)
    expect("aerator.ko" in root.run(f"lsinitramfs /boot/initrd.img-{root.new}"),
           "aerator is not in the initramfs")
    if not whole:
        _unlist(root, root.new)


_METRICS = "/var/lib/prometheus/node-exporter/aerator.prom"
_TIMER_SECONDS = 180


def _install_tools(root: Root) -> None:
    """Install the tools, and make the folder in which node_exporter looks for files."""
    deb, = _deb().parent.glob("aerator-tools_*.deb")
    root.run(f"dpkg --install {root.put(deb)}; mkdir -p $(dirname {_METRICS})")


def _purge_tools(root: Root) -> None:
    root.run("apt-get purge -y aerator-tools; rm -r /var/lib/prometheus")


def _check_timer(guest: Guest) -> str:
    """The timer of the tools writes the metrics, and writes them again."""
    times = set()

    def written() -> bool:
        times.add(guest.run(f"stat --format=%y {_METRICS} 2>/dev/null", check=False))
        return len(times - {""}) > 1

    took = wait_until("two runs of aerator-metrics.timer", _TIMER_SECONDS, written)
    text = guest.read(_METRICS)
    expect('driver="aerator"' in text and "aerator_reported_bytes_total{" in text,
           f"metrics written by the timer:\n{text}")
    expect_equal(guest.run("systemctl show -p Result --value aerator-metrics.service").strip(),
                 "success", "result of the service")
    return f"aerator-metrics.timer wrote {len(text)} bytes, twice within {took:.0f} s"


def _new_kernel(root: Root, name: str, whole: bool, with_tools: bool = False) -> Iterator[str]:
    """The newer kernel, installed after aerator's upgrade, boots with aerator; then purge."""
    _listed(root, whole)
    load = root.put(TOP / "debian/tests/load")
    disk = root.disk(_SECOND)
    with boot(disk, root.new, f"{name}-second", time_limit=1500) as guest:
        expect("taken over" not in guest.dmesg(), "virtio_balloon had the device first")
        yield _has_aerator(guest, _NEXT)
        if with_tools:
            yield _check_timer(guest)
        guest.run(load)
        yield _purge(guest, whole)


def _after_purge(root: Root, name: str) -> str:
    with boot(root.image(_SECOND), root.new, f"{name}-purged") as guest:
        return f"after the next boot, {_has_virtio_balloon(guest)}"


def _break_build(root: Root, tree: str) -> None:
    """Make the build for the newer kernel fail."""
    root.run(f"cp {tree}/module/Kbuild /root && echo '$(if $(filter {root.new},"
             f"$(KERNELRELEASE)),$(error forced))' >>{tree}/module/Kbuild")


def _mend_build(root: Root, tree: str) -> None:
    root.run(f"mv /root/Kbuild {tree}/module/Kbuild")


_CONFIGURE = """
scripts=/var/lib/dpkg/info/aerator-dkms
$scripts.prerm upgrade {version}
$scripts.postinst configure {version}
"""


def _make_old_image(root: Root) -> str:
    """Make the older kernel's initramfs, with aerator and with an old file time."""
    image = f"/boot/initrd.img-{root.old}"
    root.run(f"echo virtio_balloon >>{_LIST}; update-initramfs -u -k {root.old};"
             f" touch --date=@0 {image}")
    return image


def _check_new_image(root: Root, image: str) -> None:
    """The upgrade has made the initramfs again, so that it loads the new module."""
    expect(int(root.run(f"stat --format=%Y {image}")), "an older initramfs has the old module")
    _unlist(root, root.old)


def _broken(root: Root, name: str, whole: bool) -> str:
    """With a module that cannot be built for the newer kernel, this kernel is still installed,
    and boots; the package's upgrade succeeds, and other kernels have the module."""
    tree = f"/usr/src/aerator-{_NEXT}"
    root.run(f"dkms remove -m aerator -v {_NEXT} -k {root.new}")
    _break_build(root, tree)
    _upgrade_kernel(root)
    image = _make_old_image(root) if whole else None
    root.run(_CONFIGURE.format(version=_NEXT))
    if image:
        _check_new_image(root, image)
    expect_equal(_module_version(root, root.new), "", "module that could not be built")
    expect_equal(_module_version(root, root.old), _NEXT, "module that could be built")
    _mend_build(root, tree)
    with boot(root.disk("broken"), root.new, f"{name}-broken") as guest:
        return f"with a build that fails, {_has_virtio_balloon(guest)}"


# An initramfs of what a guest needs, and not of all that a kernel has: minutes less.
_SMALL_INITRAMFS = r"""
sed -i s/^MODULES=.*/MODULES=list/ /etc/initramfs-tools/initramfs.conf
printf '%s\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules
"""


def package_upgrade(kernel: str) -> Iterator[str]:
    """The package works when installed, upgraded, and with a newer kernel's initramfs; a purge
    removes all of it."""
    with _open_root("package-upgrade", kernel) as root:
        root.run(_SMALL_INITRAMFS)
        before = root.run(_PACKAGES), root.run(_ALL_FILES)
        _install(root, _deb())
        _check_debug_info(root)
        _check_modprobe(root)
        _upgrade(root, _deb(_NEXT))
        _install_tools(root)
        yield from _new_kernel(root, "package-upgrade", whole=False, with_tools=True)
        _purge_tools(root)
        _check_gone(root, *before)


def package(kernel: str, flavour: str, whole: bool = True) -> Iterator[str]:
    """The package works in an installed system in all situations, and a purge removes it."""
    name = f"package-{kernel}-{flavour}{'-whole' if whole else ''}".replace("/", "-")
    with _open_root(name, kernel, flavour) as root:
        yield from _life(root, name, whole)


def _enrolled(root: Root, disk: Path, name: str, *certificates: Path) -> Firmware:
    """Firmware with Secure Boot and these certificates in its db. A user's certificates would
    be in shim's list (MOK): the kernel puts both on the same keyring."""
    firmware = Firmware(disk.parent / name)
    with boot(disk, root.old, f"{name}-enrol", firmware=firmware) as guest:
        _is_running(guest)
        firmware.enrol(guest, *certificates)
    return firmware


def _locked_down(guest: Guest) -> str:
    found = re.findall(r"Kernel is locked down from EFI Secure Boot", guest.dmesg())
    expect(found, "Secure Boot is off")
    return found[0]


def secure_boot(kernel: str) -> Iterator[str]:
    """With Secure Boot the module is refused without dkms' key, and works once the key is
    enrolled."""
    deb = _deb()
    with _open_root("secure-boot", kernel) as root:
        _install(root, deb)
        disk = root.disk("secure")
        key = root.tree / "var/lib/dkms/mok.pub"
        with boot(disk, root.old, "secure-boot-without",
                  firmware=_enrolled(root, disk, "without")) as guest:
            yield f"{_locked_down(guest)}, key unknown: {_has_virtio_balloon(guest)}"
            said = guest.run("modprobe aerator 2>&1", check=False)
            expect("Key was rejected by service" in said, f"modprobe: {said}")
            expect("Loading of module with unavailable key is rejected" in guest.dmesg(),
                   "no reason in the log")
        with boot(disk, root.old, "secure-boot-with", "module.sig_enforce=1",
                  firmware=_enrolled(root, disk, "with", key)) as guest:
            yield f"{_locked_down(guest)}, key known: {_has_aerator(guest, _version(deb))}"


def _put_checkout(root: Root) -> None:
    with tempfile.TemporaryDirectory(prefix="aerator-checkout-") as directory:
        checkout = Path(directory, "aerator")
        for name in ("module", "packaging", "debian", "scripts"):
            shutil.copytree(TOP / name, checkout / name)
        for name in ("Makefile", "dkms.conf"):
            shutil.copy(TOP / name, checkout)
        root.put(checkout)


def _check_package_refused(root: Root) -> None:
    """The package refuses to be installed beside a checkout: neither would undo the other's
    changes."""
    said = root.run(f"apt-get install -y {root.put(_deb())} 2>&1 || :")
    expect("make dkms-remove first" in said, f"the package was installed as well:\n{said}")


def checkout(kernel: str) -> Iterator[str]:
    """make dkms-install works, and make dkms-remove removes all of it."""
    with _open_root("checkout", kernel) as root:
        _put_checkout(root)
        before = root.run(_ALL_FILES)
        root.run("make -C /root/aerator dkms-install")
        version = _module_version(root, root.old)
        with boot(root.disk("checkout"), root.old, "checkout") as guest:
            yield _has_aerator(guest, version)
        # Once more, over an existing installation.
        root.run("make -C /root/aerator dkms-install")
        _check_package_refused(root)
        _break_build(root, f"/usr/src/aerator-{version}")
        packages = root.run(_PACKAGES)
        _upgrade_kernel(root)
        expect_equal(_module_version(root, root.new), "", "module that could not be built")
        more = set(root.run(_PACKAGES).split()) - set(packages.split())
        root.run(f"rm /root/Kbuild; apt-get purge -y {' '.join(more)}")
        root.run("make -C /root/aerator dkms-remove")
        left = set(root.run(_ALL_FILES).split()) ^ set(before.split())
        expect(not left, f"changed by dkms-install and dkms-remove: {sorted(left)}")


CASES = [
    Case("lintian", lintian, long=True),
    Case("package-tools", tools),
    *on_kernels(package_upgrade, (_NATIVE,), long=True),
    Case(f"package {_NATIVE}", functools.partial(package, _NATIVE, "cloud", False), _NATIVE,
         long=True),
    Case(f"checkout {_NATIVE}", functools.partial(checkout, _NATIVE), _NATIVE, long=True),
    Case(f"secure-boot {_NATIVE}", functools.partial(secure_boot, _NATIVE), _NATIVE, long=True),
    Case(f"purge {_NATIVE}", functools.partial(package, _NATIVE, "cloud"), _NATIVE, long=True),
    *(Case(f"package {kernel} {flavour}",
           functools.partial(package, kernel, flavour, _is_small(kernel, flavour)), kernel,
           long=True)
      for kernel, flavour in _OTHERS),
]
