"""Coordinator and agents as Ray actors; this module and those whose names begin with ``ray_`` alone know Ray.

Everything that decides or acts is in :mod:`slacktide.executors.coordinator` and :mod:`slacktide.executors.agent`; the
actors only carry calls.  One simulated agent stands for many hosts, since an idle process costs about 90 MiB; of real
hosts each has its own, on its own node where Ray has that.  Who makes them, and makes them again, is in
:mod:`slacktide.executors.ray_campaign` and :mod:`slacktide.executors.ray_crew`.
"""

import gc
import logging
import os
import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

import ray
from ray.job_config import JobConfig

from slacktide.errors import ExecutionError, SlacktideError
from slacktide.executors.agent import HostAgent
from slacktide.executors.agent_log import log_answered, log_asked
from slacktide.executors.attendance import Absence, ClusterError
from slacktide.executors.campaign_log import LOG as CAMPAIGN_LOG
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.changeover import Course
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.making import DriverSettings, clock_for, make_driver, quiet_for
from slacktide.executors.drivers.protocol import HostVms
from slacktide.executors.journal import Journal, JournalPlace
from slacktide.executors.logs import LogSettings, log_to
from slacktide.executors.measuring.meter import INTERVAL_S, Meter
from slacktide.executors.progress import Progress
from slacktide.executors.ray_agents import PICKLE_PROTOCOL, RayAgents
from slacktide.executors.ray_metrics import RayMetrics
from slacktide.executors.revising import Revising
from slacktide.executors.terms import CampaignTerms
from slacktide.ids import HostId
from slacktide.planner.policy import MigrationRules

_LOG: Final = logging.getLogger("slacktide.agent")
NAMESPACE: Final = "slacktide"
OBJECT_STORE_BYTES: Final = 256 * 2**20
"""Ray's shared memory on one machine: a program of 150,000 migrations takes about 60 MiB, reports less."""
GARBAGE_THRESHOLD: Final = 20_000
"""New objects between two looks for garbage in the coordinator's process, which has no cycles to speak of: with
Python's 700 it spends a quarter of its time looking at the same 150,000 migrations."""


class HostAgentActor:
    """A host agent in a process of its own; it logs as the campaign's command was asked to.

    One that is beside the command is in the same ``folder``, where that can be; another in that of its node.
    """

    def __init__(self, logs: LogSettings, about: Mapping[str, str], folder: Path | None = None) -> None:
        if folder is not None:
            with suppress(OSError):  # the node beside the command may be full or gone, and this another
                os.chdir(folder)
        log_to(sys.stdout, logs, **about)

    def ready(self) -> None:
        """Return once the process is there."""

    def begin(
        self, settings: DriverSettings, rules: MigrationRules, origin: datetime, deeds: Sequence[HostVms]
    ) -> None:
        """Have a driver; nothing can be asked before."""
        self._agent = HostAgent(make_driver(settings, rules, origin, deeds))
        _LOG.info("begun")

    def ask(self, method: str, argument: bytes) -> bytes:
        """Have the agent do ``method``; argument and answer are pickled."""
        asked = pickle.loads(argument)
        log_asked(asked)
        answer = getattr(self._agent, method)(asked)
        log_answered(answer)
        return pickle.dumps(answer, PICKLE_PROTOCOL)


class Stepped(NamedTuple):
    """What came of a step."""

    progress: Progress
    absent: dict[int, Absence]
    """Agents that have ended and are to be started again."""


