"""A campaign within one process: coordinator and agents without Ray."""

from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.making import (
    DriverSettings,
    clock_for,
    deeds_of_agents,
    make_driver,
    quiet_for,
    settings_of_agent,
)
from slacktide.executors.drivers.protocol import Driver
from slacktide.executors.journal import Journal, JournalPlace
from slacktide.executors.program import Program
from slacktide.executors.progress import Progress
from slacktide.executors.revising import Revising
from slacktide.executors.rules import Rules


class LocalCampaign:
    """A campaign within this process, with the very coordinator and agents that Ray's actors hold."""

    def __init__(
        self,
        program: Program,
        journal: JournalPlace,
        rules: Rules,
        settings: DriverSettings,
        agents: int,
        revising: Revising | None = None,
    ) -> None:
        self._journal = Journal.hold_at(journal)
        self._drivers: list[Driver] = []
        self._coordinator: Coordinator | None = None
        try:
            origin, migration = self._journal.record.origin, program.policy.migration
            hosts = program.hosts.ids
            own = [settings_of_agent(settings, hosts, number, agents) for number in range(agents)]
            deeds = deeds_of_agents(settings, program, agents)
            self._drivers += [make_driver(each, migration, origin, told) for each, told in zip(own, deeds, strict=True)]
            local = LocalAgents([HostAgent(driver) for driver in self._drivers])
            clock, quiet = clock_for(settings, origin), quiet_for(settings, migration)
            self._coordinator = Coordinator(program, self._journal, local, clock, rules, quiet, revising)
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> Progress:
        """How far the campaign is."""
        assert self._coordinator is not None, "it was begun"
        return self._coordinator.progress()

    def step(self, wall_s: float) -> Progress:
        """Go on for about ``wall_s`` seconds and return how far the campaign is."""
        assert self._coordinator is not None, "it was begun"
        return self._coordinator.step(wall_s)

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        assert self._coordinator is not None, "it was begun"
        return self._coordinator.state

    def close(self) -> None:
        """Give the campaign back, and let go of hosts."""
        if self._coordinator is not None:
            self._coordinator.close()
        self._journal.close()
        for driver in self._drivers:
            driver.close()
