"""What a lab needs of the machine, and the package that brings what is missing."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slacktide.errors import UsageError
from slacktide.lab.commands import run
from slacktide.lab.guest_image import Kind
from slacktide.lab.linux_image import kernel_package

COMMANDS: Final = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
    "hostname": "hostname",
    "gcc": "gcc",
    "libvirtd": "libvirt-daemon",
    "qemu-system-x86_64": "qemu-system-x86",
}
"""Programs, and Debian's packages with them."""
DRIVERS: Final = {"qemu": "libvirt-daemon-driver-qemu", "storage": "libvirt-daemon-driver-storage"}
"""Parts of libvirtd, and Debian's packages with them."""
LEAST_QEMU: Final = (8, 0)
"""QEMU 7.2, Debian 12's own, corrupts a guest's memory while it migrates without KVM; backports have a later one."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that the lab needs and the machine has not."""

    what: str
    package: str | None
    """Debian's package with it; null: no package brings it."""


def missing(*kinds: Kind) -> list[Missing]:
    """Return what is missing for a lab with such guests on this machine."""
    found = [Missing(name, package) for name, package in COMMANDS.items() if shutil.which(name) is None]
    if os.geteuid() != 0:
        found.append(Missing("root's rights, for namespaces and links", None))
    for driver, package in DRIVERS.items():
        part = f"*/libvirt/connection-driver/libvirt_driver_{driver}.so"
        if shutil.which("libvirtd") and not any(Path("/usr/lib").glob(part)):
            found.append(Missing(f"libvirt's {driver} driver", package))
    if shutil.which("qemu-system-x86_64") and (version := qemu_version()) < LEAST_QEMU:
        words = f"QEMU {LEAST_QEMU[0]} or later, here is {'.'.join(map(str, version))}"
        found.append(Missing(words, "qemu-system-x86 of the backports"))
    if importlib.util.find_spec("libvirt") is None:
        found.append(Missing("Python's libvirt", "libvirt-dev, pkg-config and gcc, then `make set-up` once more"))
    return [*found, *(_missing_for_linux() if "linux" in kinds else [])]


def _missing_for_linux() -> list[Missing]:
    found = [] if shutil.which("dpkg-deb") else [Missing("dpkg-deb", "dpkg")]
    if shutil.which("gcc") and run(["gcc", "-print-file-name=libc.a"]).strip() == "libc.a":
        found.append(Missing("libc.a", "libc6-dev"))
    if kernel_package() is None:
        found.append(Missing("kernel for guests of Linux", "lab/install-on-debian fetches it"))
    return found


def refuse_if_missing(*kinds: Kind) -> None:
    """Do nothing if the machine has what a lab with such guests needs.

    Raises
    ------
    UsageError
        With everything that is missing and what brings it.
    """
    found = missing(*kinds)
    if not found:
        return
    fact = "cannot run on this machine: " + "; ".join(
        f"no {each.what}" + ("" if each.package is None else f" ({each.package})") for each in found
    )
    packages = sorted({each.package for each in found if each.package is not None and " " not in each.package})
    install = f"apt-get install --no-install-recommends -t bookworm-backports {' '.join(packages)}"
    remedy = f"On Debian 12: {install}" if packages else "See docs/lab.md"
    raise UsageError("the lab", fact, remedy)


def qemu_version() -> tuple[int, int]:
    """Return the version of the machine's QEMU, (0, 0): it does not say."""
    said = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def refuse_if_too_large(guests_mib: int) -> None:
    """Do nothing if guests of so much memory fit what the machine has available.

    Raises
    ------
    UsageError
        If they do not.
    """
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    available_mib = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
    if guests_mib > available_mib:
        fact = f"needs {guests_mib:,} MiB for its guests, and {available_mib:,} MiB are available"
        raise UsageError("the lab", fact, "Ask for fewer guests")
