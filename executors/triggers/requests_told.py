"""What a request that is seen in a file means for the triggers that there are: new, the same, changed, superseded."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.levels import compared
from slacktide.executors.triggers.request import MaintenanceRequest
from slacktide.executors.triggers.settings import Requests
from slacktide.executors.triggers.trigger import (
    NEWEST,
    Asked,
    Change,
    Course,
    State,
    Trigger,
    changed,
    withdrawn,
)

REMOVED = "its file is gone"


def seen(triggers: Known, request: MaintenanceRequest, source: str, terms: Requests, now: datetime) -> list[Change]:
    """Return what becomes of a request that stands in the file ``source``."""
    changes = [
        changed(each, "it can be read now", state=State.WITHDRAWN)
        for each in triggers.of_key("request", source)
        if each.state is State.REFUSED and each.source == source
    ]
    asked = _asked(request, terms)
    mine = [each for each in triggers.of_key("request", request.id) if _is_known(each)]
    if not mine:
        return [*changes, *_new(triggers, request, asked, source, now)]
    last = mine[-1]
    if last.state is State.WITHDRAWN:
        return [*changes, *_new(triggers, request, asked, source, now, "its file is back")]
    if last.asked.digest == asked.digest:
        return [*changes, *_again(last, source)]
    return [*changes, *_differs(triggers, last, request, asked, source, now)]


def _is_known(trigger: Trigger) -> bool:
    return trigger.state is not State.REFUSED


def _asked(request: MaintenanceRequest, terms: Requests) -> Asked:
    urgent = request.urgency == "urgent"
    return Asked(
        start=terms.start,
        urgent=urgent,
        calendar=None if urgent and not terms.urgent_waits else terms.calendar,
        due=request.due,
        reason=request.reason,
        by=request.by,
        deadline=request.deadline,
        digest=request.digest,
        work=request.work,
        request=request,
    )


def _again(last: Trigger, source: str) -> Iterator[Change]:
    """Yield what another file means that says the same."""
    if source not in (last.source, *last.course.sources):
        sources = (*last.course.sources, source)
        yield changed(last, f"{source} says the same", times=last.course.times + 1, sources=sources)


def _differs(
    triggers: Known,
    last: Trigger,
    request: MaintenanceRequest,
    asked: Asked,
    source: str,
    now: datetime,
) -> Iterator[Change]:
    """Yield what a request means that says something else than before under the same id."""
    if not last.can_be_withdrawn or last.course.ending not in (None, State.WAITS):
        began = f"its file says something else now; {last.words} had begun" if last.is_open else ""
        yield from _new(triggers, request, asked, source, now, began)
        return
    anew, fate = replace(last, asked=asked, source=source), _fate(triggers, request, asked, last.number)
    if fate is not None:
        yield withdrawn(anew, fate.state, fate.why, into=fate.into)
        return
    yield withdrawn(anew, State.WAITS, "its file says something else now", only=None, left=())
    yield from _supersedes(triggers, request, last.number)


def _new(
    triggers: Known,
    request: MaintenanceRequest,
    asked: Asked,
    source: str,
    now: datetime,
    note: str = "",
) -> Iterator[Change]:
    made = Trigger(0, "request", request.id, source, now, State.WAITS, asked, Course(last_at=now))
    fate = _fate(triggers, request, asked, made.number)
    if fate is not None:
        yield Change(replace(made, state=fate.state, into=fate.into, detail=fate.why), fate.why)
        return
    yield Change(made, note or f"came from {source}")
    yield from _supersedes(triggers, request, NEWEST)


class _Fate(NamedTuple):
    """Why a request begins nothing of its own."""

    state: State
    into: int
    why: str


def _fate(triggers: Known, request: MaintenanceRequest, asked: Asked, but: int) -> _Fate | None:
    """Return what another trigger than number ``but`` makes of a request; None: it has its own turn."""

    def others(found: Iterable[Trigger]) -> Iterator[Trigger]:
        return (each for each in found if each.number != but and each.course.ending in (None, State.WAITS))

    same = next(others(triggers.of_work(asked.work)), None)
    if same is not None:
        return _Fate(State.FOLDED, same.number, f"asks for the same as {same.words}")
    newer = next((each for each in others(_of_same_hosts(triggers, request)) if _level(each, request) > 0), None)
    if newer is not None:
        why = f"{newer.words} asks for a newer level of the same hosts"
        return _Fate(State.SUPERSEDED, newer.number, why)
    return None


def _supersedes(triggers: Known, request: MaintenanceRequest, number: int) -> Iterator[Change]:
    """Yield what becomes of requests for an older level of the same hosts that have not begun."""
    for each in _of_same_hosts(triggers, request):
        mine = each.number == number or each.key == request.id
        if not mine and each.can_be_withdrawn and each.course.ending is None and _level(each, request) < 0:
            why = f"request {request.id} asks for a newer level of the same hosts"
            yield withdrawn(each, State.SUPERSEDED, why, into=number)


def _of_same_hosts(triggers: Known, request: MaintenanceRequest) -> list[Trigger]:
    """Return open requests for the same hosts whose levels can be told apart from this one's by age."""
    return triggers.of_hosts(request.named) if request.order == "version" else []


def _level(trigger: Trigger, request: MaintenanceRequest) -> int:
    """Return whether a trigger's level is older (-1) or newer (1) than a request's."""
    assert trigger.asked.due is not None
    return compared(trigger.asked.due.patch_level, request.patch_level)


def gone(triggers: Known, present: Collection[str], looked_into: Collection[str]) -> list[Change]:
    """Return what becomes of requests whose file is gone.

    Parameters
    ----------
    present
        Ids that some file has, and names of files that cannot be read just now: they are not gone.
    looked_into
        Names of files and directories that were there to be looked into: what is away as a whole has removed nothing.
    """
    return [
        withdrawn(each, State.WITHDRAWN, REMOVED)
        for each in triggers
        if each.kind == "request"
        and each.can_be_withdrawn
        and each.course.ending in (None, State.WAITS)
        and each.key not in present
        and each.source not in present
        and any(each.source == place or each.source.startswith(f"{place}/") for place in looked_into)
    ]


def refused(triggers: Known, source: str, digest: str, why: str, now: datetime) -> list[Change]:
    """Return that a file cannot be understood; the same content is said once."""
    before = [each for each in triggers.of_key("request", source) if each.source == source]
    if before and before[-1].state is State.REFUSED:
        if before[-1].asked.digest == digest:
            return []
        asked = before[-1].asked.model_copy(update={"digest": digest})
        return [replace_detail(changed(replace(before[-1], asked=asked), why), why)]
    asked = Asked(start="approve", digest=digest)
    return [Change(Trigger(0, "request", source, source, now, State.REFUSED, asked, detail=why), why)]


def replace_detail(change: Change, detail: str) -> Change:
    """Return a change that also gives another reason for the state."""
    return replace(change, trigger=replace(change.trigger, detail=detail))
