"""The policy: what the operator asks, what must never be violated, what to minimise.

A policy is YAML or JSON; every field has a name, a unit and a default.  Two presets are complete policies:
``urgent`` (everything patched as soon as it can safely be) and ``routine`` (as few moves as possible).
"""

import math
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slacktide.datasets.schemas import MOST_MIB
from slacktide.planner.limits import MOST, CountOrShare, SomeOrShare

Objective = Literal["exposure", "makespan", "moves", "blackout"]
Strategy = Literal["precopy", "autoconverge", "postcopy", "restart"]
GateKind = Literal["pipelined", "baked", "approval"]
"""What opens a wave: ``pipelined``, capacity and limits alone; ``baked``, the wave before has returned and run for
``bake_s``; ``approval``, baked and approved by a person."""


LONGEST_S: Final = 31_622_400
"""A year, the longest of any time in a policy: what is longer was meant in another unit."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Selection(_Part):
    """Which hosts are due."""

    hosts: Literal["due", "all"] | tuple[str, ...] = "due"
    """``due``: those not at ``patch_level``; ``all``: every host; or ids."""
    exclude: tuple[str, ...] = ()


class DomainName(_Part):
    """One failure domain."""

    kind: str
    """`rack`, `power`, ..."""
    id: str


class WeightRule(_Part):
    """Hosts that count more than others in the exposure, by one of three ways to name them."""

    hosts: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Ids."""
    machine_type: str | None = None
    domain: DomainName | None = None
    weight: float = Field(ge=1, le=1000)
    """Of each of these hosts, in steps of 0.001; a host that no rule names has 1."""

    @model_validator(mode="after")
    def _one_name(self) -> "WeightRule":
        if sum(named is not None for named in (self.hosts, self.machine_type, self.domain)) != 1:
            raise ValueError("a weight needs one of `hosts`, `machine_type` and `domain`; name the hosts in one way")
        if not math.isclose(self.weight * 1000, round(self.weight * 1000), rel_tol=1e-12):
            raise ValueError("`weight` has more than three decimals; round it")
        return self


