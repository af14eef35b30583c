"""A campaign within one process: coordinator and agents without Ray."""

from pathlib import Path

from slacktide.clock import VirtualClock
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.coordinator import Coordinator, Progress
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.drivers.simulated import Quiet, SimulatedDriver
from slacktide.executors.journal import Journal
from slacktide.executors.program import Program
from slacktide.executors.rules import Rules
from slacktide.ids import CampaignId


class LocalCampaign:
    """A campaign within this process, with the very coordinator and agents that Ray's actors hold."""

    def __init__(
        self,
        program: Program,
        journal: Path,
        campaign: CampaignId,
        rules: Rules,
        settings: SimulationSettings,
        agents: int,
    ) -> None:
        self._journal = Journal.open(journal, campaign, durability="process")
        drivers = [SimulatedDriver(settings, program.policy.migration) for _ in range(agents)]
        clock = VirtualClock(self._journal.record.origin)
        local = LocalAgents([HostAgent(driver) for driver in drivers])
        self._coordinator = Coordinator(program, self._journal, local, clock, rules, Quiet(program.policy.migration))

    def step(self, wall_s: float) -> Progress:
        """Go on for about ``wall_s`` seconds and return how far the campaign is."""
        return self._coordinator.step(wall_s)

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        return self._coordinator.state

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()
