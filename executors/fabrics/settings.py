"""What a fabric is made of, and the file that says so."""

import json
from ipaddress import IPv4Address
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from slacktide.errors import InputError, UsageError
from slacktide.executors.connections_file import once
from slacktide.ids import HostId
from slacktide.object_store import AnyPath

Host = Annotated[HostId, Field(min_length=1)]
"""Name of a host or gateway."""
Device = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")]
"""Name of a network device."""
Namespace = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$")]
"""Name of a network namespace."""
_BROADCAST: Final = IPv4Address("255.255.255.255")
LIMIT_S: Final = 30.0
"""How long a source forwards at most: an assumption, and plenty where controllers take a second."""
ANSWER_WITHIN_S: Final = 5.0
"""How long the kernel may take to answer, which as a rule takes it some milliseconds."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BridgePlace(_Part):
    """One learning bridge."""

    namespace: Namespace | None = None
    """Network namespace of the agent's machine that it is in; null: its own."""
    bridge: Device = "br0"
    uplinks: tuple[Device, ...] = ()
    """Its ports that lead to other hosts."""


class BridgeFabricSettings(_Part):
    """Learning bridges: who sends from a new place is found there."""

    kind: Literal["bridge"]
    bridges: dict[Host, BridgePlace] = Field(min_length=1)
    """Of each host."""
    limit_s: float = Field(default=LIMIT_S, gt=0, le=3600)
    """How long to wait until they have learnt."""
    answer_within_s: float = Field(default=ANSWER_WITHIN_S, gt=0, le=60)
    """How long to wait for a bridge's kernel."""


class Endpoint(_Part):
    """One tunnel endpoint."""

    namespace: Namespace | None = None
    """Network namespace of the agent's machine that its devices are in; null: its own."""
    address: IPv4Address
    """Where its tunnels end."""


class VxlanFabricSettings(_Part):
    """VXLAN whose forwarding tables are programmed, with learning off."""

    kind: Literal["vxlan"]
    endpoints: dict[Host, Endpoint] = Field(min_length=1)
    """Every one that sends to guests: hosts, and gateways that run no guest."""
    bridge: Device = "br0"
    """On each endpoint, with guests' cards and both devices at its ports."""
    device: Device = "vxlan0"
    """Carries what guests send each other."""
    forward_device: Device = "forward0"
    """Carries what a source forwards, under a network identifier of its own."""
    update_delay_ms: float = Field(default=0.0, ge=0, le=60_000)
    """How long a change takes to arrive at each endpoint but the two hosts of a migration: a lab's controller is as
    slow as it is told to be."""
    forward: bool = True
    """Whether sources forward at all; without, what arrives there after the switch is lost and counted."""
    limit_s: float = Field(default=LIMIT_S, gt=0, le=3600)
    """How long a source forwards at most."""
    answer_within_s: float = Field(default=ANSWER_WITHIN_S, gt=0, le=60)
    """How long to wait for an endpoint's kernel."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len({self.bridge, self.device, self.forward_device}) < 3:
            raise ValueError("bridge, device and forward_device are three devices, of which two have one name here")
        by_address: dict[IPv4Address, HostId] = {}
        by_namespace: dict[Namespace | None, HostId] = {}
        for host, endpoint in self.endpoints.items():
            address = endpoint.address
            if address.is_unspecified or address.is_multicast or address.is_loopback or address == _BROADCAST:
                raise ValueError(f"endpoint {host} has {address}, at which no tunnel ends")
            if address in by_address:
                raise ValueError(f"endpoints {by_address[address]} and {host} have one address")
            if endpoint.namespace in by_namespace:
                where = "no namespace" if endpoint.namespace is None else f"namespace {endpoint.namespace}"
                both = f"{by_namespace[endpoint.namespace]} and {host}"
                raise ValueError(f"endpoints {both} are both in {where}, where one set of tables is")
            by_address[address] = by_namespace[endpoint.namespace] = host
        return self


FabricSettings = Annotated[BridgeFabricSettings | VxlanFabricSettings, Field(discriminator="kind")]
_adapter: Final[TypeAdapter[BridgeFabricSettings | VxlanFabricSettings]] = TypeAdapter(FabricSettings)


def known_hosts(settings: BridgeFabricSettings | VxlanFabricSettings) -> frozenset[HostId]:
    """Return the hosts that a fabric knows."""
    return frozenset(settings.endpoints if isinstance(settings, VxlanFabricSettings) else settings.bridges)


def read_fabric(path: AnyPath) -> BridgeFabricSettings | VxlanFabricSettings:
    """Return the fabric that a JSON file describes.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it cannot be read, or is no fabric, with the first place that is wrong.
    """
    if not path.is_file():
        raise UsageError(str(path), "there is no such file", "Give --fabric the file that says what the fabric is")
    try:
        return _adapter.validate_python(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(f"{path}, {where}", f"is no fabric: {first['msg']}", "See docs/fabric.md") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), f"cannot be read: {error}", "Mend it, or leave --fabric out") from error
