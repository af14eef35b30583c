"""What the files of a folder are to be, beside them as ``sha256sum`` writes it: looked at before anything reads them.

Over a file in which a bit has turned a reader may ask for more memory than there is, and then its process ends.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from slacktide import atomic
from slacktide.errors import OutputError

SUMS: Final = "SHA256SUMS"
_KINDS: Final = (".json", ".parquet")


def sums_of(folder: Path) -> bytes:
    """Return what the files of a folder are now, as :func:`note_sums` writes it."""
    files = (file for file in sorted(folder.iterdir()) if file.suffix in _KINDS and not file.name.startswith("."))
    return "".join(f"{_sum(file)}  {file.name}\n" for file in files).encode()


def note_sums(folder: Path, sums: bytes | None = None) -> None:
    """Note what the files of a folder are, by default now; where that cannot be written, nothing is noted."""
    with suppress(OutputError, OSError):
        atomic.write_file(folder / SUMS, sums_of(folder) if sums is None else sums)


def keep(folder: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` write a folder, and note its bytes, unless it is there as it was noted; errors as ``write``."""
    with suppress(OSError):
        if changed_files(folder) == []:
            return
        (folder / SUMS).unlink(missing_ok=True)  # else it would hold what is of another kind
    write(folder)
    note_sums(folder)


def changed_files(folder: Path) -> list[str] | None:
    """Return the names of files that are gone or not as they were noted; None: nothing was noted.

    Raises
    ------
    OSError
        If one cannot be read.
    """
    try:
        lines = (folder / SUMS).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    found = []
    for line in lines:
        noted, _, name = line.partition("  ")
        file = folder / Path(name).name
        if not file.is_file() or _sum(file) != noted:
            found.append(file.name)
    return found if lines else [SUMS]


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
