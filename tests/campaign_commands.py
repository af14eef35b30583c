"""A campaign carried out by the command, in a process of its own, and looked at from outside while it runs."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from ray_cluster import below, is_there, kill_all, until, words_of
from small_fleet import small_fleet, small_plan

from slacktide.datasets.files import write_snapshot
from slacktide.planner.plan_files import write_plan

PROGRAM = Path(sys.executable).with_name("slacktide")
RUNNER = "slacktide: campaign "
"""How the title of a campaign's process on Ray begins."""


class Told(NamedTuple):
    """An event as the journal keeps it."""

    number: int
    at_s: float
    kind: str
    subject: str | None
    body: str | None


class Running:
    """A campaign that a command carries out."""

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self._command, self._environment = command, environment
        self.words: list[str] = []
        """What the command has said, line by line."""
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    def _read(self, output) -> None:
        with output:
            for line in output:
                self.words.append(line.rstrip())

    def runner(self) -> int | None:
        """Return the process that speaks to Ray for the command."""
        return next((child for child in below(self.process.pid) if words_of(child)[0].startswith(RUNNER)), None)

    def entries(self) -> list[Told]:
        """Return the journal."""
        journal = self.directory / "journal.sqlite"
        if not journal.exists():
            return []
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
            try:
                rows = connection.execute("SELECT number, at_s, type, subject, body FROM events ORDER BY number")
                return [Told(*row) for row in rows]
            except sqlite3.OperationalError:
                return []

    def finished(self) -> bool:
        """Return whether the journal says that the campaign has finished."""
        return any(one.kind == "campaign-finished" for one in self.entries())

    def until_told(self, kind: str, subject: str | None = None, within_s: float = 120.0, after: int = 0) -> Told:
        """Return an event once it is in the journal."""

        def found() -> Told | None:
            assert self.process.poll() is None, self.words
            fits = (one for one in self.entries() if one.number > after and one.kind == kind)
            return next((one for one in fits if subject in (None, one.subject)), None)

        told: Told = until(found, within_s, f"{kind} of {subject} after {after}")
        return told

    def until_said(self, words: str, within_s: float = 120.0) -> None:
        until(lambda: any(words in line for line in self.words), within_s, f"it says {words!r}")

    def end(self, within_s: float = 180.0) -> int:
        """Return the command's exit code once it has ended."""
        code = self.process.wait(within_s)
        self._reader.join(10)
        return code

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end(60.0)

    def kill(self) -> None:
        """End the command as ``kill -9`` does."""
        children = below(self.process.pid)
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        until(lambda: not any(map(is_there, children)), 30, "the command leaves no process behind")

    def close(self) -> None:
        if self.process.poll() is None:
            kill_all({self.process.pid, *below(self.process.pid)})
            self.process.wait(10)
        self._reader.join(10)


@contextmanager
def small_campaign(folder: Path, address: str, environment: dict[str, str], pace: float) -> Iterator[Running]:
    """Have the small plan carried out on a cluster, with an agent for each of six simulated hosts."""
    write_snapshot(small_fleet(), folder / "fleet")
    write_plan(small_plan(), folder / "plan")
    where = [str(folder / "fleet"), str(folder / "plan"), "-o", str(folder / "campaign")]
    command = [str(PROGRAM), "run", *where, "--agent-per-host", "--speed", str(pace)]
    running = Running(command, folder / "campaign", os.environ | environment | {"RAY_ADDRESS": address})
    try:
        yield running
    finally:
        running.close()


def assert_done_once(running: Running) -> None:
    """Check that nothing was lost or repeated: no gap, every migration begun and done once, every host back once."""
    entries = running.entries()
    assert [one.number for one in entries] == list(range(1, len(entries) + 1))
    counts = Counter((one.kind, one.subject) for one in entries)
    for migration in ("m1", "m2", "m3", "m4", "m5"):
        assert counts["migration-intended", migration] == 1, migration
        assert counts["migration-done", migration] == 1, migration
    for host in ("h1", "h2", "h4"):
        assert counts["patch-intended", host] == 1, host
        assert counts["host-returned", host] == 1, host
    assert counts["campaign-finished", None] == 1
    for kind in ("migration-failed", "migration-cancelled", "migration-given-up", "patch-failed", "vm-lost"):
        assert not [one for one in entries if one.kind == kind], kind
