"""The agents of a campaign as actors: made, and made again where they have ended.

All are owned by the process that makes them and end with it, so that a campaign that was interrupted leaves none
behind.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from slacktide.errors import ExecutionError
from slacktide.executors.actors import HostAgentActor, actor_class, host_resource, ray_errors
from slacktide.executors.agents import AgentPlace
from slacktide.executors.attendance import RESTARTS, Absence, Placement, placement
from slacktide.executors.drivers.making import DriverSettings, settings_away
from slacktide.executors.logs import log_settings
from slacktide.executors.ray_names import agent_name
from slacktide.ids import CampaignId

SHARE: Final = 0.001
"""Share of a host's, or a gateway's, resource that an agent takes: several campaigns may have one each on a host."""
GATEWAY: Final = "gateway"
"""Custom resource of the nodes on which agents of hosts without a node of their own run; where no node has it, they run
beside the command."""
AGENTS_NAMED: Final = 5
"""Agents that one line names."""
LOOK_S: Final = 0.5
"""How often the cluster is asked which nodes it has, while an agent is to be started."""
START_S: Final = 60.0
"""How long an agent may take to start before it is given up and placed anew: several seconds on a busy machine."""
MOST_FAILURES: Final = 2
"""Starts of an agent on its host's node that may fail in a row: one may have met a node that was about to go."""


@dataclass(slots=True)
class _Starting:
    handle: Any
    begun: Any
    """Ray's reference to the answer of its beginning."""
    since_s: float
    pinned: bool


