"""From settings to the driver that they are for; settings travel between processes, drivers do not."""

import json
from collections.abc import Sequence
from datetime import datetime

from slacktide.clock import Clock, PacedClock, SystemClock, VirtualClock
from slacktide.executors.agent_exchange import QuietUntil
from slacktide.executors.drivers.deeds import deeds_of, deeds_of_agent
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.protocol import Driver, HostVms
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.drivers.simulated import Quiet, SimulatedDriver
from slacktide.executors.program import Program
from slacktide.ids import HostId
from slacktide.planner.policy import MigrationRules

DriverSettings = SimulationSettings | LibvirtSettings


def make_driver(
    settings: DriverSettings, rules: MigrationRules, origin: datetime, deeds: Sequence[HostVms] = ()
) -> Driver:
    """Return a driver of its own for one agent; ``deeds``: what others do on its simulated hosts."""
    if isinstance(settings, SimulationSettings):
        return SimulatedDriver(settings, rules, deeds)
    from slacktide.executors.drivers.libvirt.driver import LibvirtDriver  # needs libvirt's binding

    return LibvirtDriver(settings, rules, origin, SystemClock())


def deeds_of_agents(settings: DriverSettings, program: Program, agents: int) -> list[tuple[HostVms, ...]]:
    """Return what others do on the simulated hosts of each agent; on real hosts they do what they do."""
    if not isinstance(settings, SimulationSettings):
        return [()] * agents
    deeds = deeds_of(program, settings.others, settings.seed)
    return [deeds_of_agent(deeds, program, number, agents) for number in range(agents)]


def settings_of_agent(settings: DriverSettings, hosts: Sequence[str], number: int, agents: int) -> DriverSettings:
    """Return the settings of one of several agents: the guests of a host ask the agent that stands for it."""
    if not isinstance(settings, LibvirtSettings) or settings.metadata is None:
        return settings
    own = tuple(HostId(host) for host in hosts[number::agents] if host in settings.addresses)
    return settings.model_copy(update={"metadata": settings.metadata.model_copy(update={"hosts": own})})


def settings_away(settings: DriverSettings) -> DriverSettings:
    """Return the settings of an agent that is not on its host: there is no bridge at which its guests could ask."""
    if not isinstance(settings, LibvirtSettings) or settings.metadata is None or settings.metadata.is_of_any_host:
        return settings
    return settings.model_copy(update={"metadata": None})


def clock_for(settings: DriverSettings, origin: datetime) -> Clock:
    """Return the clock that a campaign goes by: where hosts are simulated, a virtual one or one with a pace."""
    if not isinstance(settings, SimulationSettings):
        return SystemClock()
    return VirtualClock(origin) if settings.pace is None else PacedClock(origin, settings.pace)


def begins_now(settings: DriverSettings) -> bool:
    """Return whether a campaign begins when it is started; on a virtual clock it begins when the snapshot was taken."""
    return not isinstance(settings, SimulationSettings) or settings.pace is not None


def quiet_for(settings: DriverSettings, rules: MigrationRules) -> QuietUntil | None:
    """Return what says how long nothing comes of requests; None: nobody knows, they are real."""
    virtual = isinstance(settings, SimulationSettings) and settings.pace is None
    return Quiet(rules, settings.answering) if isinstance(settings, SimulationSettings) and virtual else None


def settings_text(settings: DriverSettings) -> str:
    """Return settings as the journal keeps them."""
    if isinstance(settings, SimulationSettings):
        simulation = settings.model_dump(mode="json", exclude_none=True)
        return json.dumps({"driver": "simulated", "simulation": simulation}, sort_keys=True)
    return json.dumps({"driver": "libvirt", "libvirt": settings.model_dump(mode="json")}, sort_keys=True)


def identity_text(settings: DriverSettings) -> str:
    """Return what of the settings makes a campaign another one: of real hosts, where they answer does not."""
    return settings_text(settings) if isinstance(settings, SimulationSettings) else '{"driver": "libvirt"}'