class CampaignCoordinator:
    """A campaign's coordinator in a process of its own; it logs as the campaign's command was asked to.

    It is beside the command, and in the same folder, from which commands of signals and paths in them are found.
    """

    def __init__(self, logs: LogSettings, folder: Path) -> None:
        os.chdir(folder)
        log_to(sys.stdout, logs)

    def ready(self) -> None:
        """Return once the process is there."""

    def begin(
        self,
        course: Course,
        journal: JournalPlace,
        directory: Path,
        crew: tuple[Sequence[Any], Sequence[str]],
        terms: CampaignTerms,
    ) -> Progress:
        """Take the campaign up and return how far it is; nothing can be asked before."""
        program = course.program
        revising = Revising(course, directory)
        self._journal = Journal.hold_at(journal)
        clock = clock_for(terms.driver, self._journal.record.origin)
        quiet = quiet_for(terms.driver, program.policy.migration)
        self._agents = RayAgents(*crew)
        self._coordinator = Coordinator(program, self._journal, self._agents, clock, terms.rules, quiet, revising)
        self._read_s = -inf
        """When the metrics are read next, on this machine's clock; infinite: never more."""
        with self._metrics_alone():
            self._metrics = RayMetrics(journal.campaign)
            self._meter = Meter(course.snapshot, program)
            self._meter.begin(self._coordinator.state)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        return self._coordinator.progress()

    def step(self, wall_s: float, renewed: Mapping[int, Any]) -> Stepped:
        """Go on for about ``wall_s`` seconds; ``renewed``: agents that were started again, by number."""
        self._agents.renew(renewed)
        progress = self._coordinator.step(wall_s)
        self._measure(at_once=progress.finished and self._read_s < inf)
        absent = {
            agent: Absence(reason, self._coordinator.is_patched(agent))
            for agent, reason in self._agents.ended().items()
        }
        return Stepped(progress, absent)

    def _measure(self, *, at_once: bool) -> None:
        if not at_once and time.monotonic() < self._read_s:
            return
        with self._metrics_alone():
            self._metrics.tell(self._meter.read(self._coordinator.standing()))
            self._read_s = time.monotonic() + INTERVAL_S

    @contextmanager
    def _metrics_alone(self) -> Iterator[None]:
        """Have a fault of metrics end these, and not the campaign: the night goes on, whatever is told of it."""
        try:
            yield
        except Exception:
            CAMPAIGN_LOG.exception("No more metrics of this campaign")
            self._read_s = inf

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        return self._coordinator.state

    def close(self) -> None:
        """Give the campaign back."""
        self._coordinator.close()
        self._journal.close()


def actor_class(kind: type, name: str, **options: object) -> Any:  # noqa: ANN401  (Ray makes its handles at run time)
    """Return an actor class of ``kind`` that reserves no processor: actors mostly wait."""
    return ray.remote(num_cpus=0)(kind).options(name=name, **options)


def host_resource(host: HostId) -> str:
    """Return the name of the custom resource that the Ray node on a host has one of."""
    return f"host:{host}"


@contextmanager
def ray_errors(
    passing: tuple[type[Exception], ...] = (),
    *,
    lost: str = "an actor of the campaign ended",
    remedy: str = "Run the same command again: the campaign resumes from its journal",
) -> Iterator[None]:
    """Raise an actor's or a task's own error as it was, and Ray's with a remedy; those of ``passing`` as they are.

    Parameters
    ----------
    lost
        What it means that Ray raises an error of its own.
    """
    try:
        yield
    except passing:
        raise
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SlacktideError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise ExecutionError("Ray", f"{lost}: {str(error).splitlines()[0]}", remedy) from error


@contextmanager
def cluster(
    cpus: int,
    store_bytes: int = OBJECT_STORE_BYTES,
    hosts: Sequence[HostId] = (),
    address: str | None = None,
    *,
    job: str,
    dashboard: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str | None]:
    """Have a Ray cluster: the one that is there, or one on this machine alone, which is then shut down again.

    Yields where its dashboard answers, null: it has none, or that is not known.

    One that is made here stands in for the nodes of ``hosts``.

    Parameters
    ----------
    address
        Where one is; null: where the environment says, or nowhere.
    job
        What this process does there, as ``ray list jobs --detail`` shows it.
    dashboard
        Whether one that is made here has Ray's dashboard, on this machine's own address.
    environment
        What all processes of the job find in their environment beside what is there.

    Raises
    ------
    ClusterError
        If Ray does not start.
    """
    if ray.is_initialized():
        yield None
        return
    try:
        shown = _start(cpus, store_bytes, hosts, address, (job, dict(environment or {})), dashboard)
    except (RuntimeError, OSError, ConnectionError, ValueError) as error:
        fact = f"does not start: {str(error).splitlines()[0]}"
        raise ClusterError("Ray", fact, "Run without it (--no-ray), or see its logs in the session's folder") from error
    try:
        yield shown or None
    finally:
        ray.shutdown()


def _start(
    cpus: int,
    store_bytes: int,
    hosts: Sequence[HostId],
    address: str | None,
    named: tuple[str, dict[str, str]],
    dashboard: bool,
) -> str:
    name, environment = named
    about = {"name": name}
    if address is not None or os.environ.get("RAY_ADDRESS"):
        job = JobConfig(metadata=about, runtime_env={"env_vars": environment} if environment else None)
        there = ray.init(address, namespace=NAMESPACE, job_config=job, log_to_driver=False, logging_level=logging.ERROR)
        return str(there.dashboard_url or "")
    os.environ.update(environment)  # Ray's processes have what this one has
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    made = ray.init(
        address="local",
        namespace=NAMESPACE,
        job_config=JobConfig(metadata=about),
        num_cpus=cpus,
        resources={host_resource(host): 1.0 for host in hosts},
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
        object_store_memory=store_bytes,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    return str(made.dashboard_url or "")
