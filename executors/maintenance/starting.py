"""A try's process: begun so that nothing which ends this one stops it in the middle."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from slacktide.executors.maintenance.notes import HostNotes

LEADER: Final = """\
base=$1; shift
"$@" </dev/null >"$base.said" 2>&1
code=$?
printf %s "$code" >"$base.code.partial" && mv "$base.code.partial" "$base.code"
"""
"""Leads the try's session: carries its command out, and leaves the exit code behind, whole or not at all.

Its standard input is the lock, so it holds that while it lives, and what it carries out does not."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is started for a try."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside this process's own."""
    handed: bytes | None = None
    """Content of the file with what it is given."""


def start(prepared: Prepared, notes: HostNotes, lock: int) -> "subprocess.Popen[bytes]":
    """Start a try in a session of its own, with the lock; Ctrl-C does not reach it.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", LEADER, "slacktide-maintenance", str(notes.base), *prepared.words],
        stdin=lock,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | prepared.environment,
        start_new_session=True,
    )
