"""The guest of a Linux kernel and one program: its kernel out of Debian's package, and what the kernel unpacks."""

import lzma
import tempfile
from pathlib import Path
from typing import Final

from slacktide.errors import InputError
from slacktide.lab.commands import run
from slacktide.lab.guest_image import CACHE, SOURCE, WORKING_SET, Image, mark_of
from slacktide.lab.initramfs import FOLDER, PROGRAM, Entry, archive, in_load_order

FLAGS: Final = ("-static", "-Os", "-s", "-Wall")
MODULES: Final = ("virtio_pci", "virtio_net", "button", "evdev")
"""What the guest needs of its kernel: its network card, and its power button as the program hears of it."""
OPTIONS: Final = "console=ttyS0 quiet no_timer_check --"
"""An emulated clock may be late on a busy machine, which the kernel's check of it would take for a broken one."""


def kernel_package() -> Path | None:
    """Return the newest of Debian's kernel packages that are at hand; None: there is none."""
    return max(CACHE.glob("linux-image-*.deb"), key=lambda path: path.stat().st_mtime, default=None)


def linux_image() -> Image:
    """Return the guest of Linux, put together if that has not been done for this kernel and program.

    Raises
    ------
    ExecutionError
        If the compiler or the unpacking fails, with its words.
    InputError
        If there is no kernel.
    """
    package = kernel_package()
    if package is None:
        raise InputError(str(CACHE), "has no kernel for guests of Linux", "Fetch one: `lab/install-on-debian`")
    here = Path(__file__)
    program = [SOURCE / name for name in ("init.c", "asking.h", "echo.h")]
    sources = [*program, WORKING_SET, here, here.with_name("initramfs.py")]
    image = CACHE / f"linux-{mark_of(sources, [package.name, *FLAGS, *MODULES])}"
    if not image.exists():
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="partial-") as beside:
            _put_together(package, Path(beside)).rename(image)
    return Image(image / "vmlinuz", image / "initramfs", OPTIONS)


def _put_together(package: Path, beside: Path) -> Path:
    """Return a folder below ``beside`` with the guest's kernel and what it unpacks."""
    tree, ready, program = beside / "package", beside / "ready", beside / "init"
    run(["dpkg-deb", "--extract", str(package), str(tree)])
    run(["gcc", *FLAGS, "-o", str(program), str(SOURCE / "init.c")])
    kernel = next(tree.glob("boot/vmlinuz-*"), None)
    if kernel is None:
        raise InputError(str(package), "holds no kernel", "Remove it and run `lab/install-on-debian`")
    found = {path.name.split(".")[0]: path for path in tree.rglob("*.ko*")}
    modules = in_load_order(lambda name: content_of(found[name]) if name in found else None, MODULES)
    ready.mkdir()
    kernel.rename(ready / "vmlinuz")
    (ready / "initramfs").write_bytes(packed(program.read_bytes(), list(modules.values())))
    return ready


def packed(program: bytes, modules: list[bytes]) -> bytes:
    """Return what a kernel unpacks to start ``program``, which loads the modules in their order."""
    numbered = (Entry(f"modules/{number:02d}.ko", PROGRAM, content) for number, content in enumerate(modules))
    return archive([Entry("init", PROGRAM, program), Entry("modules", FOLDER), *numbered])


def content_of(module: Path) -> bytes:
    """Return a kernel module as the kernel loads it, whether or not its file is compressed."""
    content = module.read_bytes()
    return lzma.decompress(content) if module.suffix == ".xz" else content
