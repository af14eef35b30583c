"""The options of ``slacktide fleet generate``: those settings of the generator that fit an option."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from slacktide.service.commands.options import Whole


def _default(text: str) -> Parameter:
    """Return a parameter whose help names the setting's default; a test compares it with the setting."""
    return Parameter(show_default=lambda _unset: text)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Settings of the generator; None: as in the settings file, else the generator's default."""

    hosts: Annotated[Whole | None, _default("1000")] = None
    """Hosts in the fleet."""
    seed: Annotated[Whole | None, _default("1")] = None
    """Another seed gives another fleet of the same kind."""
    taken_at: Annotated[datetime | None, _default("2014-04-07T18:00:00+00:00")] = None
    """The fleet's moment, in UTC unless it says otherwise."""

    fill: Annotated[float | None, _default("0.75")] = None
    """Share of the fleet's memory that VMs use, 0 to 0.95."""
    fill_spread: Annotated[float | None, _default("0.1")] = None
    """How far below and above the mean hosts are filled, 0 to 0.5."""
    empty_share: Annotated[float | None, _default("0.02")] = None
    """Share of hosts that are empty and ready to take VMs."""
    down_share: Annotated[float | None, _default("0.0")] = None
    """Share of hosts that are out of service."""
    patched_share: Annotated[float | None, _default("0.0")] = None
    """Share of hosts that are patched already."""
    patch_level: Annotated[str | None, _default("unpatched")] = None
    """Patch level of the other hosts."""
    patched_level: Annotated[str | None, _default("patched")] = None
    """Patch level of hosts that are patched already."""
    largest_vm_share: Annotated[float | None, _default("0.5")] = None
    """Largest VM as a share of its host."""

    hosts_per_rack: Annotated[Whole | None, _default("40")] = None
    """Hosts in a rack; a fat tree decides by itself."""
    racks_per_power_feed: Annotated[Whole | None, _default("5")] = None
    """Racks on one power feed."""
    racks_per_row: Annotated[Whole | None, _default("10")] = None
    """Racks in a row."""
    topology: Annotated[Literal["leaf_spine", "fat_tree"] | None, _default("leaf_spine")] = None
    """How switches are cabled."""
    host_link_mbit_s: Annotated[Whole | None, _default("25000")] = None
    """Between a host and its rack's switch, Mbit/s each way."""
    uplink_mbit_s: Annotated[Whole | None, _default("100000")] = None
    """Of one cable between switches, Mbit/s each way."""
    oversubscription: Annotated[float | None, _default("3.0")] = None
    """What a rack's hosts can send over what its uplinks carry; a fat tree has none."""

    service_share: Annotated[float | None, _default("0.6")] = None
    """Share of VMs that belong to a service."""
    spread: Annotated[dict[str, float] | None, _default("none 0.2, host 0.25, rack 0.45, power 0.1")] = None
    """Weight of services spread over a kind of domain: --spread.none, .host, .rack, .power, .row."""
    max_moving_share: Annotated[float | None, _default("0.5")] = None
    """Share of services that limit how many of their VMs migrate at once."""
    unknown_dirty_share: Annotated[float | None, _default("0.03")] = None
    """Share of VMs whose dirty rate was not measured."""
    restart_share: Annotated[float | None, _default("0.01")] = None
    """Share of VMs that are restarted, not migrated."""
    pinned_share: Annotated[float | None, _default("0.0005")] = None
    """Share of VMs that cannot leave their host."""
    local_disk_share: Annotated[float | None, _default("0.02")] = None
    """Share of VMs with a local disk."""
    blackout_limit_share: Annotated[float | None, _default("0.05")] = None
    """Share of VMs that state a limit on their blackout."""
    restricted_share: Annotated[float | None, _default("0.05")] = None
    """Share of VMs that run on one or two machine types only."""

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by the names of the settings."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if self.taken_at is not None and self.taken_at.tzinfo is None:
            given["taken_at"] = f"{self.taken_at.isoformat()}Z"
        return given
