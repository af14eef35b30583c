"""What ``report.json`` holds: the figures of a campaign, planned and measured side by side."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

FORMAT_VERSION = 3


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantiles(_Part):
    """Blackout over the live migrations that are done, in milliseconds; null where there is none."""

    p50: float | None
    p99: float | None
    max: float | None


class Blackouts(_Part):
    """Blackout as predicted by the plan and as counted by hypervisor and probe, over the same live migrations."""

    predicted_ms: Quantiles
    hypervisor_ms: Quantiles
    probe_ms: Quantiles


class CountsDiffer(_Part):
    """Live migrations whose blackout hypervisor and probe count differently, by more than the probe's resolution."""

    count: int
    compared: int
    """Migrations with both counts."""
    most_ms: float
    """The largest difference."""
    migration_id: str
    """Whose it is."""
    resolution_ms: float
    """How exactly the probe saw that one."""


class Restarts(_Part):
    """VMs that were shut down and started on the target: their blackout is a minute and says nothing of the others."""

    count: int
    predicted_max_ms: float | None
    hypervisor_max_ms: float | None
    """Null: there is none, or none was measured."""


class ShortNotice(_Part):
    """Guests that were told too late, or not at all, before their migration began, and had not said they were ready."""

    count: int
    """Migrations."""
    vms: int
    most_s: float
    """By which the worst fell short."""
    migration_id: str
    """Whose it is."""


class Notices(_Part):
    """Notice periods, of migrations that were begun."""

    promised: int
    """Migrations whose guest was to be told before."""
    vms: int
    """Whose they are."""
    acknowledged: int
    """Migrations for which the guest said that it was ready."""
    cut_short: int
    """Of these, how many began before the period was over."""
    short: ShortNotice | None
    """Null: every other period was kept."""


class HostsOver(_Part):
    """A limit on hosts out that was exceeded."""

    where: str
    """``fleet``, or kind and name of a failure domain."""
    most: int
    """Hosts out at the peak."""
    limit: int


class BlackoutsOver(_Part):
    """Live migrations whose blackout was above their VM's limit: the longer count, the probe's less what it misses."""

    count: int
    longest_ms: float
    longest_limit_ms: float
    """The limit of the VM whose blackout was the longest of these."""


class OverLimits(_Part):
    """Where what was measured is above what the policy allows."""

    hosts_out: tuple[HostsOver, ...]
    blackouts: BlackoutsOver | None
    """Null: no blackout was above its limit."""


class Overruns(_Part):
    """Hosts whose patch took clearly longer than planned."""

    count: int
    """Of those that have returned."""
    most_s: float
    """By which the longest took longer."""
    host_id: str
    """Whose it is."""


class Makespan(_Part):
    """When the last host has returned, in seconds from the origin."""

    planned_s: int
    bound_s: float
    """Proven lower limit for any plan."""
    measured_s: float | None
    """Null: no host has returned."""
    waited_s: float = 0.0
    """How long of it was waited for people: pauses, and gates that ask for an approval; plan and bound have none."""


class Exposure(_Part):
    """Unpatched host-hours."""

    planned_host_h: float
    bound_host_h: float
    measured_host_h: float
    """Hosts that did not return, and those the plan defers, count until the campaign's end."""


class RevisionMade(_Part):
    """A revision that a campaign went over to."""

    at_s: float
    plan_id: str
    by: str
    why: str
    evacuates: str | None = None
    """Host that it was asked to empty before all others; null: none."""


class OrderAnswered(_Part):
    """Something that was asked of a campaign, and what came of it."""

    order: int
    """Its number among the campaign's orders; 0, in reports of before: nobody asked, a rule of the campaign did."""
    at_s: float
    """When it was answered."""
    asked_at: str | None = None
    """When it was asked, in UTC by the store's clock, as ISO text; null: the report is of before that was kept."""
    by: str
    why: str
    kind: str
    """Type of the event that answers it."""
    granted: bool
    outcome: str
    """What came of it, in words."""


class OwnStep(_Part):
    """Something that a campaign did, or did not do, by a rule of its own; the same that came again is one."""

    at_s: float
    last_s: float
    """When it came last."""
    times: int
    by: str
    """The budget or signal that asked for it, or the campaign itself."""
    why: str
    """The last reason."""
    kind: str
    """Type of the event."""
    outcome: str
    """What it did, in words."""


class Evacuated(_Part):
    """A host that was to be emptied before all others, and to stay out."""

    host_id: str
    at_s: float | None
    """When it was empty; null: it is not."""
    why: str
    """Who asked for it, and why."""


class HalfDrained(_Part):
    """A host that was given up after VMs had left it: in service, unpatched, with the VMs that are still on it."""

    host_id: str
    gone_vms: int
    """That have left it for other hosts, and stay there."""
    remaining_vms: int
    """That are on it now."""
    gone_to: dict[str, int]
    """Where those that have left are now: VMs by host."""


class Brownouts(_Part):
    """Post-migration brownouts, of migrations that are done and whose fabric was told."""

    migrations: int
    length_ms: Quantiles
    forwarded_packets: int | None
    """Null: the fabric learns by itself, and nobody counts."""
    lost_packets: int | None
    """Of migrations of which that is known."""
    uncounted: int = 0
    """Migrations of which it is not."""
    findings: int
    """Migrations of which not every endpoint confirmed in time, or whose fabric could not do what it was asked."""


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
    failed_attempts: dict[str, int]
    """Count of failed attempts to migrate by the stage in which they ended."""
    not_patched: dict[str, int]
    """Count of failed and blocked hosts by reason."""
    half_drained: tuple[HalfDrained, ...] = ()
    """Of these, the ones that VMs have left; the others that are blocked were never touched."""
    over_limits: OverLimits
    overruns: Overruns | None = None
    """Null: there were none, or the report is of before they were counted."""
    revisions: tuple[RevisionMade, ...] = ()
    """In order; planned values of each host and migration are those of the plan under which it began."""
    orders: tuple[OrderAnswered, ...] = ()
    """People's, as they were answered, in order."""
    own_steps: tuple[OwnStep, ...] = ()
    """Pauses by budgets and signals, revisions, and revisions that were not made, in order."""
    others: dict[str, int] = {}
    """VMs that others created, deleted and moved meanwhile."""
    evacuations: tuple[Evacuated, ...] = ()
    notices: Notices | None = None
    """Null: no guest wants notice, or the report is of before it was counted."""
    makespan: Makespan
    exposure: Exposure
    blackout: Blackouts
    brownout: Brownouts | None = None
    """Null: no fabric was told, or the report is of before it could be."""
    counts_differ: CountsDiffer | None
    """Null: they agree, or there is only one of them."""
    restarts: Restarts
    execution_wall_s: float
    """How long it took on this machine's clock since the command was last given."""
    coordinators: int = 1
    """How many have carried the campaign out, one after the other."""
    ray: bool
    agents: int
    plan_path: str | None = None
    fleet_path: str | None = None
