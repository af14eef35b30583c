"""The rest of a running campaign is planned anew: from where it stands, for the fleet as it is.

A revision is made beside the campaign, in a thread of its own; meanwhile nothing new begins, and what is under way goes
on.  It is written into the campaign's directory before the journal names it.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.files import write_snapshot
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import SlacktideError
from slacktide.executors.campaign_progress import progress_of
from slacktide.executors.campaign_state import OUT_STAGES, CampaignState, HostStage
from slacktide.executors.changeover import Course, not_held
from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import HostBlocked, HostFailed, Stage
from slacktide.executors.gates import Gates
from slacktide.executors.present_fleet import present_fleet
from slacktide.executors.readable import count, duration
from slacktide.executors.rules import MOST_TRIED, Rules
from slacktide.executors.standing import Load, revisions_in
from slacktide.executors.vm_state import strays
from slacktide.executors.wanted import Wanted
from slacktide.planner.limits import resolved
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import write_plan
from slacktide.planner.policy import Policy
from slacktide.planner.progress import without_hosts

_LOG: Final = logging.getLogger(__name__)
MOST_MORE_MOVES: Final = 0.25
"""Share by which a campaign's migrations may exceed those of its first plan before a person has to ask for more.

Every migration is a blackout for somebody; a campaign that moves VMs over and over is to be looked at.
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A revision that is sound, and where it was written, from the campaign's directory on."""

    plan: Plan
    snapshot: FleetSnapshot
    plan_path: str
    fleet_path: str


