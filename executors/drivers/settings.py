"""What the simulated driver simulates: noise, failures and the probe."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DURATION_SIGMA: Final = 0.05
"""Standard deviation of the logarithm of how long setup and brownout take, relative to the plan's prediction.

An assumption: one in twenty takes 10 % longer or shorter.  Measured campaigns replace it."""
BLACKOUT_SIGMA: Final = 0.15
"""The same for the blackout, which hangs on what the guest does in one moment; an assumption as well."""
PROBE_INTERVAL_MS: Final = 10.0
"""How often the outside probe sees a guest: how exactly it knows a blackout."""
ANSWER_S: Final = 30.0
"""How long a guest that answers takes to hand its work over: an assumption, half of what public clouds give notice."""

FailureStage = Literal["intended", "reserved", "prepared", "connected", "brownout", "blackout"]
FAILURE_STAGES: Final[tuple[FailureStage, ...]] = (
    "intended",
    "reserved",
    "prepared",
    "connected",
    "brownout",
    "blackout",
)
"""Stages at which an attempt can fail: all before the point of no return."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Failures(_Part):
    """What goes wrong, per mille of attempts and of patches."""

    migrations_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Attempts that fail."""
    retryable_share: float = Field(default=1.0, ge=0, le=1)
    """Share of them that a second attempt may mend."""
    stages: tuple[FailureStage, ...] = Field(default=FAILURE_STAGES, min_length=1)
    """Where they fail, with equal odds."""
    lost_hosts_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Hosts that do not come back from their patch."""
    overruns_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Hosts whose patch takes ``overrun_factor`` times as long."""
    overrun_factor: float = Field(default=2.0, ge=1)


class Answering(_Part):
    """Guests that say they are ready before their notice period is over."""

    per_mille: float = Field(gt=0, le=1000)
    """How many of those that are told."""
    after_s: float = Field(default=ANSWER_S, gt=0)
    """How long after, in the median."""


class Others(_Part):
    """What others do to the fleet meanwhile, per mille of its VMs; each VM is touched once at most."""

    created_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """New VMs, each of the size of one that is there."""
    deleted_per_mille: float = Field(default=0.0, ge=0, le=1000)
    moved_per_mille: float = Field(default=0.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if self.created_per_mille + self.deleted_per_mille + self.moved_per_mille > 1000:
            raise ValueError("VMs created, deleted and moved by others are more than 1000 per mille together")
        return self


class SimulationSettings(_Part):
    """How the simulated driver departs from the plan's predictions."""

    seed: int = 0
    duration_sigma: float = Field(default=DURATION_SIGMA, ge=0)
    blackout_sigma: float = Field(default=BLACKOUT_SIGMA, ge=0)
    probe_interval_ms: float = Field(default=PROBE_INTERVAL_MS, gt=0)
    failures: Failures = Failures()
    answering: Answering | None = None
    """Null: no guest answers."""
    others: Others | None = None
    """Null: nobody else touches the fleet."""
    pace: float | None = Field(default=None, gt=0)
    """Seconds that go by in one of the machine's; null: a virtual clock, as fast as it can be computed."""
