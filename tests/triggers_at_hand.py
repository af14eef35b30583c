"""Triggers, requests and alerts for tests, decided on in memory as a store would have it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from slacktide.executors.triggers.alert import Alert
from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.request import MaintenanceRequest
from slacktide.executors.triggers.settings import Alerts, Requests
from slacktide.executors.triggers.trigger import NEWEST, Change, State, Trigger, changed

NOW = datetime(2026, 11, 29, 15, 0, tzinfo=UTC)
ALERTS = Alerts()
REQUESTS = Requests.model_validate({"paths": ["requests"]})
HOSTS = ("h1", "h2", "h3")


class Rows:
    """The triggers of a fleet."""

    def __init__(self, *triggers: Trigger) -> None:
        self.known = Known(triggers)
        self.asked: list[Change] = []

    def decide(self, decide: Callable[[Known], Sequence[Change]]) -> list[Change]:
        """Apply what is decided, as :class:`slacktide.executors.store.triggers.TriggerStore` does."""
        made: list[Change] = []
        for change in decide(self.known):
            trigger = change.trigger
            if trigger.into == NEWEST:
                trigger = replace(trigger, into=made[-1].trigger.number)
            if not trigger.number:
                trigger = replace(trigger, number=len(self.known) + 1)
            if change.asking is not None:
                trigger = changed(trigger, order=len(self.asked) + 1).trigger
            self.known.put(trigger)
            made.append(replace(change, trigger=trigger))
            self.asked += [change] if change.asking is not None else []
        return made

    def put(self, number: int, state: State, **course: object) -> Trigger:
        """Have a trigger in another state."""
        self.known.put(changed(self.rows[number - 1], state=state, **course).trigger)
        return self.rows[number - 1]

    @property
    def rows(self) -> list[Trigger]:
        return list(self.known)

    @property
    def states(self) -> list[str]:
        return [str(each.state) for each in self.rows]


def request(name: str = "kernel", level: str = "6.1.119-1", **fields: object) -> MaintenanceRequest:
    return MaintenanceRequest.model_validate({"id": name, "patch_level": level, **fields})


def alert(
    fingerprint: str = "f1", host: str | None = "h1", status: str = "firing", since_s: float = 0.0, name: str = "Dying"
) -> Alert:
    labels = {"alertname": name} | ({} if host is None else {"instance": f"{host}:9100"})
    since = (NOW + timedelta(seconds=since_s)).isoformat()
    return Alert.model_validate_json(
        f'{{"status": "{status}", "labels": {str(labels).replace(chr(39), chr(34))}, '
        f'"startsAt": "{since}", "fingerprint": "{fingerprint}"}}'
    )
