"""From settings to the driver that they are for; settings travel between processes, drivers do not."""

import json
from datetime import datetime

from slacktide.clock import Clock, PacedClock, SystemClock, VirtualClock
from slacktide.executors.coordinator import QuietUntil
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.protocol import Driver
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.drivers.simulated import Quiet, SimulatedDriver
from slacktide.planner.policy import MigrationRules

DriverSettings = SimulationSettings | LibvirtSettings


def make_driver(settings: DriverSettings, rules: MigrationRules, origin: datetime) -> Driver:
    """Return a driver of its own for one agent."""
    if isinstance(settings, SimulationSettings):
        return SimulatedDriver(settings, rules)
    from slacktide.executors.drivers.libvirt.driver import LibvirtDriver  # needs libvirt's binding

    return LibvirtDriver(settings, rules, origin, SystemClock())


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
    return None if begins_now(settings) else Quiet(rules)


def settings_text(settings: DriverSettings) -> str:
    """Return settings as the journal keeps them."""
    if isinstance(settings, SimulationSettings):
        return json.dumps({"driver": "simulated", "simulation": _simulation(settings)}, sort_keys=True)
    return json.dumps({"driver": "libvirt", "libvirt": settings.model_dump(mode="json")}, sort_keys=True)


def _simulation(settings: SimulationSettings) -> dict[str, object]:
    """Return the settings of a simulation as data; a pace that is not set is left out, as before there was one."""
    return settings.model_dump(mode="json", exclude={"pace"} if settings.pace is None else None)


def identity_text(settings: DriverSettings) -> str:
    """Return what of the settings makes a campaign another one: of real hosts, where they answer does not."""
    return settings_text(settings) if isinstance(settings, SimulationSettings) else '{"driver": "libvirt"}'
