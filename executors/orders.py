"""What may be asked of a running campaign, and what is done about it: granted as an event, or refused with a reason.

Pure.  Orders wait in the campaign's store until its coordinator has answered them in the journal, in their own order;
who asks need not reach the coordinator, and an order outlives both.
"""

import json
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.control_events import (
    CampaignAborted,
    CampaignContinued,
    CampaignPaused,
    DriftAccepted,
    HostSkipped,
    LimitsChanged,
    OrderRefused,
)
from slacktide.executors.events import Event, WaveApproved
from slacktide.executors.gates import Gates
from slacktide.executors.order_state import asked, pause_words
from slacktide.executors.store.orders import StoredOrder
from slacktide.executors.wanted import Wanted
from slacktide.ids import HostId
from slacktide.planner.limits import MOST, CountOrShare, resolved


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def body(self) -> str:
        """Return what the store keeps beside the kind, as JSON."""
        return json.dumps(self.model_dump(mode="json", exclude={"kind"}), sort_keys=True)


class Approve(_Order):
    """Let a wave begin whose gate asks for a person's approval."""

    kind: Literal["approve"] = "approve"
    wave: int | None = None
    """Null: the one that waits for it now; a second order then does not approve what comes hours later."""


class Pause(_Order):
    """Begin nothing new."""

    kind: Literal["pause"] = "pause"
    cancel: bool = False
    """Stop migrations that are under way, and begin them again later; else they end by themselves."""


class Resume(_Order):
    """Go on after a pause."""

    kind: Literal["resume"] = "resume"


class Abort(_Order):
    """Begin nothing new any more, and end."""

    kind: Literal["abort"] = "abort"
    cancel: bool = False
    """Stop migrations that are under way; else they end by themselves."""


class Skip(_Order):
    """Do not drain a host, or no further."""

    kind: Literal["skip"] = "skip"
    host_id: str


class Limits(_Order):
    """Let other limits hold."""

    kind: Literal["limits"] = "limits"
    max_out: dict[str, CountOrShare] = Field(min_length=1)
    """Hosts out at once, by kind of failure domain, as in the policy."""


class Revise(_Order):
    """Plan the rest anew, and go over to that."""

    kind: Literal["revise"] = "revise"
    add_hosts: tuple[str, ...] = ()
    """Hosts that are to be patched as well."""
    give_up: bool = False
    """Plan nothing anew: give up what depends on what has happened."""


class Evacuate(_Order):
    """Empty a host that is about to fail, before all others leave; it is not patched, and stays out."""

    kind: Literal["evacuate"] = "evacuate"
    host_id: str


Order = Annotated[Approve | Pause | Resume | Abort | Skip | Limits | Revise | Evacuate, Field(discriminator="kind")]
_ORDER: TypeAdapter[Order] = TypeAdapter(Order)


def name_of(order: Order) -> str:
    """Return the name of the command that asks for an order."""
    return "add" if isinstance(order, Revise) and order.add_hosts else order.kind


def answer(stored: StoredOrder, state: CampaignState, now_s: float, *, revisable: bool = False) -> Event | Wanted:
    """Return what is done about an order at ``now_s``: an event that grants it, or one that says why it is refused.

    An order to plan the rest anew is answered once that is done: until then it is what is wanted.

    Parameters
    ----------
    revisable
        Whether who carries the campaign out can plan anew.
    """
    by, why = stored.by, stored.why or ""
    try:
        order = _ORDER.validate_python({"kind": stored.kind, **json.loads(stored.body or "{}")})
    except (ValueError, TypeError, ValidationError):
        reason = f"`{stored.kind}` with {stored.body} is no order that this release knows"
        return OrderRefused(now_s, stored.number, by, why, stored.kind, reason)
    forbids = _forbids(order, state)
    if forbids is not None:
        return OrderRefused(now_s, stored.number, by, why, name_of(order), forbids)
    if isinstance(order, Evacuate) or (isinstance(order, Revise) and not order.give_up):
        if not revisable:
            reason = "it was begun without a place for revisions"
            return OrderRefused(now_s, stored.number, by, why, name_of(order), reason)
        if isinstance(order, Evacuate):
            return Wanted(why, by, stored.number, evacuate=order.host_id)
        return Wanted(why, by, stored.number, order.add_hosts)
    return _granted(order, stored.number, by, why, state, now_s)


def _granted(order: Order, number: int, by: str, why: str, state: CampaignState, now_s: float) -> Event:
    match order:
        case Approve():
            wave = order.wave
            if wave is None:
                asking = asking_now(state)
                assert asking is not None, "without one it is forbidden"
                wave = asking.wave
            return WaveApproved(now_s, wave, by, number, why)
        case Pause():
            return CampaignPaused(now_s, number, by, why, order.cancel)
        case Resume():
            return CampaignContinued(now_s, number, by, why)
        case Abort():
            return CampaignAborted(now_s, number, by, why, order.cancel)
        case Skip():
            return HostSkipped(now_s, HostId(order.host_id), number, by, why)
        case Limits():
            return LimitsChanged(now_s, number, by, why, json.dumps(order.max_out, sort_keys=True))
        case Revise():
            return DriftAccepted(now_s, number, by, why)
        case Evacuate():
            raise AssertionError("it is wanted, and granted with its plan")


