"""Maintenance of one host by a runner of its own, begun, killed and taken up by tests; its host is a stand-in.

``python -m maintained FILE`` is an agent in a process of its own, which a test can kill.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slacktide.executors import events
from slacktide.executors.drivers.protocol import PatchRequest
from slacktide.executors.events import Event
from slacktide.executors.maintenance.action import ACTION
from slacktide.executors.maintenance.notes import HostNotes, Note
from slacktide.executors.maintenance.runner import Maintenance, Obstacle
from slacktide.ids import HostId

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOST, LEVEL = "h1", "2026-11"
PATIENCE_S = 30.0
TESTS = Path(__file__).resolve().parent


class StandIn:
    """A host that answers at once."""

    def __init__(
        self,
        obstacle: str | None = None,
        guests: tuple[str, ...] = (),
        left: tuple[str, ...] = (),
        *,
        occupied: bool = False,
    ) -> None:
        self._obstacle = None if obstacle is None else Obstacle(obstacle, occupied)
        self._guests = guests
        self._left = left
        self.waited = 0

    def obstacle(self) -> Obstacle | None:
        return self._obstacle

    def wait(self) -> None:
        self.waited += 1

    def guests(self) -> tuple[str, ...]:
        return self._guests

    def harm(self, guests: tuple[str, ...]) -> str | None:
        ended = [guest for guest in guests if guest not in self._left]
        return f"{', '.join(ended)} ran before" if ended else None


class Maintained:
    """The maintenance of the host by an agent in this process."""

    def __init__(
        self,
        folder: Path,
        action: dict[str, Any],
        *,
        host: StandIn | None = None,
        name: str = HOST,
        maintenance_s: int = 60,
        late_s: float = 0.0,
    ) -> None:
        self.events: list[Event] = []
        self.host = host or StandIn()
        began_s = time.monotonic() - late_s
        request = PatchRequest(HostId(name), LEVEL, maintenance_s, 0.0)
        self.runner = Maintenance(
            request,
            ACTION.validate_json(json.dumps(action), strict=True),
            self.host,
            ORIGIN,
            lambda: time.monotonic() - began_s,
            self.events.append,
            folder,
        )

    def begin(self) -> "Maintained":
        self.runner.begin()
        return self

    def adopt(self) -> "Maintained":
        self.runner.adopt()
        return self

    def outcome(self) -> events.HostReturned | events.PatchFailed | events.HostRefilled:
        """Return how it ended, once it has."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            for event in self.events:
                if isinstance(event, events.HostReturned | events.PatchFailed | events.HostRefilled):
                    return event
            assert time.monotonic() < until_s, f"nothing in {PATIENCE_S} s"
            time.sleep(0.02)

    def returned(self) -> None:
        """See that the host returns."""
        outcome = self.outcome()
        assert isinstance(outcome, events.HostReturned), outcome
        assert self.runner.condition == "returned"

    def failed(self) -> events.PatchFailed:
        """Return why it does not."""
        outcome = self.outcome()
        assert isinstance(outcome, events.PatchFailed), outcome
        assert self.runner.condition == "running"
        return outcome

    def refilled(self) -> events.HostRefilled:
        """Return who keeps it from being touched."""
        outcome = self.outcome()
        assert isinstance(outcome, events.HostRefilled), outcome
        assert self.runner.condition == "not-started"
        return outcome


@contextmanager
def agent(folder: Path, action: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """Have an agent in a process of its own that has begun the maintenance; it is killed at the end, if not before."""
    given = folder.parent / "agent.json"
    given.write_text(json.dumps({"folder": str(folder), "action": action}))
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    running = subprocess.Popen(
        [sys.executable, "-m", "maintained", str(given)],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def newest(folder: Path) -> Note | None:
    """Return what is written down of the host."""
    return HostNotes(folder, HostId(HOST)).read()


def until(wanted: Any, what: str) -> None:
    """Return once ``wanted()`` is true."""
    until_s = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < until_s, f"not in {PATIENCE_S} s: {what}"
        time.sleep(0.02)


def kill_session(note: Note) -> None:
    """Kill every process of a try at once."""
    assert note.process is not None
    os.killpg(note.process, signal.SIGKILL)


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Maintained(Path(asked["folder"]), asked["action"]).begin().outcome()
