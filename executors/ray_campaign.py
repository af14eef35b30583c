"""A campaign on Ray, in the one process that Ray knows as its driver: coordinator and agents, and what ends of them."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ray

from slacktide.errors import ExecutionError
from slacktide.executors.actors import CampaignCoordinator, Stepped, actor_class, ray_errors
from slacktide.executors.attendance import Restarts
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.drivers.making import deeds_of_agents, settings_of_agent
from slacktide.executors.journal import CampaignRecord
from slacktide.executors.logs import log_settings
from slacktide.executors.progress import Progress
from slacktide.executors.ray_crew import Crew, beside_the_command
from slacktide.executors.ray_names import coordinator_name, step_name
from slacktide.executors.terms import CampaignSetup

CLOSE_S: Final = 30
"""How long a coordinator may take to finish its step and let go of the journal before it is ended."""
NAME_S: Final = 30.0
"""How long the name of an actor that has ended may stay taken."""


class RayCampaign:
    """Coordinator and agents of a campaign as actors.

    Its processes are there when this returns; the campaign begins with :meth:`begin`, so that their start takes nothing
    off a plan whose clock runs.
    """

    def __init__(self, setup: CampaignSetup) -> None:
        self._setup = setup
        self._restarts = Restarts()
        self._said: list[str] = []
        self._crew = Crew(setup.journal.campaign, setup.places)
        self._coordinator = self._make_coordinator()
        self._program: Any = None
        """Ray's reference to the program."""
        with ray_errors():
            ray.get(self._coordinator.ready.remote())

    def _make_coordinator(self) -> Any:  # noqa: ANN401  (Ray makes its handles at run time)
        """Make the coordinator where the journal is, once the name of one that has ended is free."""
        strategy = beside_the_command(soft=False)
        name = coordinator_name(self._setup.journal.campaign)
        made = actor_class(CampaignCoordinator, name, scheduling_strategy=strategy)
        until_s = time.monotonic() + NAME_S
        while True:
            try:
                return made.remote(log_settings(), Path.cwd())
            except ValueError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.1)

    def begin(self, record: CampaignRecord) -> Progress:
        """Have agents and coordinator take the campaign up, and return how far it is."""
        setup = self._setup
        self._course = ray.put(setup.course)
        hosts, agents, rules = setup.program.hosts.ids, len(setup.places), setup.program.policy.migration
        own = [settings_of_agent(setup.terms.driver, hosts, number, agents) for number in range(agents)]
        deeds = deeds_of_agents(setup.terms.driver, setup.program, agents)
        self._crew.begin([(settings, rules, record.origin, told) for settings, told in zip(own, deeds, strict=True)])
        return self._begin_coordinator()

    def _begin_coordinator(self) -> Progress:
        setup, crew = self._setup, self._crew
        with ray_errors():
            begun: Progress = ray.get(
                self._coordinator.begin.remote(
                    self._course, setup.journal, setup.directory, (crew.handles, crew.names), setup.terms
                )
            )
        return begun

    def step(self, wall_s: float) -> Progress | None:
        """Go on for about ``wall_s`` seconds and return how far the campaign is.

        None: the coordinator ended, and another has taken the campaign up.

        Raises
        ------
        ExecutionError
            If coordinators end again and again, or the campaign cannot go on.
        """
        arrived = self._crew.arrived()
        try:
            with ray_errors(passing=(ray.exceptions.RayActorError,)):
                step = self._coordinator.step.options(name=step_name(self._setup.journal.campaign))
                stepped: Stepped = ray.get(step.remote(wall_s, arrived))
        except ray.exceptions.RayActorError as error:
            self._renew_coordinator(error)
            return None
        self._said += self._crew.want(stepped.absent)
        return stepped.progress

    def _renew_coordinator(self, error: Exception) -> None:
        if not self._restarts.allow(time.monotonic()):
            fact = f"its coordinator ended {self._restarts.most + 1} times in a row: {str(error).splitlines()[0]}"
            remedy = "Look at the memory of this machine; the same command goes on from the journal"
            raise ExecutionError(f"campaign {self._setup.journal.campaign}", fact, remedy) from error
        self._said.append("the coordinator's process ended; another goes on from the journal")
        with suppress(ray.exceptions.RayError):
            ray.kill(self._coordinator)
        self._coordinator = self._make_coordinator()
        with suppress(ray.exceptions.RayActorError):  # it is noticed at the next step
            self._begin_coordinator()

    def said(self) -> list[str]:
        """Return what an operator is to be told and was not told before."""
        said, self._said = self._said, []
        return said

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        with ray_errors():
            state: CampaignState = ray.get(self._coordinator.state.remote())
        return state

    def close(self) -> None:
        """Give the campaign back and end the actors."""
        with suppress(ray.exceptions.RayError):
            ray.get(self._coordinator.close.remote(), timeout=CLOSE_S)
        with suppress(ray.exceptions.RayError):
            ray.kill(self._coordinator)
        self._crew.close()