class Reserve(_Part):
    """Capacity that stays free on hosts in service at every moment, vCPUs and memory alike.

    ``share`` of what the whole fleet sells, which promises nothing about failures; and what the ``hosts`` largest hosts
    of each ``per`` domain sell, so that these could fail at once and their VMs be restarted beside them.  That it is so
    the audit tries on paper (docs/model.md, Failures).  Where both are given, both are kept, each by itself.
    """

    share: float = Field(default=0.0, ge=0, lt=1)
    hosts: int = Field(default=0, ge=0, le=MOST)
    per: str | None = None
    """Kind of failure domain; null: the fleet."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Reserve":
        if self.per is not None and self.hosts == 0:
            raise ValueError("`per` needs `hosts`: how many hosts of each domain may fail; remove `per` or set `hosts`")
        return self


class Canary(_Part):
    """The first wave, alone: the rest starts once it has returned and run for ``bake_s``."""

    hosts: CountOrShare = 0
    """So many, or all that are planned if these are fewer; never more than ``gates.max_wave_hosts``."""
    bake_s: int = Field(default=600, ge=0, le=LONGEST_S)


class Gates(_Part):
    """What opens the waves after the canary."""

    kind: GateKind = "pipelined"
    bake_s: int = Field(default=0, ge=0, le=LONGEST_S)
    """How long a wave runs patched before the next may start; for ``baked`` and ``approval``."""
    max_wave_hosts: SomeOrShare | None = None
    """Hosts in one wave at most; null: as many as the other limits allow."""


class Assumptions(_Part):
    """What to assume where the snapshot does not know; null: assume nothing, defer the host."""

    dirty_mib_s: float | None = Field(default=None, ge=0, le=MOST_MIB)
    hot_mib: float | None = Field(default=None, ge=0, le=MOST_MIB)


class MigrationRules(_Part):
    """How VMs are moved."""

    strategies: tuple[Literal["precopy", "autoconverge", "postcopy"], ...] = ("precopy", "autoconverge")
    """Ways that may be taken, tried in the order precopy, autoconverge, postcopy."""
    blackout_limit_ms: int = Field(default=500, ge=1, le=1000 * LONGEST_S)
    """For VMs whose own limit is unknown."""
    goodput: float = Field(default=0.95, gt=0, le=1)
    """Share of the bandwidth that carries guest memory; the rest is protocol and encryption framing."""
    setup_s: int = Field(default=2, ge=0, le=LONGEST_S)
    """Prepare the target, connect and authenticate, before the first byte of memory."""
    switchover_ms: int = Field(default=30, ge=0, le=1000 * LONGEST_S)
    """Part of every blackout that no bandwidth shortens: stop, device state, resume."""
    forwarding_s: int = Field(default=1, ge=0, le=LONGEST_S)
    """Post-migration brownout: the source forwards packets, and holds its memory, this long."""
    restart_s: int = Field(default=60, ge=1, le=LONGEST_S)
    """Shut down and boot again, for VMs whose eviction is `restart`."""
    allow_patched_to_unpatched: bool = False
    allow_unencrypted: bool = False


def _default_max_out() -> dict[str, int | str]:
    return {"fleet": "10%"}


class Policy(_Part):
    """One campaign's terms."""

    name: str = "custom"
    patch_level: str = Field(default="patched", min_length=1)
    """What a host's patch level reads once it has returned."""
    selection: Selection = Selection()
    evacuate: tuple[str, ...] = Field(default=(), exclude_if=lambda hosts: not hosts)
    """Hosts that are about to fail, by id: each is emptied before all others leave, is not patched, and stays out."""
    in_place: bool = False
    """The patch is applied while guests run: hosts go out for it, but no VM leaves them."""
    approve_start: bool = False
    """The first wave begins once a person has approved it, whatever opens the others."""
    deadline_s: int | None = Field(default=None, ge=1, le=LONGEST_S)
    """The campaign should end by then; a plan that does not is a finding of severity warning."""
    objective: tuple[Objective, ...] = Field(default=("makespan", "moves"), min_length=1)
    """Lexicographic: a later one only decides between plans equal in the earlier ones."""
    weights: tuple[WeightRule, ...] = ()
    """Critical hosts first: what hosts count in the exposure; of several rules for a host the first holds."""
    reserve: Reserve = Reserve(share=0.05)
    max_out: dict[str, CountOrShare] = Field(default_factory=_default_max_out)
    """Hosts draining or being patched at once: in the `fleet`, and in each domain of a kind (`rack`, `power`, ...)."""
    link_share: float = Field(default=0.5, gt=0, le=1)
    """Share of every directed link that migrations may fill."""
    canary: Canary = Canary()
    gates: Gates = Gates()
    assume: Assumptions = Assumptions()
    migration: MigrationRules = MigrationRules()

    @model_validator(mode="after")
    def _consistent(self) -> "Policy":
        if len(set(self.objective)) != len(self.objective):
            raise ValueError("`objective` names one goal twice; remove the second")
        if self.gates.kind == "pipelined" and self.gates.bake_s > 0:
            raise ValueError(
                "`gates.bake_s` contradicts `gates.kind: pipelined`, which waits for no wave; "
                "set `gates.kind: baked` or remove `bake_s`"
            )
        if self.in_place and self.evacuate:
            raise ValueError("`evacuate` moves VMs, and `in_place` moves none; give the hosts a campaign of their own")
        if len(set(self.evacuate)) != len(self.evacuate):
            raise ValueError("`evacuate` names one host twice; remove the second")
        both = set(self.selection.exclude) & set(
            self.selection.hosts if isinstance(self.selection.hosts, tuple) else ()
        )
        if both:
            raise ValueError(f"`selection` both names and excludes {min(both)}; remove it from one of them")
        return self


PRESETS: Final[dict[str, Policy]] = {
    "urgent": Policy(
        name="urgent",
        objective=("exposure", "makespan", "moves"),
        reserve=Reserve(share=0.03),
        max_out={"fleet": "20%", "rack": "34%", "power": "34%"},
        link_share=0.7,
        canary=Canary(hosts=2, bake_s=300),
        assume=Assumptions(dirty_mib_s=20.0, hot_mib=64.0),
        migration=MigrationRules(strategies=("precopy", "autoconverge", "postcopy")),
    ),
    "routine": Policy(
        name="routine",
        objective=("moves", "makespan", "exposure"),
        reserve=Reserve(share=0.05),
        max_out={"fleet": "5%", "rack": "10%", "power": "10%"},
        link_share=0.5,
        canary=Canary(hosts=2, bake_s=900),
        assume=Assumptions(dirty_mib_s=20.0, hot_mib=64.0),
    ),
}
"""Complete policies by name.

``urgent``: a fifth of the fleet out at once, and a third of a rack or power feed, is what a fleet at 75 % fill can
spare; the canary bakes 5 minutes.  ``routine``: a twentieth out, so that moves per VM stay near 1.05 (the VMs of the
first hosts move twice, all others once).
"""
