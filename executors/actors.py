"""Coordinator and agents as Ray actors; this module and :mod:`ray_cells` alone know Ray.

Everything that decides or acts is in :mod:`slacktide.executors.coordinator` and :mod:`slacktide.executors.agent`; the
actors only carry calls.  One simulated agent stands for many hosts, since an idle process costs about 90 MiB; of real
hosts each has its own, on its own node where Ray has that.  Names as an operator reads them in Ray's state:
``campaign-<id>``, and ``agent-<number>-of-<count>-<id>`` or ``agent-<host>-<id>``.
"""

import gc
import logging
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import ray

from slacktide.errors import ExecutionError, SlacktideError
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import AgentPlace
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.commands import Report, Turn
from slacktide.executors.coordinator import Coordinator, Progress
from slacktide.executors.drivers.making import (
    DriverSettings,
    clock_for,
    make_driver,
    quiet_for,
    settings_of_agent,
)
from slacktide.executors.drivers.protocol import (
    Adoption,
    HostCondition,
    MigrationRequest,
    PatchRequest,
    VmLocation,
)
from slacktide.executors.journal import CampaignRecord, Journal, JournalPlace
from slacktide.executors.program import Program
from slacktide.executors.rules import Rules
from slacktide.ids import CampaignId, HostId
from slacktide.planner.policy import MigrationRules

NAMESPACE: Final = "slacktide"
OBJECT_STORE_BYTES: Final = 256 * 2**20
"""Ray's shared memory on one machine: a program of 150,000 migrations takes about 60 MiB, reports less."""
PICKLE_PROTOCOL: Final = 5
"""Calls between coordinator and agents are pickled here, as bytes: Ray's own pickler asks about every object in Python
and takes 1.5 ms for a turn of twenty requests, this one 0.05 ms."""
GARBAGE_THRESHOLD: Final = 20_000
"""New objects between two looks for garbage in the coordinator's process, which has no cycles to speak of: with
Python's 700 it spends a quarter of its time looking at the same 150,000 migrations."""
PINNED: Final = 0.001
"""Share of a host's resource that an agent takes: several campaigns may have one each on a host."""
START_TIMEOUT_S: Final = 120
"""How long actors may take to start: several seconds each on a busy machine."""


@dataclass(frozen=True, slots=True)
class CampaignTerms:
    """By what coordinator and agents of a campaign go."""

    driver: DriverSettings
    rules: Rules


class HostAgentActor:
    """A host agent in a process of its own."""

    def ready(self) -> None:
        """Return once the process is there."""

    def begin(self, settings: DriverSettings, rules: MigrationRules, origin: datetime) -> None:
        """Have a driver; nothing can be asked before."""
        self._agent = HostAgent(make_driver(settings, rules, origin))

    def ask(self, method: str, argument: bytes) -> bytes:
        """Have the agent do ``method``; argument and answer are pickled."""
        return pickle.dumps(getattr(self._agent, method)(pickle.loads(argument)), PICKLE_PROTOCOL)


class RayAgents:
    """Agents behind Ray."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = tuple(handles)

    @property
    def count(self) -> int:
        """How many agents there are."""
        return len(self._handles)

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        """Have several agents take a turn at once, and return their reports."""
        return self._ask("turn", turns)

    def adopt(self, adoptions: Mapping[int, Adoption]) -> None:
        """Have agents take charge of what others began."""
        self._ask("adopt", adoptions)

    def locate(self, requests: Mapping[int, Sequence[MigrationRequest]]) -> dict[int, list[VmLocation]]:
        """Ask agents where VMs are."""
        return self._ask("locate", requests)

    def inspect(self, requests: Mapping[int, Sequence[PatchRequest]]) -> dict[int, list[HostCondition]]:
        """Ask agents how far patches are."""
        return self._ask("inspect", requests)

    def _ask(self, method: str, arguments: Mapping[int, Any]) -> dict[int, Any]:
        answers = [
            self._handles[number].ask.remote(method, pickle.dumps(asked, PICKLE_PROTOCOL))
            for number, asked in arguments.items()
        ]
        with ray_errors():
            found = [pickle.loads(answer) for answer in ray.get(answers)]
        return dict(zip(arguments, found, strict=True))


class CampaignCoordinator:
    """A campaign's coordinator in a process of its own."""

    def ready(self) -> None:
        """Return once the process is there."""

    def begin(self, program: Program, journal: JournalPlace, handles: Sequence[Any], terms: CampaignTerms) -> None:
        """Take the campaign up; nothing can be asked before."""
        self._journal = Journal.hold_at(journal)
        clock = clock_for(terms.driver, self._journal.record.origin)
        quiet = quiet_for(terms.driver, program.policy.migration)
        self._coordinator = Coordinator(program, self._journal, RayAgents(handles), clock, terms.rules, quiet)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)

    def step(self, wall_s: float) -> Progress:
        """Go on for about ``wall_s`` seconds and return how far the campaign is."""
        return self._coordinator.step(wall_s)

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        return self._coordinator.state

    def close(self) -> None:
        """Give the campaign back."""
        self._coordinator.close()
        self._journal.close()


