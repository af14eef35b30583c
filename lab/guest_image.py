"""What guests boot from: the bare one's program, compiled once for each version of it, and whether KVM can run it."""

import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from slacktide.atomic import write_file
from slacktide.lab.commands import run

SOURCE: Final = Path(__file__).resolve().parent / "guest"
WORKING_SET: Final = SOURCE / "working_set.h"
"""What all kinds have in common."""
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slacktide"
FLAGS: Final = (
    *("-m32", "-march=i686", "-O2", "-mgeneral-regs-only", "-ffreestanding", "-fno-pic", "-no-pie", "-nostdlib"),
    *("-static", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"),
    *("-fcf-protection=none", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"),
)
KVM_TRIAL_S: Final = 5.0
"""How long a guest may take to say under KVM that it runs; it takes half a second."""
TRIAL_MIB: Final = 128
"""What either kind of guest boots in."""
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another one each time that the machine starts."""
_RUNS: Final = re.compile(r"^(ready|no network) trial", re.MULTILINE)
"""What a guest called trial writes to its console once its program runs."""
LOOK_S: Final = 0.02

Accelerator = Literal["kvm", "qemu"]
"""As libvirt names them; ``qemu`` means emulation (TCG)."""
Kind = Literal["bare", "linux"]
"""Guests without an operating system, and those of a Linux kernel and one program; they do the same."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a kind of guest boots from."""

    kernel: Path
    initramfs: Path | None = None
    options: str = ""
    """What stands on the command line before the program's own settings."""


def bare_image() -> Image:
    """Return the guest without an operating system, compiling it if that has not been done.

    Raises
    ------
    ExecutionError
        If the compiler fails, with its words.
    """
    source, script = SOURCE / "guest.c", SOURCE / "guest.ld"
    image = CACHE / f"guest-{mark_of([source, script, WORKING_SET], FLAGS)}.elf"
    if not image.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        beside = image.with_suffix(f".{os.getpid()}.partial")
        run(["gcc", *FLAGS, f"-Wl,-T,{script}", "-o", str(beside), str(source)])
        beside.replace(image)
    return Image(image)


def mark_of(sources: Iterable[Path], words: Iterable[str]) -> str:
    """Return what tells versions of a guest apart: a digest of its sources and of words about what is done to them."""
    return hashlib.sha256(b"".join(each.read_bytes() for each in sources) + " ".join(words).encode()).hexdigest()[:16]


def accelerator(images: Iterable[Image], folder: Path, within: Sequence[str]) -> Accelerator:
    """Return by what guests run here: KVM where one of every kind really boots with it.

    The device alone says little: nested virtualisation may offer one on which every guest dies.

    Parameters
    ----------
    folder
        Where the trial's console may be written.
    within
        Words before its command, that have it run where the lab finds it if this process is killed.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    return "kvm" if all(_runs_with_kvm(image, folder, within) for image in images) else "qemu"


def _runs_with_kvm(image: Image, folder: Path, within: Sequence[str]) -> bool:
    """Return whether an image boots under KVM; what a trial has shown holds until this machine starts anew."""
    trial = f"{BOOT_ID.read_text(encoding='ascii').strip()} {image.kernel.name}"
    remembered = CACHE / "kvm-trials.json"
    try:
        known: dict[str, bool] = json.loads(remembered.read_bytes())
    except (OSError, ValueError):
        known = {}
    if trial not in known:
        boots = _boots_with_kvm(image, folder, within)
        same_boot = {old: verdict for old, verdict in known.items() if old.split()[0] == trial.split()[0]}
        known = same_boot | {trial: boots}
        write_file(remembered, json.dumps(known).encode())
    return known[trial]


def _boots_with_kvm(image: Image, folder: Path, within: Sequence[str]) -> bool:
    console = folder / "kvm-trial.console"
    console.unlink(missing_ok=True)
    machine = ["-accel", "kvm", "-machine", "pc", "-cpu", "qemu64", "-m", str(TRIAL_MIB), "-display", "none"]
    guest = ["-nodefaults", "-serial", f"file:{console}", "-kernel", str(image.kernel)]
    guest += ["-append", f"{image.options} name=trial"]
    guest += [] if image.initramfs is None else ["-initrd", str(image.initramfs)]
    with subprocess.Popen(
        [*within, "qemu-system-x86_64", *machine, *guest],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return _runs(console, process)
        finally:
            process.kill()


def _runs(console: Path, process: "subprocess.Popen[bytes]") -> bool:
    until_s = time.monotonic() + KVM_TRIAL_S
    while process.poll() is None and time.monotonic() < until_s:
        if console.exists() and _RUNS.search(console.read_text(encoding="ascii", errors="replace")):
            return True
        time.sleep(LOOK_S)
    return False
