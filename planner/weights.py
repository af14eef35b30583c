"""How much each host counts in the exposure."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.policy import Policy, WeightRule

if TYPE_CHECKING:
    from slacktide.planner.problem import Problem

THOUSANDTHS = 1000
"""Weights are counted in thousandths, as whole numbers: sums are exact, and the joint solver knows no others."""


def host_weights(snapshot: FleetSnapshot, policy: Policy) -> NDArray[np.int64]:
    """Return the weight of each row of the snapshot's hosts in thousandths: that of the first rule that names it, or 1.

    Names that the fleet does not have match nothing; :func:`check_weights` refuses them.
    """
    weight = np.full(len(snapshot.hosts), THOUSANDTHS, np.int64)
    for rule in reversed(policy.weights):
        weight[_named(snapshot, rule)] = round(rule.weight * THOUSANDTHS)
    return weight


def check_weights(snapshot: FleetSnapshot, policy: Policy) -> None:
    """Check that every rule names what the fleet has.

    Raises
    ------
    InputError
        At the first rule that names a host, machine type or failure domain that is not there.
    """
    for number, rule in enumerate(policy.weights):
        if rule.hosts is not None:
            known = set(snapshot.hosts["host_id"])
            stranger = next((f"host {name!r}" for name in rule.hosts if name not in known), None)
        else:
            domain = rule.domain
            stranger = None
            if not _named(snapshot, rule).any():
                stranger = f"machine type {rule.machine_type!r}" if domain is None else f"{domain.kind} {domain.id!r}"
        if stranger is not None:
            raise InputError(
                "policy",
                f"`weights.{number}` names {stranger}, which the fleet does not have",
                "Name what is in hosts.parquet or domains.parquet, or remove the rule",
            )


def _named(snapshot: FleetSnapshot, rule: WeightRule) -> NDArray[np.bool_]:
    hosts = snapshot.hosts
    if rule.hosts is not None:
        named = hosts["host_id"].is_in(list(rule.hosts))
    elif rule.machine_type is not None:
        named = hosts["machine_type"] == rule.machine_type
    else:
        assert rule.domain is not None
        place = (pl.col("kind").cast(pl.String) == rule.domain.kind) & (pl.col("domain_id") == rule.domain.id)
        named = hosts["host_id"].is_in(snapshot.domains.filter(place)["host_id"].to_list())
    return named.to_numpy()


def weight_of(problem: "Problem") -> NDArray[np.float64]:
    """Return what hosts count in an order, shape (N,): their weights where exposure comes first, else all alike."""
    if problem.policy.objective[0] != "exposure":
        return np.ones(len(problem.hosts.ids))
    return problem.hosts.weight / THOUSANDTHS