class RayCampaign:
    """A campaign on Ray, seen from the process that waits for it.

    Its processes are there when this returns; the campaign begins with :meth:`begin`, so that their start takes nothing
    off a plan whose clock runs.
    """

    def __init__(self, campaign: CampaignId, places: Sequence[AgentPlace]) -> None:
        self._agents = [_agent(place, campaign).remote() for place in places]
        self._coordinator = _named(CampaignCoordinator, f"campaign-{campaign}").remote()
        with ray_errors():
            ray.get([actor.ready.remote() for actor in (self._coordinator, *self._agents)])

    def begin(self, program: Program, journal: JournalPlace, record: CampaignRecord, terms: CampaignTerms) -> None:
        """Have agents and coordinator take the campaign up."""
        arguments = program.policy.migration, record.origin
        hosts, agents = program.hosts.ids, len(self._agents)
        stored = ray.put(program)
        with ray_errors():
            ray.get(
                [
                    agent.begin.remote(settings_of_agent(terms.driver, hosts, number, agents), *arguments)
                    for number, agent in enumerate(self._agents)
                ]
            )
            ray.get(self._coordinator.begin.remote(stored, journal, self._agents, terms))

    def step(self, wall_s: float) -> Progress:
        """Go on for about ``wall_s`` seconds and return how far the campaign is."""
        with ray_errors():
            progress: Progress = ray.get(self._coordinator.step.remote(wall_s))
        return progress

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        with ray_errors():
            state: CampaignState = ray.get(self._coordinator.state.remote())
        return state

    def close(self) -> None:
        """Give the campaign back and end the actors."""
        with suppress(ray.exceptions.RayError):
            ray.get(self._coordinator.close.remote(), timeout=START_TIMEOUT_S)
        for actor in (self._coordinator, *self._agents):
            ray.kill(actor)


def _named(kind: type, name: str, **options: object) -> Any:  # noqa: ANN401  (Ray makes its handles at run time)
    """Return an actor class of ``kind`` that reserves no processor: actors mostly wait."""
    return ray.remote(num_cpus=0)(kind).options(name=name, **options)


def _agent(place: AgentPlace, campaign: CampaignId) -> Any:  # noqa: ANN401  (as above)
    """Return the class of an agent, pinned to its host's node where that is one of Ray's."""
    name = f"agent-{place.name}-{campaign}"
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    if place.host is None or host_resource(place.host) not in there:
        return _named(HostAgentActor, name)
    return _named(HostAgentActor, name, resources={host_resource(place.host): PINNED})


def host_resource(host: HostId) -> str:
    """Return the name of the custom resource that the Ray node on a host has one of."""
    return f"host:{host}"


@contextmanager
def ray_errors() -> Iterator[None]:
    """Raise an actor's own error as it was, and Ray's as one with a remedy."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SlacktideError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        fact = f"an actor of the campaign ended: {str(error).splitlines()[0]}"
        raise ExecutionError(
            "Ray", fact, "Run the same command again: the campaign resumes from its journal"
        ) from error


@contextmanager
def cluster(cpus: int, store_bytes: int = OBJECT_STORE_BYTES, hosts: Sequence[HostId] = ()) -> Iterator[None]:
    """Have a Ray cluster: the one that is there, or one on this machine alone, which is then shut down again.

    One that is made here stands in for the nodes of ``hosts``.

    Raises
    ------
    ExecutionError
        If Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    try:
        _start(cpus, store_bytes, hosts)
    except (RuntimeError, OSError, ConnectionError, ValueError) as error:
        fact = f"does not start: {str(error).splitlines()[0]}"
        raise ExecutionError(
            "Ray", fact, "Run without it (--no-ray), or see its logs in the session's folder"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _start(cpus: int, store_bytes: int, hosts: Sequence[HostId]) -> None:
    if os.environ.get("RAY_ADDRESS"):
        ray.init(namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        address="local",
        namespace=NAMESPACE,
        num_cpus=cpus,
        resources={host_resource(host): 1.0 for host in hosts},
        include_dashboard=False,
        object_store_memory=store_bytes,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
