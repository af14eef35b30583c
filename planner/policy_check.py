"""What in a policy is allowed and yet hardly meant: findings beside those of its fields."""

import difflib
from collections.abc import Iterator
from typing import Final

from slacktide.findings import Finding
from slacktide.planner.limits import resolved
from slacktide.planner.policy import Policy

USUAL_KINDS: Final = (
    "rack", "row", "power", "room", "hall", "building", "zone", "site", "region", "pod", "cell", "cooling", "chassis",
)  # fmt: skip
"""Kinds of failure domains that fleets have; others are a fleet's own, or misspelt."""


def policy_findings(policy: Policy, name: str, kinds: tuple[str, ...] | None = None) -> tuple[Finding, ...]:
    """Return what to think about again.

    Parameters
    ----------
    name
        The policy's file.
    kinds
        Kinds of failure domains that the fleet has; None: no fleet is known.
    """
    return (*_kinds(policy, name, kinds), *_nothing_out(policy, name), *_too_fast(policy, name))


def _kinds(policy: Policy, name: str, kinds: tuple[str, ...] | None) -> Iterator[Finding]:
    named = [(f"max_out.{kind}", kind) for kind in policy.max_out if kind != "fleet"]
    named += [] if policy.reserve.per is None else [("reserve.per", policy.reserve.per)]
    for field, kind in named:
        known = USUAL_KINDS if kinds is None else kinds
        if kind in known:
            continue
        nearest = difflib.get_close_matches(kind, known, n=1, cutoff=0.5)
        mean = f"Did you mean `{nearest[0]}`?" if nearest else f"Kinds: {', '.join(known)}"
        if kinds is None:
            fact = f"`{field}`: {kind!r} is no usual kind of failure domain; a fleet without it is refused"
            yield Finding("domain-kind", fact, f"{mean} `--fleet` looks into the fleet", "warning", file=name)
        else:
            fact = f"`{field}`: the fleet has no failure domain of the kind {kind!r}"
            yield Finding("domain-kind", fact, mean, file=name)


def _nothing_out(policy: Policy, name: str) -> Iterator[Finding]:
    for kind, limit in policy.max_out.items():
        if resolved(limit, 1) == 0:
            where = "no host may leave, none can be patched" if kind == "fleet" else f"no host of a {kind} may leave"
            remedy = "Allow at least 1, or leave the limit out"
            yield Finding("nothing-out", f"`max_out.{kind}` is {limit}: {where}", remedy, "warning", file=name)


def _too_fast(policy: Policy, name: str) -> Iterator[Finding]:
    rules = policy.migration
    if rules.blackout_limit_ms < rules.switchover_ms:
        fact = (
            f"`migration.blackout_limit_ms` is {rules.blackout_limit_ms} ms, less than the switchover alone, "
            f"`migration.switchover_ms` {rules.switchover_ms} ms: no VM without a limit of its own can migrate live"
        )
        remedy = f"Raise it to {rules.switchover_ms} ms and more"
        yield Finding("blackout-below-switchover", fact, remedy, "warning", file=name)
