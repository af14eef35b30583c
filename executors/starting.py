"""That a command is about to take a campaign up: it has Ray start first, which takes a while, and holds nothing.

A file in the campaign's directory names the process, as the holder of a campaign is named.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from slacktide.executors.store.holder import fate_of, let_go, new_holder, process_of

STARTING_FILE: Final = "starting"


@contextmanager
def starting(directory: Path) -> Iterator[None]:
    """Have it said of the campaign in ``directory`` that this process is about to take it up, if it can be written."""
    file, holder = directory / STARTING_FILE, new_holder()
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(holder, encoding="utf-8")
    try:
        yield
    finally:
        let_go(holder)
        with suppress(OSError):
            if file.read_text(encoding="utf-8") == holder:
                file.unlink()


def process_starting(directory: Path) -> str | None:
    """Return the number of the process of this machine that is about to take a campaign up; None: none is known."""
    try:
        holder = (directory / STARTING_FILE).read_text(encoding="utf-8")
        return process_of(holder) if fate_of(holder) == "lives" else None
    except (OSError, ValueError, IndexError):
        return None
