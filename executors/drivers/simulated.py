"""A driver that moves nothing: hosts, guests and patches played from the plan's predictions and seeded noise.

It is part of the product: a dry run takes the same path as a real one.  What it plays is a function of the settings and
the requests alone, so that a campaign that is resumed goes on as if it had never stopped.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final

from slacktide.executors import events
from slacktide.executors.commands import Requests
from slacktide.executors.drivers.protocol import (
    Adoption,
    CancelRequest,
    Condition,
    HostCondition,
    HostVms,
    LookRequest,
    MigrationRequest,
    NotifyRequest,
    PatchRequest,
    VmLocation,
)
from slacktide.executors.drivers.settings import Answering, SimulationSettings
from slacktide.executors.drivers.timeline import (
    FIRST_STAGE,
    Timeline,
    answer_s,
    quiet_until_s,
    return_s,
    timeline,
    unanswered_until_s,
)
from slacktide.executors.events import Event, Stage
from slacktide.ids import HostId, MigrationId, VmId
from slacktide.planner.policy import MigrationRules

_STAGE_EVENTS: Final[tuple[type[events.AttemptEvent], ...]] = (
    events.TargetReserved,
    events.TargetPrepared,
    events.TargetConnected,
    events.BrownoutStarted,
    events.BlackoutStarted,
    events.ForwardingStarted,
    events.SourceDeleted,
    events.MigrationDone,
)
"""Events of a timeline's stages, in order."""
_FORWARDING: Final = int(events.POINT_OF_NO_RETURN) - FIRST_STAGE
_DONE: Final = len(_STAGE_EVENTS) - 1


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long nothing comes of requests to simulated hosts, for coordinators on a virtual clock."""

    rules: MigrationRules
    answering: Answering | None = None

    def __call__(self, requests: Requests) -> float:
        """Return the moment before which none of the requests has an outcome."""
        if requests.cancel:
            return -inf
        begun: list[MigrationRequest | PatchRequest] = [*requests.migrate, *requests.patch]
        ends = [quiet_until_s(request, self.rules) for request in begun]
        return min(ends + [unanswered_until_s(request, self.answering) for request in requests.notify], default=inf)


@dataclass(slots=True)
class _Attempt:
    request: MigrationRequest
    played: Timeline
    place: int
    """Stages of the timeline that were reported."""


class SimulatedDriver:
    """Plays the hosts of one agent."""

    def __init__(self, settings: SimulationSettings, rules: MigrationRules, deeds: Sequence[HostVms] = ()) -> None:
        """``deeds``: what others do on these hosts, by time."""
        self._settings = settings
        self._rules = rules
        self._deeds = deque(deeds)
        self._attempts: dict[MigrationId, _Attempt] = {}
        """Under way."""
        self._known: dict[MigrationId, int] = {}
        """Newest attempt asked for."""
        self._agenda: list[tuple[float, MigrationId, int]] = []
        """Next moment of each attempt, with its number."""
        self._ends: list[tuple[float, str, int]] = []
        """When attempts and patches end; 0 stands for a patch."""
        self._answers: list[tuple[float, MigrationId]] = []
        """When guests say that they are ready."""
        self._waiting: set[MigrationId] = set()
        """Migrations whose guests will."""
        self._guests: dict[VmId, HostId] = {}
        """Where guests run that were ever asked to move."""
        self._patching: dict[HostId, float] = {}
        self._returned: set[HostId] = set()
        self._news: list[Event] = []

    def notify(self, requests: Sequence[NotifyRequest]) -> None:
        """Tell guests; some may answer."""
        for request in requests:
            if request.telling == "new":
                self._news.append(events.MigrationWaiting(request.at_s, request.migration_id))
            elif request.telling == "withdrawn":
                self._waiting.discard(request.migration_id)
            at_s = answer_s(request, self._settings)
            if at_s < inf and request.migration_id not in self._waiting:
                self._waiting.add(request.migration_id)
                heappush(self._answers, (at_s, request.migration_id))

    def migrate(self, requests: Sequence[MigrationRequest]) -> None:
        """Begin migrations."""
        for request in requests:
            self._begin(request, 0)

    def _begin(self, request: MigrationRequest, place: int) -> None:
        if self._known.get(request.migration_id, 0) >= request.attempt:
            return
        self._known[request.migration_id] = request.attempt
        self._waiting.discard(request.migration_id)
        self._guests[request.vm_id] = request.source
        played = timeline(request, self._settings, self._rules)
        attempt = self._attempts[request.migration_id] = _Attempt(request, played, place)
        self._line_up(attempt)
        heappush(self._ends, (played.end_s, request.migration_id, request.attempt))

    def _line_up(self, attempt: _Attempt) -> None:
        """Put the attempt's next moment on the agenda."""
        times, place = attempt.played.times, attempt.place
        moment = times[place] if place < len(times) else attempt.played.fails_s
        heappush(self._agenda, (moment, attempt.request.migration_id, attempt.request.attempt))

    def cancel(self, requests: Sequence[CancelRequest]) -> None:
        """Stop attempts; one that has passed the point of no return goes on."""
        for request in requests:
            attempt = self._attempts.get(request.migration_id)
            if attempt is None or attempt.request.attempt != request.attempt:
                continue
            times = attempt.played.times
            if len(times) > _FORWARDING and times[_FORWARDING] <= request.at_s:
                continue
            reached = sum(time_s <= request.at_s for time_s in times)
            self._guests[attempt.request.vm_id] = attempt.request.source
            del self._attempts[request.migration_id]
            self._news += [self._stage(attempt, place) for place in range(attempt.place, reached)]
            stage, error = Stage(Stage.INTENDED + reached).name.lower(), f"stopped: {request.reason}"
            failed = events.MigrationFailed(
                request.at_s, request.migration_id, request.attempt, stage, error, retryable=False
            )
            self._news.append(failed)

    def patch(self, requests: Sequence[PatchRequest]) -> None:
        """Begin to patch hosts."""
        for request in requests:
            if self._begin_patch(request):
                self._news.append(events.PatchStarted(request.at_s, request.host_id))

    def _begin_patch(self, request: PatchRequest) -> bool:
        if request.host_id in self._patching or request.host_id in self._returned:
            return False
        self._patching[request.host_id] = return_s(request, self._settings)
        heappush(self._ends, (self._patching[request.host_id], request.host_id, 0))
        return True

    def look(self, requests: Sequence[LookRequest]) -> None:
        """Do nothing: what others do here is told anyway."""

    def seen(self, now_s: float) -> list[HostVms]:
        """Return what others did up to ``now_s``."""
        found: list[HostVms] = []
        while self._deeds and self._deeds[0].at_s <= now_s:
            found.append(self._deeds.popleft())
        return found

    def poll(self, now_s: float) -> list[Event]:
        """Return what happened up to ``now_s``, in order of time."""
        found, self._news = self._news, []
        agenda = self._agenda
        while agenda and agenda[0][0] <= now_s:
            _, migration_id, number = heappop(agenda)
            attempt = self._attempts.get(migration_id)
            if attempt is not None and attempt.request.attempt == number:
                self._report(attempt, now_s, found)
        while self._ends and self._ends[0][0] <= now_s:
            end_s, subject, number = heappop(self._ends)
            if not number:
                host = HostId(subject)
                del self._patching[host]
                self._returned.add(host)
                found.append(events.HostReturned(end_s, host))
        while self._answers and self._answers[0][0] <= now_s:
            at_s, migration_id = heappop(self._answers)
            if migration_id in self._waiting:
                self._waiting.discard(migration_id)
                found.append(events.GuestAcknowledged(at_s, migration_id))
        found.sort(key=lambda event: event.at_s)
        return found

    def _report(self, attempt: _Attempt, now_s: float, found: list[Event]) -> None:
        """Add what an attempt has come to since it was last reported."""
        played, request = attempt.played, attempt.request
        while attempt.place < len(played.times) and played.times[attempt.place] <= now_s:
            found.append(self._stage(attempt, attempt.place))
            attempt.place += 1
        if attempt.place == len(_STAGE_EVENTS):
            del self._attempts[request.migration_id]
        elif attempt.place == len(played.times) and played.fails_s <= now_s:
            stage = Stage(played.failed_stage).name.lower()
            error = f"simulated failure in stage {stage}"
            found.append(
                events.MigrationFailed(
                    played.fails_s, request.migration_id, request.attempt, stage, error, played.retryable
                )
            )
            del self._attempts[request.migration_id]
        else:
            self._line_up(attempt)

    def _stage(self, attempt: _Attempt, place: int) -> Event:
        """Return the event of a stage that was reached."""
        played, request = attempt.played, attempt.request
        at_s, migration_id, number = played.times[place], request.migration_id, request.attempt
        if place == _FORWARDING:
            self._guests[request.vm_id] = request.target
            return events.ForwardingStarted(at_s, migration_id, number, played.blackout_ms)
        if place == _DONE:
            sent_mib, probe_ms = request.predicted_transfer_mib, played.probe_blackout_ms
            resolution_ms = self._settings.probe_interval_ms
            return events.MigrationDone(at_s, migration_id, number, sent_mib, probe_ms, resolution_ms)
        return _STAGE_EVENTS[place](at_s, migration_id, number)

    def next_s(self) -> float | None:
        """Return when a migration, a patch or a guest's wait will next end, or others do something; null: never."""
        while self._answers and self._answers[0][1] not in self._waiting:
            heappop(self._answers)
        moments = [self._next_end_s(), self._answers[0][0] if self._answers else None]
        if self._deeds:
            moments.append(self._deeds[0].at_s)
        return min((moment for moment in moments if moment is not None), default=None)

    def _next_end_s(self) -> float | None:
        while self._ends:
            end_s, subject, number = self._ends[0]
            attempt = self._attempts.get(MigrationId(subject)) if number else None
            if end_s == inf:
                return None
            if not number or (attempt is not None and attempt.request.attempt == number):
                return end_s
            heappop(self._ends)
        return None

    def adopt(self, adoption: Adoption) -> None:
        """Play on what an earlier agent began; stages that it reported are not reported again."""
        for request, stage in adoption.migrations:
            self._begin(request, max(0, stage - FIRST_STAGE + 1))
            if stage >= events.POINT_OF_NO_RETURN:
                self._guests[request.vm_id] = request.target
        for patch in adoption.patches:
            self._begin_patch(patch)

    def locate(self, requests: Sequence[MigrationRequest]) -> list[VmLocation]:
        """Return where the VMs of these migrations are."""
        return [
            VmLocation(
                request.vm_id,
                self._guests.get(request.vm_id, request.source),
                request.migration_id if request.migration_id in self._attempts else None,
            )
            for request in requests
        ]

    def inspect(self, requests: Sequence[PatchRequest]) -> list[HostCondition]:
        """Return how far these hosts' patches are."""
        return [HostCondition(request.host_id, self._condition(request.host_id)) for request in requests]

    def _condition(self, host: HostId) -> Condition:
        if host in self._returned:
            return "returned"
        return "running" if host in self._patching else "not-started"

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
