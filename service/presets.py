"""Presets made to fit a fleet."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.planner.policy import Policy


def fitted(preset: "Policy", snapshot: "FleetSnapshot") -> "tuple[Policy, list[str]]":
    """Return a preset without limits for kinds of failure domains that the fleet does not have, and these kinds.

    A preset is for any fleet; a policy of the operator's own is taken at its word.
    """
    there = {"fleet", *snapshot.domains["kind"].unique().to_list()}
    limits = {kind: limit for kind, limit in preset.max_out.items() if kind in there}
    missing = sorted(preset.max_out.keys() - there)
    return preset if not missing else preset.model_copy(update={"max_out": limits}), missing
