"""How a campaign on real hosts is carried out."""

from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from slacktide.executors.connections_file import HostAddress
from slacktide.executors.maintenance.action import MaintenanceAction
from slacktide.executors.probes.heartbeats import PORT
from slacktide.ids import HostId


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbeSettings(_Part):
    """Where guests' heartbeats are heard."""

    port: int = Field(default=PORT, ge=1, le=65535)
    namespace: str | None = None
    """Network namespace of the agent's machine; null: its own."""


class LibvirtSettings(_Part):
    """What a driver for real hosts has to know beside the plan."""

    addresses: dict[HostId, HostAddress]
    maintenance: MaintenanceAction
    """What is done to a drained host."""
    shared_paths: tuple[PurePosixPath, ...] = ()
    """Folders that all hosts see."""
    probe: ProbeSettings | None = None
    """Null: blackouts are known by the hypervisor's count alone."""
    approve_as: str | None = None
    """Who approves waves whose gate asks for it; null: a person has to."""
