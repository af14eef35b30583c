"""Policies: presets to start from, and what in one is wrong for a fleet."""

from pathlib import Path
from typing import Any, Literal

import polars as pl
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from slacktide.findings import errors_in
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.policy_check import policy_findings
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.given import TheServer
from slacktide.service.http.routes.fleets import fleet_of
from slacktide.service.jobs.asked import Id
from slacktide.service.kept_files import fleet_table

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=GuardedRoute)
NAME = "policy"
"""What findings call the policy's file, which the server does not know."""


class PolicyAsked(BaseModel):
    """A policy that is to be checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    policy: Policy
    fleet_id: Id | None = None
    """Are there failure domains of the kinds that the policy names?"""


class PolicyChecked(BaseModel):
    """What there is to think about again."""

    sound: bool
    """Whether no finding is an error."""
    policy: dict[str, Any]
    """All fields, defaults filled in."""
    findings: list[dict[str, Any]]


@router.get("/{preset}", operation_id="get-preset", response_model=dict[str, Any], **allowed("viewer"))
def preset(preset: Literal["urgent", "routine"]) -> dict[str, Any]:
    """Get a ready policy, every field of it: one to start from."""
    return PRESETS[preset].model_dump(mode="json")


@router.post("/check", operation_id="check-policy", response_model=PolicyChecked, **allowed("operator"))
def check(asked: PolicyAsked, server: TheServer) -> PolicyChecked:
    """Check a policy: its fields, whether they contradict each other, and whether it fits a fleet."""
    kinds = None if asked.fleet_id is None else _kinds(server.places.fleet(fleet_of(server, asked.fleet_id).fleet_id))
    findings = policy_findings(asked.policy, NAME, kinds)
    return PolicyChecked(
        sound=not errors_in(findings),
        policy=asked.policy.model_dump(mode="json"),
        findings=[finding.as_dict() for finding in findings],
    )


def _kinds(fleet: Path) -> tuple[str, ...]:
    return tuple(sorted(fleet_table(fleet, "domains", columns=["kind"])["kind"].cast(pl.String).unique()))