class Revising:
    """Makes one revision at a time for the campaign in a directory."""

    def __init__(self, course: Course, directory: Path) -> None:
        self.course = course
        """What is carried out; whoever goes over to a revision says so here."""
        self._directory = directory
        self.load: Load = revisions_in(directory)
        self._thread: ThreadPoolExecutor | None = None
        self._making: Future[Made | str] | None = None

    def begin(self, state: CampaignState, wanted: Wanted, now_s: float) -> None:
        """Begin to plan the rest anew from ``state``, which nobody else may change."""
        self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="revising")
        self._making = self._thread.submit(self._made, state, wanted, now_s)

    @property
    def is_due(self) -> bool:
        """Whether a revision is there that was begun, or turned out not to be possible."""
        return self._making is not None and self._making.done()

    @property
    def is_making(self) -> bool:
        """Whether a revision was begun and not taken."""
        return self._making is not None

    def take(self) -> Made | str:
        """Wait for the revision that was begun, and return it, or why there is none."""
        assert self._making is not None, "one was begun"
        making, self._making = self._making, None
        return making.result()

    def close(self) -> None:
        """Let go of the thread; a revision that is being made is left to its end, and not used."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _made(self, state: CampaignState, wanted: Wanted, now_s: float) -> Made | str:
        try:
            found = revision_of(self.course, state, wanted, now_s)
            if isinstance(found, str):
                return found
            child, fleet = found
            number = len(state.revisions) + 1
            paths = f"revisions/{number}/plan", f"revisions/{number}/fleet"
            (self._directory / "revisions" / str(number)).mkdir(parents=True, exist_ok=True)
            write_snapshot(fleet, self._directory / paths[1])
            write_plan(child, self._directory / paths[0])
        except (SlacktideError, OSError) as error:
            return f"it could not be made: {error}"
        except Exception as error:
            # The night goes on by the plan that it has, whatever is wrong with what makes another.
            _LOG.exception("No revision: an error of the planner's own")
            return f"it could not be made: {type(error).__name__}, {error}"
        return Made(child, fleet, *paths)


def revision_of(course: Course, state: CampaignState, wanted: Wanted, now_s: float) -> tuple[Plan, FleetSnapshot] | str:
    """Return a sound revision of what is carried out and the fleet it is for, or why there is none to go over to.

    Raises
    ------
    InputError
        If the rest cannot be planned: the policy does not fit the fleet as it is.
    """
    from slacktide.planner.revision import revise  # compiled code, that a campaign which goes as planned never needs

    progress, lost = progress_of(course.snapshot, course.plan, state, now_s)
    progress = without_hosts(course.snapshot, course.plan, progress, lost)
    fleet = present_fleet(course, state, progress, lost)
    policy = policy_now(course, state, wanted)
    held = behind_shut_gate(state) if wanted.evacuate is not None else {}
    child = revise(fleet, policy, course.plan, progress, held=held)
    if errors := [row for row in child.header.summary.audit.findings if row["severity"] == "error"]:
        return f"its audit finds {count(len(errors))} errors, first: {errors[0]['message']}"
    if missing := not_held(course, child, state):
        return f"it does not hold {missing[0]}, which is under way"
    if wanted.evacuate is not None and wanted.evacuate not in set(child.hosts["host_id"]):
        left = child.deferred.filter(pl.col("host_id") == wanted.evacuate)
        return f"{wanted.evacuate} cannot be evacuated: {left['detail'][0] if left.height else 'it is out of service'}"
    if strange := sorted(set(wanted.add_hosts) - set(child.hosts["host_id"])):
        left = child.deferred.filter(pl.col("host_id") == strange[0])
        return (
            f"{strange[0]} cannot be patched: {left['detail'][0] if left.height else 'the policy does not select it'}"
        )
    beyond = None if wanted.order else beyond_bounds(course, state, child, now_s)
    return beyond or (child, fleet)


def beyond_bounds(course: Course, state: CampaignState, child: Plan, now_s: float) -> str | None:
    """Return why a revision is not gone over to unless a person asks for it; null: it is within the bounds.

    It may not miss a deadline that the plan so far keeps, nor make many more moves than the first plan, nor leave more
    hosts alone than are given up without it.
    """
    deadline_s, ends_s = course.first.header.policy.deadline_s, child.header.summary.makespan_s
    if deadline_s is not None and max(course.plan.header.summary.makespan_s, state.end_s) <= deadline_s < ends_s:
        return f"it ends after {duration(ends_s)}, past the policy's deadline of {duration(deadline_s)}"
    over = int(((state.stage == Stage.DONE) & ~_held_by(course, child)).sum())
    moves, planned = over + child.migrations.height, course.first.migrations.height
    if moves > (1 + MOST_MORE_MOVES) * planned:
        return f"it would bring the campaign to {count(moves)} migrations; the first plan had {count(planned)}"
    hosts = course.program.hosts
    to_come = np.flatnonzero(hosts.due & (state.host_stage < HostStage.DRAINED)).tolist()
    left, given_up = {hosts.ids[host] for host in to_come} - set(child.hosts["host_id"]), given_up_without(state, now_s)
    if len(left) > given_up:
        return f"it would leave {count(len(left))} hosts alone; without it {count(given_up)} are given up"
    return None


def _held_by(course: Course, child: Plan) -> NDArray[np.bool_]:
    """Return which of the migrations that are carried out a revision holds."""
    return course.joined.migrations["migration_id"].is_in(child.migrations["migration_id"].implode()).to_numpy()


def given_up_without(state: CampaignState, now_s: float) -> int:
    """Return how many hosts are given up where nothing is planned anew: at once, and those that hold strays."""
    falling = Scheduler(state.program, state, Rules(on_drift="ignore")).decide(now_s)
    left = {event.host_id for event in falling if isinstance(event, HostFailed | HostBlocked)}
    return len(left | {state.program.hosts.ids[stray.host] for stray in strays(state)})


def policy_now(course: Course, state: CampaignState, wanted: Wanted | None = None) -> Policy:
    """Return the policy that the rest is planned by: the campaign's, with what people and hosts have changed of it.

    Limits are those that hold now.  Lost hosts count as out for as long as the campaign runs, so the fleet's limit is
    lower by as many.  Hosts that were skipped, that hold a lost VM, or one that was tried too often, are left alone.
    """
    policy, program = course.plan.header.policy, course.program
    add_hosts = () if wanted is None else wanted.add_hosts
    evacuated = [program.hosts.ids[host] for host in sorted(state.evacuated)]
    evacuate = tuple(dict.fromkeys([*evacuated, *([wanted.evacuate] if wanted and wanted.evacuate else [])]))
    max_out = dict(course.first.header.policy.max_out) | state.max_out
    lost = int((state.host_stage == HostStage.LOST).sum())
    if lost:
        everyone = len(program.hosts.ids)
        max_out["fleet"] = max(0, resolved(max_out.get("fleet", everyone), everyone) - lost)
    leave = _left_alone(state) - set(evacuate)
    selection = policy.selection
    exclude = (set(selection.exclude) | leave) - set(add_hosts)
    hosts = selection.hosts
    if isinstance(hosts, tuple):
        hosts = tuple(name for name in dict.fromkeys((*hosts, *add_hosts)) if name not in leave - set(add_hosts))
        exclude -= set(hosts)
    selection = selection.model_copy(update={"hosts": hosts, "exclude": tuple(sorted(exclude))})
    return policy.model_copy(update={"max_out": max_out, "selection": selection, "evacuate": evacuate})


def behind_shut_gate(state: CampaignState) -> dict[str, str]:
    """Return the hosts that wait for a gate which lost hosts keep closed, with that gate's reason; empty: none is.

    Neither is such a gate passed because a host is evacuated, nor do others take the place of those that are lost.
    """
    gates = Gates(state.program, state)
    shut = gates.shut()
    if shut is None:
        return {}
    hosts, reason = state.program.hosts, f"wave {shut[0]} never opens: {shut[1]}"
    goes_on = np.isin(state.host_stage, OUT_STAGES)
    for host in np.flatnonzero(hosts.due & (state.host_stage == HostStage.IN_SERVICE)).tolist():
        goes_on[host] = gates.is_open(int(hosts.wave[host]))
    return {hosts.ids[host]: reason for host in np.flatnonzero(~goes_on).tolist()}


def _left_alone(state: CampaignState) -> set[str]:
    """Return the hosts that no revision is to patch; those that are out stay in, until they have returned."""
    program, part = state.program, state.program.migrations
    left = set(state.skipped) | {int(state.vm_host[vm]) for vm in state.lost_vms}
    given_up = (state.stage == Stage.GIVEN_UP) & (state.attempts > 0)
    pairs: dict[tuple[int, int], int] = {}
    for number in np.flatnonzero(given_up).tolist():
        place = int(part.vm[number]), int(part.source[number])
        pairs[place] = pairs.get(place, 0) + int(state.attempts[number] - state.uncounted[number])
    left |= {host for (vm, host), tried in pairs.items() if tried >= MOST_TRIED and state.vm_host[vm] == host}
    return {program.hosts.ids[host] for host in left if state.host_stage[host] not in OUT_STAGES}
