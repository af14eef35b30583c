"""What a fabric is made of, and the file that says so."""

from ipaddress import IPv4Address
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from slacktide.errors import InputError, UsageError
from slacktide.ids import HostId
from slacktide.object_store import AnyPath

LIMIT_S: Final = 30.0
"""How long a source forwards at most: sixty times what controllers of large fabrics take to tell their hosts."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BridgePlace(_Part):
    """One learning bridge."""

    namespace: str | None = None
    """Network namespace of the agent's machine that it is in; null: its own."""
    bridge: str = Field(default="br0", min_length=1)
    uplinks: tuple[str, ...] = ()
    """Its ports that lead to other hosts."""


class BridgeFabricSettings(_Part):
    """Learning bridges: who sends from a new place is found there."""

    kind: Literal["bridge"]
    bridges: dict[HostId, BridgePlace]
    """Of each host."""
    limit_s: float = Field(default=LIMIT_S, gt=0, le=3600)
    """How long to wait until they have learnt."""


class Endpoint(_Part):
    """One tunnel endpoint."""

    namespace: str | None = None
    """Network namespace of the agent's machine that its devices are in; null: its own."""
    address: IPv4Address
    """Where its tunnels end."""


class VxlanFabricSettings(_Part):
    """VXLAN whose forwarding tables are programmed, with learning off."""

    kind: Literal["vxlan"]
    endpoints: dict[HostId, Endpoint] = Field(min_length=1)
    """Every one that sends to guests: hosts, and gateways that run no guest."""
    bridge: str = Field(default="br0", min_length=1)
    """On each endpoint, with guests' cards and both devices at its ports."""
    device: str = Field(default="vxlan0", min_length=1)
    """Carries what guests send each other."""
    forward_device: str = Field(default="forward0", min_length=1)
    """Carries what a source forwards, under a network identifier of its own."""
    update_delay_ms: float = Field(default=0.0, ge=0, le=60_000)
    """How long a change takes to arrive at each endpoint but the two hosts of a migration: a lab's controller is as
    slow as it is told to be."""
    forward: bool = True
    """Whether sources forward at all; without, what arrives there after the switch is lost and counted."""
    limit_s: float = Field(default=LIMIT_S, gt=0, le=3600)
    """How long a source forwards at most."""


FabricSettings = Annotated[BridgeFabricSettings | VxlanFabricSettings, Field(discriminator="kind")]
_adapter: Final[TypeAdapter[BridgeFabricSettings | VxlanFabricSettings]] = TypeAdapter(FabricSettings)


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
        return _adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InputError(f"{path}, {where}", f"is no fabric: {first['msg']}", "See docs/fabric.md") from error
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error}", "Mend it, or leave --fabric out") from error