class Crew:
    """The agents of a campaign; all have been started when this is made."""

    def __init__(self, campaign: CampaignId, places: Sequence[AgentPlace]) -> None:
        self._campaign = campaign
        self._places = tuple(places)
        self._unfit: set[int] = set()
        """Agents that their hosts' nodes cannot run."""
        self._said: list[str] = []
        self._failed: dict[int, int] = {}
        """How often in a row an agent could not be started."""
        there = cluster_resources()
        self._pinned = [self._has_node(number, there) for number in range(len(places))]
        self.handles = [self._make(number, there) for number in range(len(places))]
        self._arguments: tuple[tuple[object, ...], ...] = ()
        self._absent: dict[int, Absence] = {}
        self._starting: dict[int, _Starting] = {}
        self._looked_s = 0.0
        with ray_errors():
            ray.get([handle.ready.remote() for handle in self.handles])

    @property
    def names(self) -> list[str]:
        """The agents' names, without that of the campaign."""
        return [place.name for place in self._places]

    def begin(self, arguments: Sequence[tuple[object, ...]]) -> None:
        """Have all agents begin, each with its arguments, and those that come after them."""
        self._arguments = tuple(arguments)
        own = [self._own(number, pinned=pinned) for number, pinned in enumerate(self._pinned)]
        with ray_errors():
            ray.get([handle.begin.remote(*each) for handle, each in zip(self.handles, own, strict=True)])
        unasked = [place.name for place, given, each in zip(self._places, arguments, own, strict=True) if each != given]
        if unasked:
            self._said.append(unasked_words(unasked))

    def _own(self, number: int, *, pinned: bool) -> tuple[object, ...]:
        """Return what an agent begins with where it is."""
        settings, *others = self._arguments[number]
        return settings if pinned else settings_away(cast("DriverSettings", settings)), *others

    def want(self, absences: Mapping[int, Absence]) -> list[str]:
        """Have agents started again; return what an operator is to be told of it."""
        said, self._said = self._said, []
        for number, absence in absences.items():
            if number not in self._absent:
                expected = absence.patching and self._pinned[number]
                what = "its host is being patched: it is expected back" if expected else "another is started"
                said.append(f"agent {self._places[number].name}: {absence.reason}; {what}")
            self._absent[number] = absence
        return said

    def arrived(self) -> dict[int, Any]:
        """Start agents that are wanted, where there is a place for them; return those that have begun."""
        if not self._absent:
            return {}
        found = {}
        for number, starting in list(self._starting.items()):
            if self._has_begun(number, starting):
                found[number] = self.handles[number] = starting.handle
                self._pinned[number] = starting.pinned
                del self._absent[number], self._starting[number]
        if time.monotonic() >= self._looked_s + LOOK_S and self._absent:
            self._start(cluster_resources())
            self._looked_s = time.monotonic()
        return found

    def _has_begun(self, number: int, starting: _Starting) -> bool:
        """Return whether an agent has begun; one that has ended, or takes too long, is forgotten."""
        ready, _ = ray.wait([starting.begun], timeout=0)
        try:
            if ready:
                ray.get(starting.begun)
                self._failed.pop(number, None)
                return True
        except ray.exceptions.RayError as error:
            self._note_failure(number, str(error).strip().splitlines()[-1].strip())
        else:
            if time.monotonic() - starting.since_s > START_S:
                self._note_failure(number, f"it has not begun within {START_S:.0f} s")
        return False

    def _note_failure(self, number: int, reason: str) -> None:
        """Give a start up; a host may come back from its patch without what an agent needs, a gateway should have it.

        Raises
        ------
        ExecutionError
            If a gateway cannot run the agent.
        """
        pinned = self._starting[number].pinned
        self._give_up(number)
        failed = self._failed[number] = self._failed.get(number, 0) + 1
        if pinned and failed >= MOST_FAILURES:
            self._failed[number] = 0
            self._unfit.add(number)
            self._said.append(f"agent {self._places[number].name}: its node cannot run it, a gateway does ({reason})")
        elif not pinned and failed > RESTARTS:
            remedy = "Look at Slacktide's installation on the gateway; the same command goes on from the journal"
            raise ExecutionError(f"agent {self._places[number].name}", f"cannot be started: {reason}", remedy)

    def _start(self, there: Mapping[str, float]) -> None:
        for number, absence in self._absent.items():
            has_node = self._has_node(number, there)
            starting = self._starting.get(number)
            if starting is not None:
                if starting.pinned and not has_node:
                    self._give_up(number)
                continue
            had_node = self._pinned[number] and number not in self._unfit
            where = placement(has_node=has_node, had_node=had_node, patching=absence.patching)
            if where is Placement.NOWHERE:
                continue
            _kill(self.handles[number])
            with suppress(ValueError):  # the name of the one before is not free yet
                handle = self._make(number, there)
                own = self._own(number, pinned=has_node)
                if own != self._arguments[number]:
                    self._said.append(unasked_words([self._places[number].name]))
                begun = handle.begin.remote(*own)
                self._starting[number] = _Starting(handle, begun, time.monotonic(), has_node)

    def _has_node(self, number: int, there: Mapping[str, float]) -> bool:
        """Return whether an agent can be on its host's node."""
        host = self._places[number].host
        return host is not None and host_resource(host) in there and number not in self._unfit

    def _give_up(self, number: int) -> None:
        _kill(self._starting.pop(number).handle)

    def _make(self, number: int, there: Mapping[str, float]) -> Any:  # noqa: ANN401  (Ray makes its handles at run time)
        """Make an agent, pinned to its host's node where that is one of Ray's."""
        place = self._places[number]
        where: dict[str, object]
        folder = None
        if place.host is not None and self._has_node(number, there):
            where = {"resources": {host_resource(place.host): SHARE}}
        elif GATEWAY in there:
            where = {"resources": {GATEWAY: SHARE}}
        else:
            where, folder = {"scheduling_strategy": beside_the_command(soft=True)}, Path.cwd()
        about = {"campaign": str(self._campaign), "agent": place.name}
        return actor_class(HostAgentActor, agent_name(place, self._campaign), **where).remote(
            log_settings(), about, folder
        )

    def close(self) -> None:
        """End all agents."""
        for handle in (*self.handles, *(starting.handle for starting in self._starting.values())):
            _kill(handle)


def unasked_words(agents: Sequence[str]) -> str:
    """Return which agents answer no guests, and what to do about it."""
    named = ", ".join(agents[:AGENTS_NAMED])
    more = f" and {len(agents) - AGENTS_NAMED} more" if len(agents) > AGENTS_NAMED else ""
    return (
        f"guests are not told by agent {named}{more}: it is on a gateway, and they can ask nobody but their own host. "
        "Have their host's node in the cluster, with the resource host:<id> (docs/deploy.md)"
    )


def _kill(handle: Any) -> None:  # noqa: ANN401  (as above)
    with suppress(ray.exceptions.RayError, ValueError):
        ray.kill(handle)


def beside_the_command(*, soft: bool) -> NodeAffinitySchedulingStrategy:
    """Return how an actor comes to the node on which this process is; ``soft``: or to another, if it cannot."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=soft)


def cluster_resources() -> dict[str, float]:
    """Return what the cluster's nodes have."""
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    if not found:
        raise ExecutionError("Ray", "has no node", "Start one on this machine: ray start")
    return found
