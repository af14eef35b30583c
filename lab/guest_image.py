"""The guest's program, compiled once for each version of its source, and whether KVM can run it."""

import hashlib
import os
import subprocess
import tempfile
import time
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
KVM_PROBE_S: Final = 5.0
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


def accelerator(image: Path) -> Accelerator:
    """Return by what guests run here: KVM where one really boots with it.

    The device alone says little: nested virtualisation may offer one on which every guest dies.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    with tempfile.TemporaryDirectory() as folder:
        console = Path(folder) / "console"
        machine = ["-accel", "kvm", "-machine", "pc", "-cpu", "qemu64", "-m", "64", "-display", "none", "-nodefaults"]
        process = subprocess.Popen(
            [
                "qemu-system-x86_64",
                *machine,
                "-serial",
                f"file:{console}",
                "-kernel",
                str(image),
                "-append",
                "name=probe",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + KVM_PROBE_S
        runs = False
        while not runs and process.poll() is None and time.monotonic() < until_s:
            time.sleep(LOOK_S)
            runs = console.exists() and "probe" in console.read_text(errors="replace")
        process.kill()
        process.wait()
        return "kvm" if runs else "qemu"
