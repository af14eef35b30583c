"""What ``report.json`` holds: the figures of a campaign, planned and measured side by side."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

FORMAT_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantiles(_Part):
    """Blackout over the migrations that are done, in milliseconds; null where there is none."""

    p50: float | None
    p99: float | None
    max: float | None


class Blackouts(_Part):
    """Blackout as predicted by the plan and as counted by hypervisor and probe, over the same migrations."""

    predicted_ms: Quantiles
    hypervisor_ms: Quantiles
    probe_ms: Quantiles


class Makespan(_Part):
    """When the last host has returned, in seconds from the origin."""

    planned_s: int
    bound_s: float
    """Proven lower limit for any plan."""
    measured_s: float | None
    """Null: no host has returned."""


class Exposure(_Part):
    """Unpatched host-hours."""

    planned_host_h: float
    bound_host_h: float
    measured_host_h: float
    """Hosts that did not return, and those the plan defers, count until the campaign's end."""


class CampaignSummary(_Part):
    """The figures of a campaign."""

    format_version: int = FORMAT_VERSION
    campaign_id: str
    plan_id: str
    snapshot_digest: str
    policy_name: str
    simulated: bool
    """True: nothing was moved; every measured value comes from the simulated driver."""
    seed: int
    origin: datetime
    """The moment that all seconds count from, in UTC."""
    finished: bool
    end_s: float
    """When the campaign ended, or how far it has got."""
    hosts: dict[str, int]
    """Count by state."""
    migrations: dict[str, int]
    """Count by state."""
    attempts: int
    failures: dict[str, int]
    """Failed and blocked hosts by reason, and failed attempts by stage."""
    makespan: Makespan
    exposure: Exposure
    blackout: Blackouts
    execution_wall_s: float
    """How long the execution took on this machine's clock."""
    ray: bool
    agents: int
    plan_path: str | None = None
    fleet_path: str | None = None
