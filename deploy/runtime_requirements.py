"""Print the part of a lock file with which Slacktide is built and runs, with its hashes: not what is to develop it."""

import re
import sys
from pathlib import Path

RUNTIME = "slacktide (pyproject.toml)"
BUILD = "setuptools"
"""What builds Slacktide, and libvirt's binding, where nothing else may be fetched for it."""


def blocks(text: str) -> dict[str, list[tuple[str, set[str]]]]:
    """Return by package its entries as they stand, each with whoever requires it."""
    found: dict[str, list[tuple[str, set[str]]]] = {}
    for block in re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.DOTALL | re.MULTILINE):
        name = re.match(r"[a-z0-9._-]+", block).group()
        required_by = re.findall(r"^    #(?: via)? +(\S.*)$", block, re.MULTILINE)
        found.setdefault(name, []).append((block, set(required_by)))
    return found


def needed(found: dict[str, list[tuple[str, set[str]]]]) -> set[str]:
    """Return the packages that Slacktide requires or is built with, and those that these require."""
    names: set[str] = set()
    while True:
        more = {
            name
            for name, entries in found.items()
            if name == BUILD or any(RUNTIME in required_by or required_by & names for _, required_by in entries)
        }
        if more <= names:
            return names
        names |= more


if __name__ == "__main__":
    known = blocks(Path(sys.argv[1]).read_text(encoding="utf-8"))
    wanted = needed(known)
    sys.stdout.write("".join(block for name, entries in known.items() if name in wanted for block, _ in entries))
