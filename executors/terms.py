"""By what coordinator and agents of a campaign go, and where: what travels to the processes that carry it out."""

from dataclasses import dataclass
from pathlib import Path

from slacktide.executors.agents import AgentPlace
from slacktide.executors.changeover import Course
from slacktide.executors.drivers.making import DriverSettings
from slacktide.executors.journal import JournalPlace
from slacktide.executors.program import Program
from slacktide.executors.rules import Rules


@dataclass(frozen=True, slots=True)
class CampaignTerms:
    """By what coordinator and agents of a campaign go."""

    driver: DriverSettings
    rules: Rules


@dataclass(frozen=True, slots=True)
class CampaignSetup:
    """Everything that a process needs to take a campaign up."""

    course: Course
    """What it began with."""
    directory: Path
    """The campaign's."""
    journal: JournalPlace
    places: tuple[AgentPlace, ...]
    terms: CampaignTerms

    @property
    def program(self) -> Program:
        """The plan that it began with, numbered."""
        return self.course.program
