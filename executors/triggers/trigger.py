"""A trigger: something that came and begins a campaign, with what has become of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from slacktide.executors.orders import Abort
from slacktide.executors.triggers.request import Due, MaintenanceRequest
from slacktide.executors.triggers.settings import Start

Kind = Literal["request", "window", "alert"]


class State(StrEnum):
    """What has become of a trigger."""

    WAITS = "waits"
    """For its turn, its window, or another try."""
    BEGINS = "begins"
    """Its fleet is read, its plan made, or its campaign started."""
    APPROVAL = "approval"
    """Its campaign is there and waits for a person."""
    RUNS = "runs"
    JOINED = "joined"
    """It was asked of the campaign of another trigger."""
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    """A newer one takes its place."""
    FOLDED = "folded"
    """It asks for what another one asks for already."""
    MISSED = "missed"
    REFUSED = "refused"
    """It cannot be understood, or names a host that the fleet does not have."""


OPEN: Final = frozenset({State.WAITS, State.BEGINS, State.APPROVAL, State.RUNS, State.JOINED})
"""Something is still to come of it."""
HOLDING: Final = frozenset({State.BEGINS, State.APPROVAL, State.RUNS})
"""It has the fleet to itself."""


class Asked(BaseModel):
    """What a trigger asks for, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start
    urgent: bool = False
    calendar: str | None = None
    due: Due | None = None
    """Null: the host of an alert."""
    host: str | None = None
    reason: str = ""
    by: str = ""
    deadline: AwareDatetime | None = None
    digest: str = ""
    """Of everything in a request's file."""
    work: str = ""
    """Of what is to be done."""
    request: MaintenanceRequest | None = None
    window: tuple[AwareDatetime, AwareDatetime] | None = None
    """Of a standing trigger: the window that began it."""


class Course(BaseModel):
    """How far it has come; each field is what a process that takes up the work has to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: int = 1
    """How often it came."""
    sources: tuple[str, ...] = ()
    """Further files that say the same."""
    last_at: AwareDatetime | None = None
    firing: dict[str, AwareDatetime] = {}
    """Alerts of its host that fire, by fingerprint, with the moment since when."""
    resolved: dict[str, AwareDatetime] = {}
    """Alerts that fire no more, with the moment since when they did."""
    attempt: int = 0
    """Directories that campaigns for it were begun in."""
    directory: str | None = None
    campaign_id: str | None = None
    launched: bool = False
    """The plan is made and fits, and the campaign is being started: from here on it ends by itself or by order."""
    order: int | None = None
    """Number of the order by which it was asked of another's campaign."""
    step: str = ""
    """What was begun last: that the fleet is read, the plan made, the campaign carried out."""
    tries: int = 0
    """How often that was begun."""
    narrowed: int = 0
    """How often its plan was made for fewer hosts, to fit into its window."""
    not_before: AwareDatetime | None = None
    only: tuple[str, ...] | None = None
    """Hosts that the campaign is kept to, since no more fit into the window; null: all that are due."""
    left: tuple[str, ...] = ()
    """Hosts that are left for the next window."""
    until: AwareDatetime | None = None
    """End of the window that it was begun in."""
    plan_s: int | None = None
    """Makespan of its plan, in seconds."""
    ending: State | None = None
    """What it becomes once its campaign has ended, which was asked to."""
    stayed_out_of: int | None = None
    """Trigger whose campaign has refused it, and is not asked again."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One row."""

    number: int
    """0: not yet in the store."""
    kind: Kind
    key: str
    """Of a request its id, of a window its name and begin, of an alert its first fingerprint."""
    source: str
    """File, calendar or address that it came from."""
    came_at: datetime
    state: State
    asked: Asked
    course: Course = field(default_factory=Course)
    into: int | None = None
    """Trigger that it is folded into, superseded by, or asked of the campaign of."""
    detail: str = ""
    """Why it is in this state, in words."""

    @property
    def is_open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in OPEN

    @property
    def can_be_withdrawn(self) -> bool:
        """Whether no host has been touched for it, and none is before a person says so."""
        if self.state is State.BEGINS:
            return not self.course.launched or self.asked.start == "approve"
        return self.state in (State.WAITS, State.APPROVAL)

    @property
    def rank(self) -> int:
        """Place among those that wait; lower ones go first."""
        if self.kind == "alert":
            return 0
        return 1 if self.asked.urgent else 2 if self.kind == "request" else 3

    @property
    def words(self) -> str:
        """Name it in a sentence."""
        if self.kind == "alert":
            return f"trigger {self.number} (alert of {self.asked.host})"
        return f"trigger {self.number} ({self.kind} {self.key})"


