"""What a Linux kernel unpacks before it starts its first program: an archive that is written here in whole."""

import re
import stat
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from slacktide.errors import InputError

MAGIC: Final = b"070701"
"""The format that cpio calls newc, the only one without checksums that the kernel takes."""
TRAILER: Final = "TRAILER!!!"
FOLDER: Final = stat.S_IFDIR | 0o755
PROGRAM: Final = stat.S_IFREG | 0o755
_DEPENDS: Final = re.compile(rb"\0depends=([^\0]*)\0")


class Entry(NamedTuple):
    """One file or folder of an archive."""

    path: str
    mode: int
    content: bytes = b""


def archive(entries: Iterable[Entry]) -> bytes:
    """Return a cpio archive of files and folders, each folder before what is in it.

    References
    ----------
    "initramfs buffer format", Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
    """
    parts = [_part(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join([*parts, _part(0, Entry(TRAILER, 0))])


def _part(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    head = MAGIC + b"".join(b"%08X" % field for field in fields) + name
    return _filled(head) + _filled(entry.content)


def _filled(part: bytes) -> bytes:
    """Return ``part`` with as many zeros after it as bring it to a multiple of four."""
    return part + bytes(-len(part) % 4)


def in_load_order(read: Callable[[str], bytes | None], wanted: Iterable[str]) -> dict[str, bytes]:
    """Return kernel modules by name, each after those that it says it depends on.

    Parameters
    ----------
    read
        Returns a module of the kernel; None: there is none of this name, it is part of the kernel itself.

    Raises
    ------
    InputError
        If a module depends on itself.
    """
    order: dict[str, bytes] = {}
    begun: set[str] = set()

    def take(name: str) -> None:
        if name in order or (module := read(name)) is None:
            return
        if name in begun:
            raise InputError(f"kernel module {name}", "depends on itself", "Take another kernel")
        begun.add(name)
        for other in depends_on(module):
            take(other)
        order[name] = module

    for name in wanted:
        take(name)
    return order


def depends_on(module: bytes) -> list[str]:
    """Return the names of the modules that a module says it needs."""
    found = _DEPENDS.search(module)
    return [name for name in found[1].decode("ascii").split(",") if name] if found else []
