"""The limits of a problem that can be loosened: each a lever with levels, from as it is to as loose as it gets.

What a lever does to a fleet and a policy is in :mod:`slacktide.planner.loosening`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from slacktide.planner.limits import resolved
from slacktide.planner.loosening import (
    Case,
    group_sizes,
    rebuilt,
    with_max_out,
    with_notice,
    with_patch_time,
    with_policy,
    with_reserve_hosts,
    with_reserve_share,
    with_rules,
    without_max_moving,
    without_spread,
)
from slacktide.planner.policy import Gates
from slacktide.planner.problem import NO_LIMIT

MORE_POINTS: Final = 5
"""Percentage points by which a share of hosts out is raised: the step in which operators write such shares."""
MORE_LINK_POINTS: Final = 10
"""Percentage points by which the share of every link is raised."""
BAKE_LEVEL_S: Final = 30
NOTICE_LEVEL_S: Final = 60
"""Seconds of a level: what people would still tell apart."""
SHORTER_PATCH: Final = 10
"""Percent by which patching is made shorter in one step."""
SHORTEST_PATCH: Final = 90
"""Percent by which it can be made shorter at most: a live patch in place of a reboot."""
BLACKOUT_LEVEL_MS: Final = 100
LONGEST_BLACKOUT_MS: Final = 10_000
"""A blackout of ten seconds: above it a connection is lost, and a restart would be more honest."""


@dataclass(frozen=True)
class Lever:
    """A limit, and how it is loosened."""

    limit: str
    """The policy's field, or what of the fleet changes."""
    unit: str
    """What gains are counted by: ``host``, ``point``, ``minute``, ...; ``limit`` where there is but on and off."""
    per_level: float
    """Units of one level."""
    step: int
    """Levels that are tried first: what an operator would."""
    most: int
    """The level at which it is as loose as it gets."""
    value: Callable[[int], str]
    """The limit at a level, in words; level 0 is as it is."""
    loosen: Callable[[Case, int], Case]
    of_fleet: bool = False
    """Whether it changes the fleet's tables and not the policy: a plan for it is one for the fleet so changed."""

    @property
    def before(self) -> str:
        """The limit as it is."""
        return self.value(0)


def levers(case: Case) -> tuple[Lever, ...]:
    """Return the limits that can be loosened, those first that cost least to give up.

    First what only makes the night bolder (baking, hosts out, links, waves), then what safety rests on (reserve,
    gates), then what guests notice, and last what is a fact of the fleet.
    """
    moves = not case.problem.policy.in_place
    return (
        *_bakes(case),
        *_hosts_out(case),
        *(_links(case) if moves else ()),
        *_reserves(case),
        *_gates(case),
        *(_migrations(case) if moves else ()),
        *(_services(case) if moves else ()),
        *_facts(case),
    )


def loosened(case: Case, levels: Sequence[tuple[Lever, int]]) -> Case:
    """Return the case with several limits loosened."""
    for lever, level in levels:
        if level > 0:
            case = lever.loosen(case, level)
    return case