class Asking(NamedTuple):
    """Something to be asked of a campaign, in the transaction that changes the trigger."""

    campaign_id: str
    kind: str
    body: str
    """As JSON."""
    why: str = ""
    """For the campaign's audit log; empty: what is noted about the trigger."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a trigger: the whole row as it is to be, and what is noted about it."""

    trigger: Trigger
    note: str = ""
    """In words; empty: nothing that anybody need know."""
    asking: Asking | None = None


NEWEST: Final = 0
"""In place of the number of the trigger that the change before has added."""


def changed(
    trigger: Trigger, note: str = "", *, state: State | None = None, into: int | None = None, **course: object
) -> Change:
    """Return a trigger in another state, or further on its course; a note also is the reason for its state."""
    further = trigger.course.model_copy(update=course)
    moved = state is not None and state != trigger.state
    return Change(
        replace(
            trigger,
            state=state or trigger.state,
            course=further,
            into=trigger.into if into is None else into,
            detail=note if moved or not trigger.detail else trigger.detail,
        ),
        note,
    )


class Step(NamedTuple):
    """How far a trigger has come, by who works on it: applied to the row as it is by then."""

    number: int
    attempt: int
    note: str
    state: State | None
    course: Mapping[str, Any]


def step(trigger: Trigger, note: str = "", state: State | None = None, **course: object) -> Step:
    """Return a step of a trigger; fields of its course are given by name."""
    return Step(trigger.number, trigger.course.attempt, note, state, course)


def applied(triggers: Sequence[Trigger], taken: Step) -> list[Change]:
    """Return what a step changes; nothing where the trigger has been withdrawn or begun anew meanwhile."""
    there = next((each for each in triggers if each.number == taken.number), None)
    if there is None or there.course.attempt != taken.attempt or there.state not in (*HOLDING, State.JOINED):
        return []
    return [changed(there, taken.note, state=taken.state, **taken.course)]


def withdrawn(
    trigger: Trigger,
    to: State,
    why: str,
    *,
    into: int | None = None,
    **course: Any,  # noqa: ANN401  (fields of its course)
) -> Change:
    """Return what becomes of an open trigger that is not to go on: ``to``, unless its campaign has begun.

    A campaign that waits for approval is asked to end, now or as soon as it is there, and the trigger becomes ``to``
    once it has.  One that runs goes on.
    """
    if trigger.state is State.WAITS or (trigger.state is State.BEGINS and not trigger.course.launched):
        return changed(trigger, why, state=to, into=into, **course)
    if trigger.state is State.APPROVAL and trigger.course.campaign_id is not None:
        asking = Asking(trigger.course.campaign_id, Abort().kind, Abort().body())
        asked_to = changed(trigger, f"{why}; its campaign is asked to end", into=into, ending=to, **course)
        return replace(asked_to, trigger=replace(asked_to.trigger, detail=why), asking=asking)
    if trigger.can_be_withdrawn:
        ends = changed(trigger, f"{why}; its campaign ends once it is there", into=into, ending=to, **course)
        return replace(ends, trigger=replace(ends.trigger, detail=why))
    return changed(trigger, f"{why}; its campaign has begun and goes on", **course)
