"""Attempts of the live driver at one migration, begun, taken over, cancelled and followed by tests."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from slacktide.clock import SystemClock
from slacktide.executors import events
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.driver import LibvirtDriver
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.protocol import Adoption, CancelRequest, MigrationRequest
from slacktide.executors.events import Event, Stage
from slacktide.executors.maintenance.action import command_action
from slacktide.lab.layout import Lab
from slacktide.planner.policy import MigrationRules

LOOK_S = 0.01
OUTCOMES = (events.MigrationDone, events.MigrationFailed, events.VmLost)
PRECOPY = MigrationRules(strategies=("precopy",))
POSTCOPY = MigrationRules(strategies=("precopy", "postcopy"))


class Moving:
    """Attempts to migrate the guest from the first host to the second, by a driver of their own."""

    def __init__(self, lab: Lab, rules: MigrationRules, strategy: str, **changes: Any) -> None:
        self.events: list[Event] = []
        addresses = {host.name: HostAddress(host.uri) for host in lab.hosts}
        self._settings = LibvirtSettings(addresses=addresses, maintenance=command_action(("true",)))
        self._rules = rules
        self._origin = datetime.now(UTC)
        self._fault_s: float | None = None
        self.driver = self._new()
        source, target = (host.name for host in lab.hosts)
        asked = MigrationRequest("m1", 1, "vm1", source, target, strategy, 160, 400, 4.0, 200.0, 80.0, 0.0)
        self.request = asked._replace(**changes)

    def _new(self) -> LibvirtDriver:
        return LibvirtDriver(self._settings, self._rules, self._origin, SystemClock())

    def begin(self) -> None:
        """Ask for it."""
        self.driver.migrate([self.request])

    def again(self) -> None:
        """Ask for the next attempt."""
        self.request = self.request._replace(attempt=self.request.attempt + 1)
        self.begin()

    def taken_over(self, stage: Stage) -> None:
        """Have another driver take charge of it, as after the end of an agent."""
        self.driver.close()
        self.driver = self._new()
        self.driver.adopt(Adoption(((self.request, stage),), ()))

    def cancel(self) -> None:
        """Ask for its end."""
        self.driver.cancel([CancelRequest("m1", self.request.attempt, "deadline: it takes too long", 0.0)])

    def fault(self) -> None:
        """Take note that the fault comes now."""
        self._fault_s = (datetime.now(UTC) - self._origin).total_seconds()

    @property
    def noticed_s(self) -> float | None:
        """How long the driver took from the fault to the first outcome; null: there was none."""
        ended = [event.at_s for event in self.events if isinstance(event, OUTCOMES)]
        return None if self._fault_s is None or not ended else round(ended[0] - self._fault_s, 2)

    def until(self, *wanted: type[Event], patience_s: float = 20.0) -> Any:
        """Return the first event of a kind that was reported, once it is."""
        return self._wait(lambda event: isinstance(event, wanted), patience_s)

    def outcome(self, patience_s: float = 20.0) -> Any:
        """Return how the newest attempt ended."""
        attempt = self.request.attempt
        return self._wait(lambda event: isinstance(event, OUTCOMES) and event.attempt == attempt, patience_s)

    def _wait(self, wanted: Callable[[Event], bool], patience_s: float) -> Event:
        until_s = time.monotonic() + patience_s
        while True:
            self.events += self.driver.poll(0.0)
            found = next(filter(wanted, self.events), None)
            if found is not None:
                return found
            assert time.monotonic() < until_s, f"nothing of the kind in {patience_s} s: {self.events}"
            time.sleep(LOOK_S)

    def kinds(self) -> set[type[Event]]:
        """Return the kinds of events that were reported."""
        return {type(event) for event in self.events}
