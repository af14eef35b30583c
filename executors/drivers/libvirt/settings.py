"""How a campaign on real hosts is carried out."""

from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from slacktide.executors.connections_file import HostAddress
from slacktide.executors.fabrics.settings import FabricSettings
from slacktide.executors.maintenance.action import MaintenanceAction
from slacktide.executors.probes.heartbeats import PORT
from slacktide.ids import HostId

METADATA_ADDRESS: Final = "169.254.169.254"
"""Where guests of public clouds ask: link-local, so that it means their own host everywhere."""
BRIDGE: Final = "br0"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbeSettings(_Part):
    """Where guests' heartbeats are heard."""

    port: int = Field(default=PORT, ge=1, le=65535)
    namespace: str | None = None
    """Network namespace of the agent's machine; null: its own."""


class MetadataSettings(_Part):
    """Where guests ask what is to come for them; ``{host}`` in a name stands for the host's id."""

    address: IPv4Address = IPv4Address(METADATA_ADDRESS)
    port: int = Field(default=80, ge=1, le=65535)
    bridge: str = Field(default=BRIDGE, min_length=1)
    """Of the host: who is not on it is a stranger."""
    namespace: str | None = None
    """Network namespace of the agent's machine that address and bridge are in; null: its own."""
    hosts: tuple[HostId, ...] | None = None
    """Hosts whose guests are answered; null: those of all addresses."""

    @property
    def is_of_any_host(self) -> bool:
        """Whether one machine can answer for several hosts: each has its own namespace there."""
        return self.namespace is not None and "{host}" in self.namespace


class LibvirtSettings(_Part):
    """What a driver for real hosts has to know beside the plan."""

    addresses: dict[HostId, HostAddress]
    maintenance: MaintenanceAction
    """What is done to a drained host."""
    shared_paths: tuple[PurePosixPath, ...] = ()
    """Folders that all hosts see."""
    probe: ProbeSettings | None = None
    """Null: blackouts are known by the hypervisor's count alone."""
    metadata: MetadataSettings | None = None
    """Null: guests are not told."""
    fabric: FabricSettings | None = None
    """Null: the network finds out by itself where guests are."""
    approve_as: str | None = None
    """Who approves waves whose gate asks for it; null: a person has to."""
