"""What a release engineer asks for in a file: a level, the hosts below it, by when."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.triggers.fields import read_model
from slacktide.executors.triggers.levels import Order, is_below
from slacktide.planner.policy import DomainName
from slacktide.planner.strict_files import FileKind

KIND: Final = FileKind(
    "maintenance request",
    "request-file",
    "Write fields and values: `id: kernel-6.1.119` and `patch_level: 6.1.119-1` at least",
)
MOST_BYTES: Final = 2**18
"""Of a request's file: room for the ids of ten thousand hosts, and YAML reads so much within seconds.  Racks, domains
and machine types name more."""
Urgency = Literal["urgent", "routine"]


class Due(BaseModel):
    """Which hosts are due: those below a level, of the kinds that are named; what is left out names all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch_level: str = Field(min_length=1)
    """What a host's patch level reads once it has returned."""
    order: Order = "version"
    """What counts as below it."""
    levels: tuple[str, ...] = ()
    """Levels from old to new, ``patch_level`` among them, for the order ``listed``."""
    machine_types: tuple[str, ...] = ()
    racks: tuple[str, ...] = ()
    domains: tuple[DomainName, ...] = ()
    """Failure domains; a host in any of them is meant."""
    hosts: tuple[str, ...] = ()
    """Ids."""
    exclude: tuple[str, ...] = ()
    """Ids of hosts that are left alone."""

    @model_validator(mode="after")
    def _consistent(self) -> "Due":
        if self.order == "listed" and self.patch_level not in self.levels:
            raise ValueError("`levels` does not have `patch_level`; list the levels from old to new, that one too")
        if self.order != "listed" and self.levels:
            raise ValueError("`levels` is for `order: listed`; write that, or leave `levels` out")
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("`levels` names one level twice; remove the second")
        if both := set(self.hosts) & set(self.exclude):
            raise ValueError(f"both names and excludes {min(both)}; remove it from one of them")
        return self

    @cached_property
    def named(self) -> tuple[frozenset[str], ...]:
        """Which hosts are named, whatever their level and in whatever order."""
        fields = (self.machine_types, self.racks, self.domains, self.hosts, self.exclude)
        return tuple(frozenset(map(str, values)) for values in fields)

    def in_fleet(self, snapshot: FleetSnapshot) -> list[str]:
        """Return the due hosts of a fleet, in its order."""
        hosts = snapshot.hosts
        named = pl.lit(True)
        for column, values in (("machine_type", self.machine_types), ("rack_id", self.racks), ("host_id", self.hosts)):
            if values:
                named = named & pl.col(column).is_in(list(values))
        if self.domains:
            wanted = {(domain.kind, domain.id) for domain in self.domains}
            rows = snapshot.domains.select("host_id", "kind", "domain_id").iter_rows()
            within = [host for host, kind, domain in rows if (str(kind), domain) in wanted]
            named = named & pl.col("host_id").is_in(within)
        named = named & ~pl.col("host_id").is_in(list(self.exclude))
        rows = hosts.filter(named).select("host_id", "patch_level").iter_rows()
        return [host for host, level in rows if is_below(level, self.patch_level, self.order, self.levels)]

    def unknown(self, snapshot: FleetSnapshot) -> list[str]:
        """Return the ids that are named and the fleet does not have."""
        known = set(snapshot.hosts["host_id"])
        return [name for name in (*self.hosts, *self.exclude) if name not in known]


class MaintenanceRequest(Due):
    """One request."""

    id: str = Field(min_length=1, max_length=120, pattern=r"^[\w.+:@-]+$")
    """Its name, which is the same however its file is called."""
    reason: str = ""
    by: str = ""
    """Who asks."""
    urgency: Urgency = "routine"
    deadline: AwareDatetime | None = None
    """By when the hosts should have returned."""

    @cached_property
    def due(self) -> Due:
        """Which hosts are due, without the rest."""
        return Due.model_validate({name: getattr(self, name) for name in Due.model_fields})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what is asked, however the file is written."""
        return digest_of(self.model_dump(mode="json"))

    @cached_property
    def work(self) -> str:
        """The SHA-256 of what is to be done, whoever asks for it under whatever name."""
        kept = self.model_dump(mode="json", exclude={"id", "reason", "by"})
        return digest_of(kept)


def digest_of(fields: Mapping[str, object]) -> str:
    """Return the SHA-256 of fields and values."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def read_request(path: Path) -> MaintenanceRequest:
    """Return the request in a YAML or JSON file; errors as :func:`~slacktide.executors.triggers.fields.read_model`."""
    return read_model(path, KIND, MaintenanceRequest, MOST_BYTES)
