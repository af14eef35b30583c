"""The policy of the campaign that a trigger begins."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.triggers.settings import Triggers, policy_named
from slacktide.executors.triggers.trigger import Trigger
from slacktide.planner.policy import LONGEST_S, PRESETS, Canary, Gates, Policy, Selection

LEVELS_SHOWN: Final = 3
"""Patch levels of a fleet that are named where no host is due."""


def base_policy(triggers: Triggers, trigger: Trigger, snapshot: FleetSnapshot) -> Policy:
    """Return the policy of a kind of trigger; a preset loses limits by kinds of domain that the fleet does not have."""
    names = triggers.policies
    if trigger.kind == "alert":
        name = names.alert
    elif trigger.kind == "window":
        name = names.standing
    else:
        name = names.urgent if trigger.asked.urgent else names.routine
    policy = policy_named(name)
    if name not in PRESETS:
        return policy
    there = {"fleet", *snapshot.domains["kind"].unique().to_list()}
    return policy.model_copy(
        update={"max_out": {kind: limit for kind, limit in policy.max_out.items() if kind in there}}
    )


def policy_of(
    triggers: Triggers, trigger: Trigger, snapshot: FleetSnapshot, hosts: Collection[str], now: datetime
) -> Policy:
    """Return the policy of a trigger's campaign.

    Its name has the trigger's number and attempt, so that no two campaigns are taken for one.
    """
    base = base_policy(triggers, trigger, snapshot)
    named = {
        "name": f"{base.name}, trigger {trigger.number}-{trigger.course.attempt}",
        "approve_start": trigger.asked.start == "approve",
    }
    if trigger.asked.due is None:
        alone = {"selection": Selection(hosts=()), "canary": Canary(), "gates": Gates(), "weights": ()}
        return base.model_copy(update={**named, **alone, "deadline_s": None, "evacuate": tuple(hosts)})
    wanted = {"selection": Selection(hosts=tuple(hosts)), "patch_level": trigger.asked.due.patch_level}
    return base.model_copy(update={**named, **wanted, "deadline_s": _deadline_s(base, trigger, now)})


def _deadline_s(base: Policy, trigger: Trigger, now: datetime) -> int | None:
    """Return the earliest of the policy's deadline, the request's and the window's end; what is past does not count."""
    ends = [moment for moment in (trigger.asked.deadline, trigger.course.until) if moment is not None]
    left = [int((moment - now).total_seconds()) for moment in ends]
    left += [] if base.deadline_s is None else [base.deadline_s]
    return min((seconds for seconds in left if 1 <= seconds <= LONGEST_S), default=None)


def due_hosts(trigger: Trigger, snapshot: FleetSnapshot, sick: Collection[str]) -> list[str]:
    """Return the hosts that a trigger's campaign is for, in the fleet's order.

    Parameters
    ----------
    sick
        Hosts that are about to fail: they are drained for that, and not patched beside it.
    """
    if trigger.asked.due is None:
        host = trigger.asked.host
        return [host] if host is not None and host in set(snapshot.hosts["host_id"]) else []
    only = None if trigger.course.only is None else set(trigger.course.only)
    return [
        host for host in trigger.asked.due.in_fleet(snapshot) if host not in sick and (only is None or host in only)
    ]


def not_due(trigger: Trigger, snapshot: FleetSnapshot) -> str:
    """Return, in words, why no host of a fleet is due: the patch levels that hosts have, and what is asked for."""
    due = trigger.asked.due
    levels = snapshot.hosts["patch_level"].value_counts(sort=True).rows()
    if due is None or not levels:
        return "no host is due"
    shown = ", ".join(f"`{level}` ({count:,})" for level, count in levels[:LEVELS_SHOWN])
    more = f" and {len(levels) - LEVELS_SHOWN:,} others" if len(levels) > LEVELS_SHOWN else ""
    asked = f"none that is asked for is below `{due.patch_level}` by order `{due.order}`"
    return f"no host is due: hosts are at {shown}{more}, and {asked}"


def without_sick(snapshot: FleetSnapshot, sick: Collection[str]) -> FleetSnapshot:
    """Return a fleet in which hosts that are about to fail take no VMs: those that are empty are quarantined."""
    taken = set(snapshot.vms["host_id"])
    empty = [host for host in sick if host not in taken]
    state = pl.when(pl.col("host_id").is_in(empty) & pl.col("state").cast(pl.String).is_in(["active", "empty"]))
    hosts = snapshot.hosts.with_columns(
        state=state.then(pl.lit("quarantined"))
        .otherwise(pl.col("state").cast(pl.String))
        .cast(snapshot.hosts["state"].dtype)
    )
    return replace(snapshot, hosts=hosts)
