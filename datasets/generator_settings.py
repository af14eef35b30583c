"""What a generated fleet looks like: every knob, its unit, its default and its limits."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from slacktide.datasets.calibration import (
    DIRTY_PROFILES,
    HUAWEI_EAST_1_SIZES,
    MACHINE_TYPES,
    DirtyProfile,
    MachineType,
    VmSize,
)
from slacktide.datasets.fabric import FabricKind
from slacktide.errors import UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
SpreadKind = Literal["none", "host", "rack", "power", "row"]

MOST_HOSTS: Final = 1_000_000
"""Hosts of one generated fleet at most: ids carry six digits, so that they sort as they count."""


class GeneratorSettings(BaseModel):
    """One fleet to generate; the same settings give the same fleet, byte for byte.

    Hosts, their state and their VMs depend on seed and host number alone: with more ``hosts`` the others stay as they
    are.  Services reach over the whole fleet and are dealt anew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: int = Field(default=1_000, ge=1, le=MOST_HOSTS)
    seed: int = Field(default=1, ge=0, lt=2**63)
    taken_at: AwareDatetime = datetime(2014, 4, 7, 18, tzinfo=UTC)
    """The fleet's moment; by default the evening Heartbleed was disclosed."""

    fill: float = Field(default=0.75, gt=0, le=0.95)
    """Share of the fleet's sold memory that VMs use, empty hosts included; vCPUs are used a little less."""
    fill_spread: float = Field(default=0.1, ge=0, le=0.5)
    """Hosts are filled evenly between this much below and above the mean, where there is room above."""
    empty_share: Share = 0.02
    """Share of hosts that are empty and ready to take VMs, evenly spaced."""
    down_share: Share = 0.0
    """Share of hosts that are out of service, without VMs."""
    patched_share: Share = 0.0
    """Share of hosts at ``patched_level`` already."""
    patch_level: str = Field(default="unpatched", min_length=1)
    patched_level: str = Field(default="patched", min_length=1)

    machine_types: tuple[MachineType, ...] = Field(default=MACHINE_TYPES, min_length=1)
    """Generations; a rack holds one of them."""
    vm_sizes: tuple[VmSize, ...] = Field(default=HUAWEI_EAST_1_SIZES, min_length=1)
    largest_vm_share: float = Field(default=0.5, gt=0, le=1)
    """Largest VM as a share of its host's sold memory and vCPUs.

    Operators keep larger ones on machines of their own; 1 puts every size of the trace that fits on every host, and a
    VM of a whole host can only leave for an empty one.
    """

    hosts_per_rack: int = Field(default=40, ge=1)
    racks_per_power_feed: int = Field(default=5, ge=1)
    racks_per_row: int = Field(default=10, ge=1)
    topology: FabricKind = "leaf_spine"
    """A fat tree makes its edge switches the racks, and ignores ``hosts_per_rack``."""
    host_link_mbit_s: int = Field(default=25_000, ge=1)
    """Capacity between a host and its rack's switch, each way."""
    oversubscription: float = Field(default=3.0, ge=1)
    """What a rack's hosts can send over what its uplinks carry."""
    """Ignored by a fat tree, which has none."""
    uplink_mbit_s: int = Field(default=100_000, ge=1)
    """Capacity of one cable between switches, each way."""

    service_share: Share = 0.6
    """Share of VMs that belong to a service."""
    service_sizes: tuple[tuple[int, Weight], ...] = Field(
        default=((2, 0.25), (3, 0.3), (5, 0.2), (8, 0.12), (12, 0.07), (20, 0.04), (40, 0.02)), min_length=1
    )
    """VMs in a service, with weights; chosen, not measured."""
    spread: dict[SpreadKind, Weight] = Field(default={"none": 0.2, "host": 0.25, "rack": 0.45, "power": 0.1})
    """Kinds of domain that services spread over, with weights."""
    max_moving_share: Share = 0.5
    """Share of services that limit how many of their VMs migrate at once, to a fifth of them and at least one."""

    profiles: tuple[DirtyProfile, ...] = Field(default=DIRTY_PROFILES, min_length=1)
    unknown_dirty_share: Share = 0.03
    """Share of VMs whose dirty rate and hot set were not measured."""
    restart_share: Share = 0.01
    pinned_share: Share = 0.0005
    """Share of VMs that cannot leave; each keeps its host from being patched."""
    local_disk_share: Share = 0.02
    local_disk_gib: tuple[int, int] = (10, 40)
    notice_s: tuple[tuple[int, Weight], ...] = Field(
        default=((0, 0.6), (60, 0.3), (300, 0.09), (3_600, 0.01)), min_length=1
    )
    blackout_limit_share: Share = 0.05
    """Share of VMs that state a limit; the others take the policy's.

    A guest whose hot set would break every limit, even at 4 Gbit/s, states none.
    """
    blackout_limits_ms: tuple[int, ...] = Field(default=(300, 500, 1_000), min_length=1)
    restricted_share: Share = 0.05
    """Share of VMs that run only on their host's machine type, or on that and the next."""

    @model_validator(mode="after")
    def _consistent(self) -> "GeneratorSettings":
        if self.empty_share + self.down_share > 0.9:
            raise ValueError("`empty_share` and `down_share` leave less than a tenth of the hosts; lower one of them")
        if len({machine.name for machine in self.machine_types}) < len(self.machine_types):
            raise ValueError("`machine_types` names one type twice; rename one of them")
        if not 0 < self.local_disk_gib[0] <= self.local_disk_gib[1]:
            raise ValueError("`local_disk_gib` needs a positive least and a most above it")
        for field, weights in (
            ("machine_types", [machine.share for machine in self.machine_types]),
            ("vm_sizes", [size.share for size in self.vm_sizes]),
            ("profiles", [profile.share for profile in self.profiles]),
            ("service_sizes", [weight for _, weight in self.service_sizes]),
            ("notice_s", [weight for _, weight in self.notice_s]),
            ("spread", list(self.spread.values())),
        ):
            if min(weights, default=0.0) < 0 or sum(weights) <= 0:
                raise ValueError(f"`{field}` needs weights of 0 or more, one of them above 0")
        self._check_values()
        return self

    def _check_values(self) -> None:
        if min(size for size, _ in self.service_sizes) < 1 or min(notice for notice, _ in self.notice_s) < 0:
            raise ValueError("`service_sizes` start at 1 and `notice_s` at 0; raise the lower ones")
        if min(self.blackout_limits_ms) < 1:
            raise ValueError("`blackout_limits_ms` start at 1; raise the lower ones")
        for machine in self.machine_types:
            if min(machine.vcpus, machine.memory_mib, machine.migration_mbit_s, machine.maintenance_s) < 1:
                raise ValueError(f"`machine_types`: {machine.name} has a figure below 1; raise it")
        for size in self.vm_sizes:
            if min(size.vcpus, size.memory_mib) < 1:
                raise ValueError("`vm_sizes` start at 1 vCPU and 1 MiB; raise the lower ones")
        for profile in self.profiles:
            for low, high in (profile.hot_mib, profile.dirty_mib_s):
                if not 0 < low <= high:
                    raise ValueError(f"`profiles`: {profile.name} needs ranges from above 0 upwards")


def generator_settings(options: Mapping[str, Any]) -> GeneratorSettings:
    """Return settings from options by name.

    Raises
    ------
    UsageError
        If an option is unknown or out of its limits.
    """
    try:
        return GeneratorSettings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        fact = f"`{place}`: {first['msg']}" if place else str(first["msg"])
        raise UsageError("generator settings", fact, "Change the option") from error
