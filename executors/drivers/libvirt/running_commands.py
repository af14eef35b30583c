"""Commands that outlive who started them: written down with their process, so that who comes after waits for them."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from slacktide.atomic import write_file
from slacktide.ids import HostId


def running_note(host: HostId) -> Path:
    """Return where it is written down that a command for a host runs on this machine."""
    mark = hashlib.sha256(host.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"slacktide-{os.getuid()}-patch-{mark}.json"


def write_note(note: Path, process: int) -> None:
    """Write down the process of a command."""
    write_file(note, json.dumps({"process": process, "began": _began(process)}).encode())


def still_runs(note: Path) -> bool:
    """Return whether the command that was written down runs still; a process of its number may be another."""
    try:
        known = json.loads(note.read_bytes())
        began = _began(int(known["process"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return began is not None and began == known["began"]


def _began(process: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None: there is none, or it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]
