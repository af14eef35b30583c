"""Actions written down, so that they outlive who began them.

Each host has a note on this machine: which try of which action was begun, and its process.  The process holds a lock
for as long as it lives, which the kernel frees however it ends, and leaves its exit code behind.  So who comes after
can tell a try that goes on from one that has ended, with what it said, and from one that was killed.

The folder is readable by its owner alone, since a note decides whether a host counts as patched, and what a try is
given may hold secrets.
"""

import fcntl
import hashlib
import json
import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from slacktide.atomic import write_file
from slacktide.errors import OutputError
from slacktide.ids import HostId

FOLDER_VARIABLE: Final = "SLACKTIDE_NOTES"
"""Environment variable that names the folder; it has to be the same for all agents of a host."""
SAID_BYTES: Final = 65_536
"""End of what a try said that is read."""


@dataclass(frozen=True, slots=True)
class Note:
    """One try, as it is written down."""

    key: str
    """Of the action: the same for all its tries, and for none of another patch of the host."""
    number: int
    """Of the try, counted from 1."""
    call: int
    """Of the call that the try makes: it is the same for a try that repeats a call whose answer did not come."""
    began_wall_s: float
    """When it was begun, in seconds since 1970."""
    process: int | None = None
    """Leader of its session; null: it was about to be started."""
    process_began: str | None = None
    """When that process began, in ticks since the machine did."""
    stopped: bool = False
    """Whether it is being stopped because it took too long."""
    guests: tuple[str, ...] = ()
    """Guests that ran on the host before the first try, which is to leave them running."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a try left behind."""

    code: int
    said: str


def notes_folder() -> Path:
    """Return where notes are: the folder that the environment names, or one of this user's among temporary files."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(tempfile.gettempdir()) / f"slacktide-{os.getuid()}-maintenance"


class HostNotes:
    """The notes of one host."""

    def __init__(self, folder: Path, host: HostId) -> None:
        self._folder = folder
        self.base = folder / hashlib.sha256(host.encode()).hexdigest()[:16]
        """What all its files begin with."""

    def _file(self, suffix: str) -> Path:
        return self.base.with_name(f"{self.base.name}.{suffix}")

    @property
    def handed(self) -> Path:
        """File with what a try is given."""
        return self._file("given.json")

    @property
    def answer(self) -> Path:
        """File with the answer to a call whose job goes on."""
        return self._file("answer.json")

    @contextmanager
    def lock(self) -> Iterator[int | None]:
        """Have the lock as an open file, None: a try has it.

        A process that is started with the file keeps the lock when this one lets go of it.

        Raises
        ------
        OutputError
            If there can be no notes.
        """
        self._make_folder()
        try:
            held = os.open(self._file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield held
        finally:
            os.close(held)

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._folder.lstat()
        except OSError as error:
            raise self._error(error.strerror or str(error)) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise self._error("it is not a folder that only this user may read and write", "Make it one")

    def _error(self, fact: str, remedy: str = "Free some space") -> OutputError:
        remedy = f"{remedy}, or name another folder in {FOLDER_VARIABLE}"
        return OutputError(str(self._folder), f"notes of maintenance cannot be kept: {fact}", remedy)

    def read(self) -> Note | None:
        """Return the newest try, None: there is no note that can be read."""
        try:
            known = json.loads(self._file("json").read_bytes())
            return Note(**known | {"guests": tuple(known["guests"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, note: Note) -> None:
        """Write a try down.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_file(self._file("json"), json.dumps(asdict(note)).encode())

    def hand(self, content: bytes | None) -> None:
        """Give a try a file.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if content is not None:
            write_file(self.handed, content)

    def clear(self, *, keep_answer: bool) -> None:
        """Remove what the try before left behind."""
        kept = () if keep_answer else (self.answer,)
        for file in (self._file("code"), self._file("said"), self.handed, *kept):
            file.unlink(missing_ok=True)

    def ending(self) -> Ending | None:
        """Return what the newest try left behind, None: it has not ended, or was killed."""
        try:
            code = int(self._file("code").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        with suppress(OSError):
            self.handed.unlink(missing_ok=True)
        return Ending(code, self.said())

    def said(self) -> str:
        """Return the end of what the newest try said."""
        try:
            with self._file("said").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - SAID_BYTES))
                return file.read().decode("utf-8", errors="replace")
        except OSError:
            return ""


def processes_of(note: Note) -> list[int]:
    """Return the processes of a try that live, its leader last.

    The kernel does not give a session's number away while a process is in it.  A leader of that number that began at
    another time is another session's.
    """
    if note.process is None:
        return []
    members: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        found = _session(int(entry.name))
        if found is None or found[0] != note.process:
            continue
        if int(entry.name) == note.process and found[1] != note.process_began:
            return []
        members.append(int(entry.name))
    return sorted(members, key=lambda process: process == note.process)


def process_began(process: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None: it has ended."""
    found = _session(process)
    return None if found is None else found[1]


def signal_all(note: Note, *, kill: bool) -> None:
    """Ask all processes of a try to end, or make them; its leader is left to write down how it ended, until then."""
    for process in processes_of(note):
        if kill or process != note.process:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if kill else signal.SIGTERM)


def _session(process: int) -> tuple[int, str] | None:
    """Return a living process's session and when it began; None: there is none, or it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state == "Z" else (int(rest[2]), rest[18])
