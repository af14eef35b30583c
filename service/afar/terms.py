"""How a plan is to be carried out on a server, from the options of ``slacktide run``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from slacktide.errors import UsageError

USUAL: Final[Mapping[str, object]] = {
    "seed": 0,
    "retryable_share": 1.0,
    "overrun_factor": 2.0,
    "speed": None,
    "ask_for_approval": False,
}
"""What simulated hosts do where nobody says otherwise; all else is 0."""
OF_SERVER: Final = ("--store", "--wait-for-store", "--agent-per-host")
"""Options that are about where a campaign is carried out."""


class TermsGiven(NamedTuple):
    """Options of a command that has a plan carried out."""

    driver: str
    profile: str | None
    """The server's name for real hosts; null: they are simulated."""
    simulation: Mapping[str, Any]
    """What simulated hosts do, by the names of the API."""
    on_drift: str | None
    health: Path | None
    agents: int | None
    written_there: Mapping[str, object] = {}
    """Options whose values whoever runs the server writes down, by their names."""
    no_ray: bool = False
    """Whether all is to be in one process; else the server decides."""

    def as_asked(self) -> dict[str, Any]:
        """Return the terms as the API takes them.

        Raises
        ------
        UsageError
            If real hosts are meant and not named, or an option is given that means nothing for them or for a server.
        """
        self._refuse_written_there()
        if self.driver == "libvirt" and self.profile is None:
            fact = "reaches hosts by what a profile of the server's says"
            raise UsageError("--driver libvirt", fact, "Name one: --profile; `slacktide server status` lists them")
        if self.profile is not None:
            self._refuse_simulation()
        budgets = None if self.health is None else _budgets(self.health)
        terms: dict[str, Any] = {"on_drift": self.on_drift, "budgets": budgets, "agents": self.agents}
        terms |= {"ray": False} if self.no_ray else {}
        if self.profile is None:
            return terms | {"simulation": dict(self.simulation)}
        return terms | {"profile": self.profile}

    def _refuse_written_there(self) -> None:
        for option, value in self.written_there.items():
            if value and option in OF_SERVER:
                fact = "is for campaigns that this machine carries out"
                raise UsageError(option, fact, "Leave it out: the server decides")
            if value:
                fact = "is written in the server's profile of the hosts, and not sent to it"
                raise UsageError(option, fact, "Name the profile: --profile; whoever runs the server writes it")

    def _refuse_simulation(self) -> None:
        for name, value in self.simulation.items():
            if value != USUAL.get(name, 0):
                option = f"--{name.removesuffix('_per_mille').replace('_', '-')}"
                raise UsageError(option, "is for simulated hosts", "Leave it out, or leave --profile out")


def _budgets(file: Path) -> dict[str, Any]:
    """Return the budgets of a health file; signals reach out from the server, and are written there."""
    from slacktide.executors.health.files import read_health

    health = read_health(file)
    if health.signals:
        fact = f"names signals, such as {health.signals[0].name}, and what these ask is not sent to a server"
        raise UsageError(str(file), fact, "Leave them out; whoever runs the server writes them to the hosts' profile")
    return health.budgets.model_dump(mode="json")
