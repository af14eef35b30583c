"""What a delivery of alerts means, written down before it is answered."""

from collections.abc import Callable
from functools import partial
from typing import Any

import polars as pl

from slacktide.clock import Clock
from slacktide.errors import ExecutionError
from slacktide.executors.store.address import Store
from slacktide.executors.store.triggers import TriggerStore
from slacktide.executors.triggers import alerts_told
from slacktide.executors.triggers.alert import Delivery, HostAlert, host_of, matches
from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.settings import Alerts, Triggers
from slacktide.executors.triggers.trigger import Change


class Deliveries:
    """Takes deliveries, in the receiver's thread and with connections of its own."""

    def __init__(self, triggers: Triggers, alerts: Alerts, store: Store, clock: Clock) -> None:
        self._triggers, self._alerts, self._store, self._clock = triggers, alerts, store, clock
        self._hosts = KnownHosts(triggers)
        self._ends = False

    def end(self) -> None:
        """Have a delivery that is being taken be refused soon: it comes again."""
        self._ends = True

    def take(self, delivery: Delivery, told: Callable[[Change], None]) -> list[dict[str, Any]]:
        """Write down what a delivery means, all of it or nothing, and return what became of each alert.

        Raises
        ------
        StoreError
            If the store does not answer.
        ExecutionError
            If the watcher ends meanwhile.
        """
        terms, now, hosts = self._alerts, self._clock.now(), self._hosts.now()
        named = [
            HostAlert(each, host_of(each, terms.label, strip_port=terms.strip_port, strip_domain=terms.strip_domain))
            for each in delivery.alerts
        ]
        outcomes = ["passed over: `alerts.match` asks for others"] * len(named)
        wanted = [place for place, each in enumerate(named) if matches(each.alert, terms.match)]

        def decide(place: int, known: Known) -> list[Change]:
            if self._ends:
                raise ExecutionError("alerts", "the watcher ends", "Deliver again")
            alert, host = named[place]
            outcomes[place], changes = alerts_told.told(known, alert, host, hosts, terms, now)
            return changes

        if wanted:
            store = TriggerStore(self._store, self._triggers.fleet.name)
            keys = {named[place].alert.fingerprint for place in wanted}
            try:
                for change in store.decide_all((partial(decide, place) for place in wanted), now, keys):
                    told(change)
            finally:
                store.close()
        return [
            {"fingerprint": each.alert.fingerprint, "host": each.host, "outcome": outcome}
            for each, outcome in zip(named, outcomes, strict=True)
        ]


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
