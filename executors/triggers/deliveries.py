"""What a delivery of alerts means, written down before it is answered."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from slacktide.clock import Clock
from slacktide.executors.store.address import Store
from slacktide.executors.store.triggers import TriggerStore
from slacktide.executors.triggers import alerts_told
from slacktide.executors.triggers.alert import Alert, Delivery, host_of, matches
from slacktide.executors.triggers.settings import Alerts, Triggers
from slacktide.executors.triggers.trigger import Change, Trigger


class Deliveries:
    """Takes deliveries, in the receiver's thread and with connections of its own."""

    def __init__(self, triggers: Triggers, alerts: Alerts, store: Store, clock: Clock) -> None:
        self._triggers, self._alerts, self._store, self._clock = triggers, alerts, store, clock
        self._hosts = KnownHosts(triggers)

    def take(self, delivery: Delivery, told: Callable[[Change], None]) -> list[dict[str, Any]]:
        """Write down what a delivery means, and return what became of each alert.

        Raises
        ------
        StoreError
            If the store does not answer: alerts before that one are written down, and folded when they come again.
        """
        store = TriggerStore(self._store, self._triggers.fleet.name)
        try:
            return [self._one(store, alert, told) for alert in delivery.alerts]
        finally:
            store.close()

    def _one(self, store: TriggerStore, alert: Alert, told: Callable[[Change], None]) -> dict[str, Any]:
        terms, now = self._alerts, self._clock.now()
        host = host_of(alert, terms.label, strip_port=terms.strip_port, strip_domain=terms.strip_domain)
        outcome = "passed over: `alerts.match` asks for others"

        def decide(rows: Sequence[Trigger]) -> list[Change]:
            nonlocal outcome
            outcome, changes = alerts_told.told(rows, alert, host, self._hosts.now(), terms, now)
            return changes

        if matches(alert, terms.match):
            for change in store.decide(decide, now):
                told(change)
        return {"fingerprint": alert.fingerprint, "host": host, "outcome": outcome}


class KnownHosts:
    """Ids of the fleet's hosts, as last read."""

    def __init__(self, triggers: Triggers) -> None:
        self._triggers = triggers
        self._read: tuple[tuple[str, int], frozenset[str]] | None = None

    def now(self) -> frozenset[str] | None:
        """Return them; None: the fleet has not been read yet."""
        directory = self._triggers.fleet.directory
        try:
            if directory is not None:
                file = directory / "hosts.parquet"
            else:
                file = max(self._triggers.campaigns.glob("*/read/hosts.parquet"), key=lambda one: one.stat().st_mtime)
            stamp = str(file), file.stat().st_mtime_ns
            if self._read is None or self._read[0] != stamp:
                self._read = stamp, frozenset(pl.read_parquet(file, columns=["host_id"])["host_id"])
        except (OSError, ValueError, pl.exceptions.PolarsError):
            return None
        return self._read[1]
