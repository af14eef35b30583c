"""The fleet snapshot in memory: hosts, VMs, services, links and failure domains at one moment."""

from dataclasses import dataclass

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict

FORMAT_VERSION = 1


class FleetMeta(BaseModel):
    """What ``fleet.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    taken_at: AwareDatetime
    """When the fleet looked like this, in UTC."""
    source: str
    licence: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """Five valid tables (:mod:`slacktide.datasets.schemas`), each sorted by its key, and where they come from."""

    meta: FleetMeta
    hosts: pl.DataFrame
    vms: pl.DataFrame
    services: pl.DataFrame
    links: pl.DataFrame
    domains: pl.DataFrame