def _forbids(order: Order, state: CampaignState) -> str | None:
    """Return why an order cannot be granted, None: it can."""
    if state.finished:
        return "the campaign has finished"
    if state.aborted is not None and not (isinstance(order, Abort) and order.cancel and not state.aborted.cancel):
        return f"the campaign is aborted, {asked(state.aborted.by, state.aborted.why)}"
    match order:
        case Approve():
            return _forbids_approval(order, state)
        case Pause() if state.paused is not None and not (order.cancel and not state.paused.cancel):
            return f"it is already {pause_words(state.paused)}"
        case Resume() if state.paused is None:
            return "it is not paused"
        case Skip():
            return _forbids_skip(order, state)
        case Revise() | Evacuate():
            return _forbids_plan(order, state)
        case Limits():
            return _forbids_limits(order, state)
    return None


def _forbids_limits(order: Limits, state: CampaignState) -> str | None:
    known = set(state.program.out.kinds)
    if strange := sorted(order.max_out.keys() - known):
        return f"its policy limits no hosts out by {', '.join(strange)}; it does by {', '.join(sorted(known))}"
    nobody = sorted(kind for kind, limit in order.max_out.items() if not resolved(limit, MOST))
    if not nobody:
        return None
    pause = "to let nobody out for a while, `slacktide campaign pause`"
    return f"{nobody[0]} {order.max_out[nobody[0]]} lets no host out, so no plan could go on; {pause}"


class AskingWave(NamedTuple):
    """A wave that waits for a person's approval."""

    wave: int
    at_s: float
    """From when on it waits for nothing else, as what bakes before it has."""


def asking_now(state: CampaignState) -> AskingWave | None:
    """Return the wave that waits for nothing but an approval, and for what bakes before it; None: none does."""
    gates = Gates(state.program, state)
    opening, wave = gates.next_opening(), gates.next_wave
    if opening is None or opening.at_s is None or state.wave_approved[wave] or not gates.needs_approval():
        return None
    return AskingWave(wave, opening.at_s)


def _asks_later(state: CampaignState) -> str:
    """Return, in words, which wave will ask for an approval."""
    later = Gates(state.program, state).asking(np.flatnonzero(state.wave_approved).tolist())
    if later is None:
        return "no wave asks for an approval"
    return f"no wave waits for an approval now; wave {later} will, approve it ahead with --wave {later}"


def _forbids_approval(order: Approve, state: CampaignState) -> str | None:
    gates, wave = state.program.waves.gate, order.wave
    if wave is None:
        return _asks_later(state) if asking_now(state) is None else None
    if not 0 <= wave < len(gates):
        return f"there is no wave {wave}; there are {len(gates)}, the first is 0"
    if gates[wave] != "approval":
        return f"wave {wave} asks for no approval, its gate is `{gates[wave]}`"
    if state.wave_approved[wave] or not np.isnan(state.wave_opened_s[wave]):
        return f"wave {wave} is approved already"
    return None


def _forbids_skip(order: Skip, state: CampaignState) -> str | None:
    number = state.host_numbers.get(order.host_id)
    if number is None:
        return f"the fleet has no host {order.host_id}"
    if not state.program.hosts.planned[number]:
        return f"{order.host_id} is not to be patched by this campaign"
    if number in state.skipped:
        return f"{order.host_id} is skipped already, {state.skipped[number]}"
    stage = HostStage(int(state.host_stage[number]))
    if stage not in (HostStage.IN_SERVICE, HostStage.DRAINING):
        return f"{order.host_id} is too far: {_WORDS[stage]}"
    return None


def _forbids_plan(order: Revise | Evacuate, state: CampaignState) -> str | None:
    return _forbids_hosts(order, state) if isinstance(order, Revise) else _forbids_evacuation(order, state)


def _forbids_hosts(order: Revise, state: CampaignState) -> str | None:
    for name in order.add_hosts:
        number = state.host_numbers.get(name)
        if number is None:
            return f"the fleet has no host {name}; give a new one a campaign of its own"
        if number in state.evacuated:
            return f"{name} is evacuated, {state.evacuated[number]}"
        stage = HostStage(int(state.host_stage[number]))
        if state.program.hosts.due[number] and stage not in (HostStage.FAILED, HostStage.BLOCKED):
            return f"{name} is to be patched already" if stage == HostStage.IN_SERVICE else f"{name}: {_OUT[stage]}"
        if stage in (HostStage.RETURNED, HostStage.LOST):
            return f"{name} is too far: {_WORDS[stage]}"
        if number in state.skipped:
            taken = "that is not taken back: a later plan patches it"
            return f"{name} is to be left alone, {state.skipped[number]}; {taken}"
    return None


def _forbids_evacuation(order: Evacuate, state: CampaignState) -> str | None:
    number, name = state.host_numbers.get(order.host_id), order.host_id
    if number is None:
        return f"the fleet has no host {name}"
    if state.program.policy.in_place:
        return f"this campaign moves no VM; evacuate {name} with a campaign of its own: `slacktide plan --evacuate`"
    if number in state.evacuated:
        done = state.host_stage[number] == HostStage.EVACUATED
        return f"{name} is {'evacuated' if done else 'being evacuated'} already, {state.evacuated[number]}"
    if state.host_stage[number] == HostStage.LOST:
        return f"{name} is too far: {_WORDS[HostStage.LOST]}, and nothing runs on it"
    return None


_WORDS = {
    HostStage.DRAINED: "it is drained",
    HostStage.PATCH_INTENDED: "it is being patched",
    HostStage.PATCHING: "it is being patched",
    HostStage.RETURNED: "it has returned",
    HostStage.FAILED: "it has been left alone already",
    HostStage.BLOCKED: "it has been left alone already",
    HostStage.LOST: "it did not come back from its patch",
    HostStage.EVACUATED: "it is evacuated",
}
_OUT = _WORDS | {HostStage.DRAINING: "it is being drained"}