def _bakes(case: Case) -> Iterator[Lever]:
    policy = case.problem.policy
    canary = policy.canary
    if resolved(canary.hosts, int(case.problem.selected.sum())) and canary.bake_s:

        def bake_s(level: int) -> int:
            return max(0, canary.bake_s - BAKE_LEVEL_S * level)

        most = -(-canary.bake_s // BAKE_LEVEL_S)
        yield Lever(
            "canary.bake_s",
            "minute",
            BAKE_LEVEL_S / 60,
            -(-most // 2),
            most,
            lambda level: f"{bake_s(level):,} s",
            lambda at, level: with_policy(
                at, canary=at.problem.policy.canary.model_copy(update={"bake_s": bake_s(level)})
            ),
        )
        yield _switch(
            "canary",
            f"{canary.hosts} first",
            "no canary",
            lambda at: with_policy(at, canary=at.problem.policy.canary.model_copy(update={"hosts": 0})),
        )


def _hosts_out(case: Case) -> Iterator[Lever]:
    sizes = group_sizes(case.problem)
    for kind, limit in case.problem.policy.max_out.items():
        largest = max((size for (of, _), size in zip(case.problem.out.names, sizes, strict=True) if of == kind))
        if isinstance(limit, int):
            most, step, unit = largest - limit, 1, "host"
        else:
            most, step, unit = int(100 - _points(limit)), MORE_POINTS, "point"
        if most > 0:
            yield Lever(
                f"max_out.{kind}",
                unit,
                1.0,
                min(step, most),
                most,
                lambda level, limit=limit: str(_raised(limit, level)),  # type: ignore[misc]
                lambda at, level, kind=kind, limit=limit: with_max_out(at, kind, _raised(limit, level)),  # type: ignore[misc]
            )


def _links(case: Case) -> Iterator[Lever]:
    share = case.problem.policy.link_share
    most = _levels(1 - share)

    def wider(level: int) -> float:
        return min(1.0, round(share + level / 100, 6))

    if most > 0:
        yield Lever(
            "link_share",
            "point",
            1.0,
            min(MORE_LINK_POINTS, most),
            most,
            lambda level: f"{wider(level):.0%}",
            lambda at, level: rebuilt(at, link_share=wider(level)),
        )


def _reserves(case: Case) -> Iterator[Lever]:
    reserve = case.problem.policy.reserve

    def share(level: int) -> float:
        return max(0.0, round(reserve.share - level / 100, 6))

    if reserve.share > 0:
        yield Lever(
            "reserve.share",
            "point",
            1.0,
            1,
            _levels(reserve.share),
            lambda level: f"{share(level):.1%}",
            lambda at, level: with_reserve_share(at, share(level)),
        )
    if reserve.hosts > 0:
        yield Lever(
            "reserve.hosts",
            "host",
            1.0,
            1,
            reserve.hosts,
            lambda level: str(reserve.hosts - level),
            lambda at, level: with_reserve_hosts(at, reserve.hosts - level),
        )


def _gates(case: Case) -> Iterator[Lever]:
    gates = case.problem.policy.gates
    if gates.max_wave_hosts is not None:
        yield _switch(
            "gates.max_wave_hosts",
            f"{gates.max_wave_hosts}",
            "no limit",
            lambda at: with_policy(at, gates=at.problem.policy.gates.model_copy(update={"max_wave_hosts": None})),
        )
    if gates.kind != "pipelined":
        yield _switch(
            "gates.kind",
            f"{gates.kind}, {gates.bake_s:,} s",
            "pipelined",
            lambda at: with_policy(at, gates=Gates(max_wave_hosts=at.problem.policy.gates.max_wave_hosts)),
        )


def _migrations(case: Case) -> Iterator[Lever]:
    rules, own = case.problem.policy.migration, case.snapshot.vms["blackout_limit_ms"]
    limit_ms = rules.blackout_limit_ms
    if own.null_count() and limit_ms < LONGEST_BLACKOUT_MS:
        yield Lever(
            "migration.blackout_limit_ms",
            "100 ms",
            1.0,
            max(1, min(limit_ms, LONGEST_BLACKOUT_MS - limit_ms) // BLACKOUT_LEVEL_MS),
            max(1, (LONGEST_BLACKOUT_MS - limit_ms) // BLACKOUT_LEVEL_MS),
            lambda level: f"{limit_ms + BLACKOUT_LEVEL_MS * level:,} ms",
            lambda at, level: with_rules(at, blackout_limit_ms=limit_ms + BLACKOUT_LEVEL_MS * level),
        )
    if "postcopy" not in rules.strategies:
        with_postcopy = (*rules.strategies, "postcopy")
        yield _switch(
            "migration.strategies",
            ", ".join(rules.strategies) or "none",
            ", ".join(with_postcopy),
            lambda at: with_rules(at, strategies=with_postcopy),
        )
    if not rules.allow_patched_to_unpatched:
        yield _switch(
            "migration.allow_patched_to_unpatched",
            "no",
            "yes",
            lambda at: with_policy(
                at, migration=at.problem.policy.migration.model_copy(update={"allow_patched_to_unpatched": True})
            ),
        )


def _services(case: Case) -> Iterator[Lever]:
    services = case.problem.services
    if (services.spread_kind >= 0).any():
        yield _switch("spread of every service", "as in the fleet", "none", without_spread, of_fleet=True)
    if (services.max_moving < NO_LIMIT).any():
        yield _switch(
            "VMs of a service moving at once", "as in the fleet", "no limit", without_max_moving, of_fleet=True
        )


def _facts(case: Case) -> Iterator[Lever]:
    hosts, vms = case.problem.hosts, case.problem.vms
    longest_s = int(vms.notice_s[hosts.due[vms.host]].max(initial=0))
    if longest_s:
        most = -(-longest_s // NOTICE_LEVEL_S)
        yield Lever(
            "notice of every VM",
            "minute",
            NOTICE_LEVEL_S / 60,
            -(-most // 2),
            most,
            lambda level: f"{max(0, longest_s - NOTICE_LEVEL_S * level):,} s at most",
            lambda at, level: with_notice(at, max(0, longest_s - NOTICE_LEVEL_S * level)),
            of_fleet=True,
        )
    if hosts.due.any():
        mean_s = float(hosts.maintenance_s[hosts.due].mean())
        yield Lever(
            "patch time of every host",
            "percent",
            1.0,
            SHORTER_PATCH,
            SHORTEST_PATCH,
            lambda level: f"{mean_s * (100 - level) / 100:,.0f} s on average",
            with_patch_time,
            of_fleet=True,
        )


def _switch(limit: str, before: str, after: str, change: Callable[[Case], Case], *, of_fleet: bool = False) -> Lever:
    return Lever(
        limit, "limit", 1.0, 1, 1, lambda level: after if level else before, lambda at, _: change(at), of_fleet
    )


def _raised(limit: int | str, level: int) -> int | str:
    """Return a limit raised by hosts, or by percentage points."""
    if isinstance(limit, int):
        return limit + level
    return f"{float(min(Fraction(100), _points(limit) + level)):g}%"


def _points(share: str) -> Fraction:
    return Fraction(share.removesuffix("%").strip())


def _levels(share: float) -> int:
    """Return how many points a share is, a part of one counting whole."""
    return int(np.ceil(round(100 * share, 6)))
