"""``slacktide campaign`` on a server: listed, looked at, watched, started, and told what to do."""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slacktide.service.afar.objects import campaign_there
from slacktide.service.afar.running import watched, why_it_has_not_begun
from slacktide.service.client.api import Api
from slacktide.service.commands.options import Afar
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.failures import OK
from slacktide.service.store.runs import STARTED_BY_HAND

if TYPE_CHECKING:
    from slacktide.executors.health.watching import Verdict
    from slacktide.executors.orders import Order
    from slacktide.service.campaign_view import Asked
    from slacktide.service.control_text import Listed

LOOK_S: Final = 1.0
"""How often an answer is looked for that takes longer than a call may."""


def listed_there(afar: Afar) -> "list[Listed]":
    """Return the campaigns of a server, the oldest first; those that nobody has begun are among them."""
    with afar.api() as api:
        found = list(api.items("/v1/campaigns", standing="true"))
    return [_listed(each) for each in sorted(found, key=lambda each: str(each["created_at"]))]


def _listed(each: dict[str, Any]) -> "Listed":
    from slacktide.service.control_text import Listed

    held, begun = each["carried_out"], each["origin"] is not None
    return Listed(
        directory=None,
        campaign_id=each["campaign_id"],
        plan_id=each["plan_id"],
        origin=datetime.fromisoformat(each["origin"]).isoformat() if begun else None,
        standing=each["standing"],
        holder=None if not begun or held["word"] == "stopped" else each["holder"] or held["who"],
        state="finished" if each["finished"] else None,
        waits_for_approval=each["waits_for_approval"],
        who=None if not begun or each["finished"] else held["who"],
        why=None if begun else why_it_has_not_begun(each),
    )


def show_there(afar: Afar, path: Path, *, as_json: bool) -> int:
    """Print where a campaign stands."""
    with afar.api() as api, progress("Reading the campaign"):
        place = f"/v1/campaigns/{campaign_there(path)}"
        found = api.get(place)
        if found["origin"] is None:
            return _show_not_begun(found, as_json=as_json)
        looked = api.get(f"{place}/look")
        waits = list(api.items(f"{place}/waiting")) if as_json else []
    if as_json:
        document({**looked["document"], "waiting": waits})
        return OK
    words = looked["words"]
    show(figures([tuple(row) for row in words["rows"]]))
    for text in (words["left"], words["orders"], words["waiting"]):
        if text is not None:
            show(text)
    return OK


def _show_not_begun(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        document(found)
        return OK
    rows = [
        ("campaign", found["campaign_id"], f"plan {found['plan_id']}"),
        ("stands", found["standing"], why_it_has_not_begun(found)),
    ]
    if found["state"] in STARTED_BY_HAND:
        rows.append(("starts with", f"`slacktide campaign start {found['campaign_id']}`", ""))
    show(figures(rows))
    return OK


def watch_there(afar: Afar, path: Path) -> int:
    """Watch a campaign until it ends."""
    from slacktide.service.campaign_text import progress_words

    is_first = True
    with afar.api() as api:
        for now, line in watched(api, campaign_there(path), "Watching", news=True):
            if is_first:
                tell(progress_words(now)[1])
                is_first = False
            if line is not None:
                tell(line)
    return OK


def start_there(afar: Afar, path: Path, *, take_over: bool, as_json: bool) -> int:
    """Start a campaign that waits for that, or take it from a coordinator that still holds it."""
    campaign = campaign_there(path)
    with afar.api() as api:
        started = api.post(f"/v1/campaigns/{campaign}/{'take-over' if take_over else 'start'}")
    if as_json:
        document(started)
    else:
        show(f"campaign {campaign} is {'taken over' if take_over else 'started'}")
    return OK


def asked_there(afar: Afar, path: Path, order: "Order", why: str) -> "Asked":
    """Ask something of a campaign, and return what came of it within the time that an order is waited for here."""
    from slacktide.executors.event_codec import from_json
    from slacktide.service.campaign_view import ANSWER_S, PLANNED_S, Asked

    place = f"/v1/campaigns/{campaign_there(path)}/orders"
    with afar.api() as api:
        found = api.post(place, {"order": order.model_dump(mode="json"), "why": why})
        if found["order"] is None:
            return Asked(None, None, None)
        answer = found["answer"]
        patience_s = (PLANNED_S if order.kind in ("revise", "evacuate") else ANSWER_S) - ANSWER_S
        if answer is None and found["carried_out_by"] is not None:
            answer = _answer(api, place, found["order"], patience_s)
    if answer is not None:
        return Asked(found["order"], from_json(answer), None)
    return Asked(found["order"], None, found["carried_out_by"], found["trouble"], by_server=True)


def signals_there(afar: Afar, profile: str) -> "list[Verdict]":
    """Return how the signals of real hosts are, as a server looks at them."""
    from slacktide.executors.health.watching import Verdict

    with afar.api() as api, progress("Looking at signals"):
        return [Verdict(**each) for each in api.post(f"/v1/profiles/{profile}/signals")]


def _answer(api: Api, place: str, number: int, patience_s: float) -> dict[str, Any] | None:
    """Return what an order is answered in the journal; None: nothing in this time."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        for event in api.get(place)["answered"]:
            if event.get("order") == number:
                answered: dict[str, Any] = event
                return answered
    return None
