"""The guest's program, compiled once for each version of its source, and whether KVM can run it."""

import hashlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from slacktide.lab.commands import run

SOURCE: Final = Path(__file__).resolve().parent / "guest"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slacktide"
FLAGS: Final = (
    *("-m32", "-march=i686", "-O2", "-mgeneral-regs-only", "-ffreestanding", "-fno-pic", "-no-pie", "-nostdlib"),
    *("-static", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"),
    *("-fcf-protection=none", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"),
)
KVM_TRIAL_S: Final = 5.0
"""How long a guest may take to say under KVM that it runs; it takes half a second."""
LOOK_S: Final = 0.02

Accelerator = Literal["kvm", "qemu"]
"""As libvirt names them; ``qemu`` means emulation (TCG)."""


def guest_image() -> Path:
    """Return the compiled guest, compiling it if that has not been done.

    Raises
    ------
    ExecutionError
        If the compiler fails, with its words.
    """
    source, script = SOURCE / "guest.c", SOURCE / "guest.ld"
    mark = hashlib.sha256(source.read_bytes() + script.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    image = CACHE / f"guest-{mark}.elf"
    if not image.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        beside = image.with_suffix(f".{os.getpid()}.partial")
        run(["gcc", *FLAGS, f"-Wl,-T,{script}", "-o", str(beside), str(source)])
        beside.replace(image)
    return image


def accelerator(image: Path, folder: Path, within: Sequence[str]) -> Accelerator:
    """Return by what guests run here: KVM where one really boots with it.

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
    console = folder / "kvm-trial.console"
    machine = ["-accel", "kvm", "-machine", "pc", "-cpu", "qemu64", "-m", "64", "-display", "none", "-nodefaults"]
    guest = ["-serial", f"file:{console}", "-kernel", str(image), "-append", "name=trial"]
    with subprocess.Popen(
        [*within, "qemu-system-x86_64", *machine, *guest],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return "kvm" if _says_trial(console, process) else "qemu"
        finally:
            process.kill()


def _says_trial(console: Path, process: "subprocess.Popen[bytes]") -> bool:
    until_s = time.monotonic() + KVM_TRIAL_S
    while process.poll() is None and time.monotonic() < until_s:
        if console.exists() and "trial" in console.read_text(encoding="ascii", errors="replace"):
            return True
        time.sleep(LOOK_S)
    return False
