"""From actions to what drivers are asked: which agent, which request."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from slacktide.executors import events
from slacktide.executors.drivers.protocol import (
    CancelRequest,
    HostVms,
    LookRequest,
    MigrationRequest,
    NotifyRequest,
    PatchRequest,
    Telling,
)
from slacktide.executors.events import Event
from slacktide.executors.program import Program
from slacktide.ids import HostId, MigrationId, VmId

NOTHING: Final = -1
"""Acknowledges no report: a coordinator that has just begun wants everything that is kept."""


class Turn(NamedTuple):
    """What one agent is to do, and up to when it is to report."""

    generation: int
    """Of the coordinator; an agent refuses one older than it has seen."""
    acknowledged: int
    """Number of the agent's newest report that is safe in the journal."""
    until_s: float
    """What happens until then is reported; on a virtual clock this may lie ahead."""
    notify: tuple[NotifyRequest, ...] = ()
    migrate: tuple[MigrationRequest, ...] = ()
    cancel: tuple[CancelRequest, ...] = ()
    patch: tuple[PatchRequest, ...] = ()
    look: tuple[LookRequest, ...] = ()


class Report(NamedTuple):
    """What happened at one agent's hosts."""

    number: int
    events: list[Event]
    """What is new, in order of time; to a coordinator that has just begun, all that was not acknowledged."""
    next_s: float | None
    """When something will next end there; null: not known."""
    seen: tuple[HostVms, ...] = ()
    """What was seen on hosts, likewise."""


@dataclass(slots=True)
class Requests:
    """Requests to one agent."""

    notify: list[NotifyRequest] = field(default_factory=list)
    migrate: list[MigrationRequest] = field(default_factory=list)
    cancel: list[CancelRequest] = field(default_factory=list)
    patch: list[PatchRequest] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.notify) + len(self.migrate) + len(self.cancel) + len(self.patch)

    def add_untold(self, others: "Requests") -> None:
        """Add notices and stops that are not among these."""
        told = {request.migration_id for request in self.notify}
        self.notify += [request for request in others.notify if request.migration_id not in told]
        stopped = {request.migration_id for request in self.cancel}
        self.cancel += [request for request in others.cancel if request.migration_id not in stopped]

    def turn(self, generation: int, acknowledged: int, until_s: float, look: tuple[LookRequest, ...] = ()) -> Turn:
        """Return these requests, and hosts to be looked at, as an agent's turn."""
        asked = tuple(self.notify), tuple(self.migrate), tuple(self.cancel), tuple(self.patch)
        return Turn(generation, acknowledged, until_s, *asked, look)


class Dispatch:
    """Turns actions into requests, each to the agent that stands for the host concerned."""

    def __init__(self, program: Program, agents: int) -> None:
        self._agents = agents
        self.program = program
        part = program.migrations
        self._numbers = {name: number for number, name in enumerate(part.ids)}
        self._host_numbers = {name: number for number, name in enumerate(program.hosts.ids)}
        self._vm: list[int] = part.vm.tolist()
        self._source: list[int] = part.source.tolist()
        self._tried: list[int] = part.tried.tolist()
        self._target: list[int] = part.target.tolist()
        self._start_s: list[int] = part.start_s.tolist()
        self._duration_s: list[int] = (part.end_s - part.start_s).tolist()
        self._notice_s: list[int] = (part.start_s - part.notified_s).tolist()
        self._bandwidth: list[int] = part.bandwidth_mbit_s.tolist()
        self._blackout_limit_ms: list[int] = program.vms.blackout_limit_ms.tolist()
        self._brownout_s: list[float] = part.predicted_brownout_s.tolist()
        self._blackout_ms: list[float] = part.predicted_blackout_ms.tolist()
        self._transfer_mib: list[float] = part.predicted_transfer_mib.tolist()

    def requests(self, actions: Iterable[Event], asked: dict[int, Requests]) -> Requests:
        """Add what each agent is asked to ``asked``, and return it for all; actions that need no driver ask nothing."""
        new = Requests()
        for action in actions:
            kind = type(action)
            if kind is events.MigrationIntended:
                number = self._numbers[action.migration_id]  # type: ignore[attr-defined]
                request = self.migration(number, action.attempt, action.at_s)  # type: ignore[attr-defined]
                new.migrate.append(request)
                asked.setdefault(self.agent_of(self._source[number]), Requests()).migrate.append(request)
            elif kind is events.MigrationNotified:
                number = self._numbers[action.migration_id]  # type: ignore[attr-defined]
                new.notify.append(notice := self.notice(number, action.at_s))
                asked.setdefault(self.agent_of(self._source[number]), Requests()).notify.append(notice)
            elif kind is events.MigrationGivenUp:
                number = self._numbers[action.migration_id]  # type: ignore[attr-defined]
                if self._notice_s[number]:
                    new.notify.append(notice := self.notice(number, action.at_s, "withdrawn"))
                    asked.setdefault(self.agent_of(self._source[number]), Requests()).notify.append(notice)
            elif kind is events.PatchIntended:
                host = self._host_numbers[action.host_id]  # type: ignore[attr-defined]
                new.patch.append(patch := self.patch(host, action.at_s))
                asked.setdefault(self.agent_of(host), Requests()).patch.append(patch)
            elif isinstance(action, events.MigrationCancelled):
                number = self._numbers[action.migration_id]
                new.cancel.append(
                    stop := CancelRequest(action.migration_id, action.attempt, action.reason, action.at_s)
                )
                asked.setdefault(self.agent_of(self._source[number]), Requests()).cancel.append(stop)
        return new

    def agent_of(self, host: int) -> int:
        """Return the number of the agent that stands for a host."""
        return host % self._agents

    def agent_of_migration(self, number: int) -> int:
        """Return the number of the agent that stands for a migration's source."""
        return self.agent_of(self._source[number])

    def migration(self, number: int, attempt: int, at_s: float) -> MigrationRequest:
        """Return the request for one attempt at a migration."""
        program = self.program
        return MigrationRequest(
            migration_id=MigrationId(program.migrations.ids[number]),
            attempt=attempt,
            vm_id=VmId(program.vms.ids[self._vm[number]]),
            source=HostId(program.hosts.ids[self._source[number]]),
            target=HostId(program.hosts.ids[self._target[number]]),
            strategy=program.migrations.strategy[number],
            bandwidth_mbit_s=self._bandwidth[number],
            blackout_limit_ms=self._blackout_limit_ms[self._vm[number]],
            predicted_brownout_s=self._brownout_s[number],
            predicted_blackout_ms=self._blackout_ms[number],
            predicted_transfer_mib=self._transfer_mib[number],
            at_s=at_s,
            tried=self._tried[number],
        )

    def notice(self, number: int, at_s: float, telling: Telling = "new") -> NotifyRequest:
        """Return the request to tell a migration's guest, or to take back what it was told."""
        program = self.program
        start_s = max(self._start_s[number], at_s + self._notice_s[number])
        return NotifyRequest(
            MigrationId(program.migrations.ids[number]),
            VmId(program.vms.ids[self._vm[number]]),
            HostId(program.hosts.ids[self._source[number]]),
            at_s,
            start_s,
            start_s + self._duration_s[number],
            self._notice_s[number],
            program.migrations.strategy[number],
            telling,
        )

    def patch(self, host: int, at_s: float) -> PatchRequest:
        """Return the request to patch a host."""
        program = self.program
        maintenance_s = int(program.hosts.maintenance_s[host])
        policy, name = program.policy, HostId(program.hosts.ids[host])
        return PatchRequest(name, policy.patch_level, maintenance_s, at_s, policy.in_place)
