"""Whether a plan can be asked about beside a fleet: made for it, and whole."""

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.plan import Plan


def refuse_another_snapshot(snapshot: FleetSnapshot, plan: Plan) -> None:
    """Refuse a plan that was made for another snapshot.

    Raises
    ------
    InputError
        With the digests of both.
    """
    made_for, found = plan.header.snapshot_digest, digest(snapshot)
    if found != made_for:
        raise InputError(
            f"plan {plan.header.id}",
            f"was made for another snapshot: digest {made_for[:16]}, this one has {found[:16]}",
            "Give the fleet that it was made for, or plan this one",
        )


def refuse_a_revision(plan: Plan) -> None:
    """Refuse a revision, for what only a plan from its origin on can be asked.

    A revision begins with hosts out and migrations under way, on its parent's clock: figures of a plan that starts at 0
    with everybody at home would be wrong.

    Raises
    ------
    InputError
        If the plan is a revision.
    """
    revision = plan.header.revision
    if revision is not None:
        raise InputError(
            f"plan {plan.header.id}",
            f"is a revision, from {revision.from_s:,} s on its parent's clock; here a plan is to begin at 0 s",
            "Give its first parent and the fleet of that, or plan the revision's fleet anew with `slacktide plan`",
        )
