"""A server in the test's process, a folder here, and the command line for both."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from http_server import InProcess, in_process, served

from slacktide.executors.detached import LOCK_FILE, is_running
from slacktide.service.campaign_terms import Profile
from slacktide.service.cli import main
from slacktide.service.launching import launch_campaign

REPLAY: Final = Path(__file__).parent / "replay"
FLEET, OTHER = REPLAY / "urgent" / "fleet", REPLAY / "baked" / "fleet"
PATIENCE_S: Final = 300.0
PORTS: Final = (("nobody", 1),)
"""Signals of the server's profile, and the ports where they are looked for."""


class Place:
    """A server, a folder here, and the command line for both."""

    def __init__(self, process: InProcess, url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.process, self.url, self.folder, self._capsys = process, url, folder, capsys
        self.told = ""
        """What the last command said beside its result."""

    def here(self, *words: object, code: int = 0) -> str:
        return self.called([*map(str, words), *self._local(words)], code)

    def there(self, *words: object, code: int = 0) -> str:
        return self.called([*map(str, words), "--server", self.url], code)

    def both(self, *words: object, code: int = 0) -> tuple[str, str]:
        return self.here(*words, code=code), self.there(*words, code=code)

    def documents(self, *words: object, code: int = 0) -> tuple[Any, Any]:
        here, there = self.both(*words, "--json", code=code)
        return json.loads(here), json.loads(there)

    def _local(self, words: tuple[object, ...]) -> list[str]:
        return [] if "--server" in words else ["--server", "local"]

    def called(self, words: list[str], code: int) -> str:
        self._capsys.readouterr()
        got = main(words)
        said = self._capsys.readouterr()
        self.told = said.err
        assert got == code, said.err + said.out
        return said.out


def next_file(path: Path) -> str:
    until(path.is_file)
    return path.read_text()


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, "nothing has come of it"
        time.sleep(0.1)


@contextmanager
def served_from(folder: Path) -> Iterator[tuple[InProcess, str, Path]]:
    """Have a server with data in a folder; campaigns that a failed test has left there are ended."""
    signals = [{"name": name, "check": {"kind": "tcp", "address": "127.0.0.1", "port": port}} for name, port in PORTS]
    (folder / "health.json").write_text(json.dumps({"signals": signals}))
    (folder / "connections.json").write_text(json.dumps({"h1": "qemu+tcp://127.0.0.1:1/system"}))
    lab = Profile(connections=folder / "connections.json", health=folder / "health.json")
    process = in_process(folder, launch_campaign, profiles={"lab": lab})
    try:
        with served(process) as url:
            yield process, url, folder
    finally:
        for run in (folder / "data" / "runs").iterdir():
            if is_running(run):  # its test has failed: nothing is left behind
                os.kill(int((run / LOCK_FILE).read_text()), signal.SIGKILL)
