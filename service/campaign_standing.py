"""How a campaign stands, and who carries it out: the same words wherever it is listed or shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from slacktide.executors.store.campaigns import FINISHED, RESTORED, StoredCampaign
from slacktide.executors.store.holder import fate_of, process_of
from slacktide.object_store import path_at

if TYPE_CHECKING:
    from slacktide.executors.campaign_state import CampaignState
    from slacktide.executors.store.address import Store

GOES_ON: Final = "the command that began it goes on with it"
ABORTED_BEFORE: Final = "aborted before it began"
STARTED_THERE: Final = "the server starts it again, unless it has given it up"
"""The same of a campaign that a server sees to."""
RELEASE: Final = "it came back from a backup: see `slacktide store release`"


class Known(NamedTuple):
    """What is known of a campaign of which is said how it stands."""

    finished: bool
    aborted: bool
    paused: bool
    waits_for_approval: bool
    """A wave waits for a person's approval and for nothing else."""
    waits_for_decision: bool = False
    """A person has to decide what is done about something that has happened; what does not depend on it goes on."""


class Holding(NamedTuple):
    """Who carries a campaign out."""

    word: str
    """``running``, ``held up``, ``starting`` or ``stopped``."""
    who: str
    beside: str
    """Until when the lease lasts; of a holder that cannot be seen to carry it out, what is known and what to do."""


def why_not_begun(state: str, tries: int, most_tries: int, said: str | None) -> str:
    """Return what keeps a campaign of a server from having begun.

    Parameters
    ----------
    state
        What the server wants of it.
    said
        What the last try said that came to nothing, or who took it back.
    """
    last = said or "nothing was said"
    if state == "proposed":
        return "it waits until somebody starts it"
    if state == "aborted":
        return last
    if state == "failed":
        return f"each of its tries ended, the last with: {last}"
    if tries < 2 or said is None:
        return f"its process is starting, try {max(1, tries)} of {most_tries}" + (f"; {said}" if said else "")
    return f"its process is starting, try {tries} of {most_tries}; the one before said: {said}"


def standing_of(known: Known, stored: StoredCampaign, starting: str | None = None) -> str:
    """Return in a word or two how a campaign stands: that nobody carries it out comes before what it waits for.

    Parameters
    ----------
    starting
        The process that is about to take it up, if one is known.
    """
    if known.finished:
        return "aborted" if known.aborted else "finished"
    if stored.state == RESTORED:
        return "waits for its release"
    word = holding(stored, starting).word
    if word != "running":
        return word
    if known.aborted:
        return "ending, aborted"
    if known.paused:
        return "paused"
    if known.waits_for_decision:
        return "waiting for a decision"
    return "waiting for approval" if known.waits_for_approval else word


def holding(stored: StoredCampaign, starting: str | None = None, goes_on: str = GOES_ON) -> Holding:
    """Return who carries a campaign out.

    A process of this machine that has ended does not, whatever its lease says; one that lives and whose lease has run
    out is held up by its store.

    Parameters
    ----------
    starting
        The process that is about to take it up, if one is known.
    goes_on
        What goes on with it where nobody carries it out, in words.
    """
    found = _holding(stored, goes_on)
    if starting is None or found.word != "stopped" or stored.state in (FINISHED, RESTORED):
        return found
    beside = "which has Ray start first, and then takes it up: that may take a minute"
    return Holding("starting", f"process {starting} of this machine", beside)


def _holding(stored: StoredCampaign, goes_on: str) -> Holding:
    if stored.state == RESTORED:
        return Holding("stopped", "nobody", RELEASE)
    if stored.state == FINISHED or stored.holder is None:
        return Holding("stopped", "nobody", "" if stored.state == FINISHED else goes_on)
    fate, process = fate_of(stored.holder), process_of(stored.holder)
    if fate == "ended":
        return Holding("stopped", "nobody", f"process {process} of this machine, which held it, has ended; {goes_on}")
    if stored.is_held:
        return Holding("running", stored.holder, f"lease until {stored.lease_until}")
    ran_out = f"its lease ran out at {stored.lease_until}"
    if fate == "lives":
        beside = (
            f"which lives; {ran_out}, so it cannot write its store, which may be full, locked or away. Mend that, and "
            "it goes on; begin no other beside it"
        )
        return Holding("held up", f"process {process} of this machine", beside)
    beside = f"whether {stored.holder} still lives cannot be seen from here, {ran_out}: look there; if not, {goes_on}"
    return Holding("stopped", "nobody who can be seen", beside)


def known_of(state: "CampaignState", now_s: float) -> Known:
    """Return what a campaign's state says at ``now_s``."""
    paused, aborted = state.paused is not None, state.aborted is not None
    return Known(state.finished, aborted, paused, _waits_for_approval(state, now_s), state.decision is not None)


def known_in(stored: StoredCampaign, store: "Store", directory: Path | None) -> Known:
    """Return the same from the store; the whole campaign is read only where one of its gates may wait for a person.

    Parameters
    ----------
    directory
        The campaign's; null: nothing is known of gates but the first, as where its fleet or its plan is away.
    """
    from slacktide.errors import SlacktideError
    from slacktide.executors.store.milestones import milestones
    from slacktide.planner.plan_files import gates_in
    from slacktide.service.campaign_view import view

    passed = milestones(store, stored.record.campaign_id)
    finished = stored.state == FINISHED
    known = Known(finished, passed.aborted, passed.paused, False, passed.waits_for_decision and not finished)
    path = stored.record.plan_path
    gates = () if path is None or known.finished or known.aborted or known.paused else gates_in(path_at(path))
    if "approval" not in gates:
        return known
    begun = known._replace(waits_for_approval=gates[0] == "approval" and not passed.opened)
    if begun.waits_for_approval or directory is None:
        return begun
    try:
        viewed = view(directory, store.url.render_as_string(hide_password=False))
    except SlacktideError:
        return begun
    return known_of(viewed.state, viewed.now_s)


def _waits_for_approval(state: "CampaignState", now_s: float) -> bool:
    from slacktide.executors.orders import asking_now

    wave = asking_now(state)
    return wave is not None and now_s >= wave.at_s
