"""What a job may be asked to do, as data: sent by clients, kept in the database, read by who carries it out."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from slacktide.planner.policy import LONGEST_S, DomainName, Policy
from slacktide.service.campaign_terms import CampaignTerms

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", examples=["6c6eeb428fcb937b"])]
"""The id of a fleet, a plan, a campaign or a job."""
HostName = Annotated[str, Field(min_length=1, max_length=200)]
MOST_HOSTS = 200_000
"""Hosts that a request may name: twice the largest fleet that planning is measured with."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Effort(_Part):
    """How hard a plan is searched for."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    time_limit_s: float | None = Field(default=None, ge=0, le=86_400)
    """Seconds that the search may take; the first plan is always finished.  Null: until it no longer improves."""
    iterations: int | None = Field(default=None, ge=0, le=1_000_000)
    """Tries that the search may take; the only limit with which plans repeat byte for byte."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processors to search with."""


class _Policed(_Part):
    preset: Literal["urgent", "routine"] | None = None
    """A ready policy; limits for kinds of failure domain that the fleet does not have do not count."""
    policy: Policy | None = None
    """A policy of one's own, taken at its word; not together with ``preset``.  Null and no preset: `routine`."""

    @model_validator(mode="after")
    def _one_policy(self) -> "_Policed":
        if self.preset is not None and self.policy is not None:
            raise ValueError("preset and policy contradict each other; give one of them")
        return self


class PlanAsked(_Policed, Effort):
    """A plan for a fleet."""

    fleet_id: Id
    evacuate: tuple[HostName, ...] = Field(default=(), max_length=MOST_HOSTS)
    """Hosts that are about to fail: only these are planned, to be emptied at once; none is patched."""
    cells: int | Literal["auto", "off"] = "off"
    """Parts into which the fleet is cut, to be planned apart as tasks of Ray; `auto`: about 5,000 hosts each."""

    @model_validator(mode="after")
    def _some_cells(self) -> "PlanAsked":
        if isinstance(self.cells, int) and not 1 <= self.cells <= 1000:
            raise ValueError("cells is neither auto nor off nor a number from 1 to 1000; give one of these")
        return self


class HostSelector(_Part):
    """Hosts of a fleet: those that every condition holds for."""

    machine_type: str | None = Field(default=None, min_length=1, max_length=200)
    domain: DomainName | None = None
    patch_level: str | None = Field(default=None, max_length=200)
    """Hosts at this patch level."""


class UrgentAsked(_Policed, Effort):
    """Patch these hosts by then: a plan and its campaign in one call."""

    fleet_id: Id
    hosts: Literal["due", "all"] | HostSelector | tuple[HostName, ...] = Field(
        default="due", union_mode="left_to_right"
    )
    """Which hosts: those not at the policy's patch level, every host, a selector, or ids."""
    deadline: AwareDatetime | None = None
    """By when everything is to be done; a plan that ends later is made all the same, with a warning."""
    within_s: int | None = Field(default=None, ge=1, le=LONGEST_S)
    """The same in seconds from now; not together with ``deadline``."""
    start: Literal["now", "on-approval"] = "now"
    """`on-approval`: the campaign waits until somebody starts it."""
    time_limit_s: float | None = Field(default=5.0, ge=0, le=86_400)
    """Seconds that the search may take beyond the first plan; null: until it no longer improves."""
    terms: CampaignTerms = CampaignTerms()

    @model_validator(mode="after")
    def _one_moment(self) -> "UrgentAsked":
        if self.deadline is not None and self.within_s is not None:
            raise ValueError("deadline and within_s say the same twice; give one of them")
        if isinstance(self.hosts, tuple) and not 0 < len(self.hosts) <= MOST_HOSTS:
            raise ValueError(f"hosts names {len(self.hosts):,} hosts; name 1 to {MOST_HOSTS:,}")
        return self

    def deadline_s(self, now: datetime | None = None) -> int | None:
        """Return how many seconds are left until the deadline, at least 1; null: there is none."""
        if self.deadline is None:
            return self.within_s
        return max(1, min(LONGEST_S, int((self.deadline - (now or datetime.now(UTC))).total_seconds())))


class WhatIfAsked(_Policed):
    """Which limits have to give for everything to be done by a time, and what each buys."""

    fleet_id: Id
    plan_id: Id | None = None
    """The present plan, whose policy counts, in place of one that is made first."""
    within_s: int | None = Field(default=None, ge=1, le=LONGEST_S)
    """Everything is to be done so long after the beginning; null: the policy's ``deadline_s``."""
    relax: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=100)
    """Limits that may be loosened, such as `max_out.rack`; none: all."""
    time_limit_s: float | None = Field(default=60.0, ge=0, le=86_400)
    iterations: int | None = Field(default=None, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    workers: int = Field(default=1, ge=1, le=256)

    @model_validator(mode="after")
    def _policy_once(self) -> "WhatIfAsked":
        if self.plan_id is not None and (self.preset is not None or self.policy is not None):
            raise ValueError("plan_id brings its policy; leave preset and policy out")
        return self


class ParetoAsked(_Policed):
    """What can be had at all: the plans that none beats in makespan, moves and hosts out at once."""

    fleet_id: Id
    points: int = Field(default=8, ge=2, le=100)
    """Limits on hosts out that are tried."""
    time_limit_s: float | None = Field(default=60.0, ge=0, le=86_400)
    iterations: int | None = Field(default=None, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    workers: int = Field(default=1, ge=1, le=256)


class CalibrateAsked(_Part):
    """What campaigns on real hosts have taught about migrations."""

    campaign_ids: tuple[Id, ...] = Field(min_length=1, max_length=1000)
    policy: Policy | None = None
    """Policy whose figures are replaced; null: that of the campaign that began last."""
    caution: float = Field(default=0.9, ge=0.5, lt=1)
    """Share of the migrations that were not slower than a learnt figure says."""


class ImportAsked(_Part):
    """A fleet of the live hosts of a profile."""

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["production"])
    """The server's name for these hosts; where they answer is written there."""
    migration_mbit_s: int = Field(ge=1, le=10**9)
    """What a host's NIC may carry of migration traffic, in each direction."""
    vcpus_per_cpu: float = Field(default=1.0, gt=0, le=64)
    memory_mib: int | None = Field(default=None, ge=1, le=2**40)
    """Memory that a host sells; null: all but 2,048 MiB."""
    maintenance_s: int = Field(default=1800, ge=1, le=LONGEST_S)
    patch_level: str | None = Field(default=None, min_length=1, max_length=200)
    """What the hosts have now; null: versions of hypervisor and libvirt."""
    notice_s: int = Field(default=0, ge=0, le=LONGEST_S)
    blackout_limit_ms: int | None = Field(default=None, ge=1, le=10**9)
    racks: dict[HostName, HostName] = Field(default={}, max_length=MOST_HOSTS)
    """Rack of each host; none named: all are in one."""
    measure_s: int = Field(default=5, ge=0, le=60)
    """Window in which dirty memory is counted, from 2 s on; 0: not measured."""

    @model_validator(mode="after")
    def _a_window(self) -> "ImportAsked":
        if self.measure_s == 1:
            raise ValueError("measure_s is 1, and the first window has one second; give 2 to 60, or 0")
        return self


class AboutPlan(_Part):
    """A question about a plan."""

    plan_id: Id
    constants: tuple[Annotated[str, Field(pattern=r"^(kubevirt|nova|vsphere|ovirt|[0-9]{1,6}:[0-9]{1,6})$")], ...] = ()
    """For a comparison: whose constants, or N:M for N migrations per host and M per cluster; none: all four."""
