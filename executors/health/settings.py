"""What a campaign's health is judged by, as data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slacktide.executors.maintenance.action import DAY_S, CommandCheck, HttpCheck, Request, TcpCheck
from slacktide.planner.limits import CountOrShare

EVERY_S = 15.0
"""How often a signal is looked at: as often as a Prometheus server scrapes by default."""
TRIES = 3
"""Looks in a row that have to fail: one that was lost on the way stops no night's work."""
LEAST = 100
"""Migrations that have to have ended before a share of them, or a percentile, says anything."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PrometheusCheck(Request):
    """Every value that a query has now is within bounds."""

    kind: Literal["prometheus"]
    query: str = Field(min_length=1)
    above: float | None = None
    below: float | None = None
    answer_within_s: float = Field(default=10.0, gt=0, le=DAY_S)

    @model_validator(mode="after")
    def _bounded(self) -> "PrometheusCheck":
        if self.above is None and self.below is None:
            raise ValueError("a query needs a bound; give above, below or both")
        return self


SignalCheck = Annotated[PrometheusCheck | HttpCheck | CommandCheck | TcpCheck, Field(discriminator="kind")]


class Signal(_Part):
    """Something outside that is well, or not."""

    name: str = Field(min_length=1, max_length=60)
    check: SignalCheck
    every_s: float = Field(default=EVERY_S, gt=0, le=DAY_S)
    tries: int = Field(default=TRIES, ge=1)
    """Looks in a row that have to fail before it is not well; the first look of a campaign counts by itself."""


class Budgets(_Part):
    """What a campaign may cost; counted anew once a person lets it go on after a pause."""

    blackout_p99_ms: float | None = Field(default=None, gt=0)
    """99th percentile of the blackouts of live migrations, by the hypervisor's count."""
    blackout_max_ms: float | None = Field(default=None, gt=0)
    failed_migrations: CountOrShare | None = None
    """Attempts that failed: a count, or a share of those that have ended."""
    lost_hosts: int | None = Field(default=None, ge=0)
    """Hosts that did not come back from their patch."""
    least: int = Field(default=LEAST, ge=1)
    """Migrations that have to have ended before shares and percentiles are judged."""


class Health(_Part):
    """What pauses a campaign."""

    budgets: Budgets = Budgets()
    signals: tuple[Signal, ...] = ()

    @model_validator(mode="after")
    def _named_once(self) -> "Health":
        names = [signal.name for signal in self.signals]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two signals are called {twice[0]}; give each a name of its own")
        return self
