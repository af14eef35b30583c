"""Where a campaign stands by its journal: folded plan by plan, each changeover with the plan that it names."""

from collections.abc import Callable, Sequence
from pathlib import Path

from slacktide.datasets.digest import digest
from slacktide.datasets.files import read_snapshot
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.executors.campaign_state import CampaignState, initial_state
from slacktide.executors.changeover import Course, first_course, turned
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.folding import apply
from slacktide.executors.journal import Entry
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import read_plan

Loaded = tuple[Plan, FleetSnapshot]
Load = Callable[[PlanRevised], Loaded]
"""Returns the plan of a changeover, and the fleet that it is for."""


def standing(course: Course, entries: Sequence[Entry], load: Load) -> tuple[Course, CampaignState]:
    """Return what a campaign carries out after all of its journal's entries, and where it stands.

    Raises
    ------
    UsageError, InputError
        If a plan that it went over to is not there, or is another; so of its fleet.
    InternalError
        If an entry is missing.
    """
    return advanced(course, initial_state(course.program), entries, load)


def advanced(
    course: Course, state: CampaignState, entries: Sequence[Entry], load: Load
) -> tuple[Course, CampaignState]:
    """Return the same after further entries; the state that is given is used up.  Errors as :func:`standing`."""
    begun = 0
    for place, entry in enumerate(entries):
        if isinstance(entry.event, PlanRevised):
            apply(state, entries[begun:place])
            course, state = turned(course, state, entry, *load(entry.event))
            begun = place + 1
    apply(state, entries[begun:])
    return course, state


def standing_in(
    directory: Path, snapshot: FleetSnapshot, plan: Plan, entries: Sequence[Entry]
) -> tuple[Course, CampaignState]:
    """Return the same of the campaign in a directory that began with ``plan``; errors as :func:`standing`."""
    return standing(first_course(snapshot, plan), entries, revisions_in(directory))


def revisions_in(directory: Path) -> Load:
    """Return what loads the revisions of the campaign in a directory."""

    def load(event: PlanRevised) -> Loaded:
        plan, snapshot = read_plan(directory / event.plan), read_snapshot(directory / event.fleet, overfull=True)
        if plan.header.id != event.plan_id:
            fact = f"is plan {plan.header.id}; the campaign went over to plan {event.plan_id}"
            raise InputError(str(directory / event.plan), fact, "Put that plan back where it was")
        if plan.header.snapshot_digest != digest(snapshot):
            fact = f"is not the fleet that plan {event.plan_id} was made for"
            raise InputError(str(directory / event.fleet), fact, "Put that fleet back where it was")
        return plan, snapshot

    return load
