"""Machines and failure domains of the Alibaba cluster trace 2018."""

from pathlib import Path
from typing import Final

import polars as pl

from slacktide.datasets.calibration import ALIBABA_2018, MachineType
from slacktide.datasets.fabric import fabric_links
from slacktide.datasets.importers.traces import TraceColumn, read_trace
from slacktide.datasets.schemas import HOST_STATES
from slacktide.errors import UsageError
from slacktide.topology.builders import Rates

COLUMNS: Final = {
    "machine_id": TraceColumn(pl.String, unique=True),
    "failure_domain_1": TraceColumn(pl.Int64),
    "failure_domain_2": TraceColumn(pl.Int64),
    "cpu_num": TraceColumn(pl.Int64, least=1),
    "mem_size": TraceColumn(pl.Float64, least=0.01),
    "status": TraceColumn(pl.String),
}
"""Cores; memory as a share of the largest machine's, in percent."""

IN_USE: Final = "USING"
"""Status of a machine in service; any other is imported as ``quarantined``."""

SOURCE: Final = "Alibaba cluster trace 2018"
LICENCE: Final = "research and study use"


def read_alibaba(path: Path, hosts: int | None = None) -> pl.DataFrame:
    """Return the machines, rack by rack, at most the first ``hosts`` of them.

    Raises
    ------
    UsageError, InputError
        If the file is missing or wrong, or has fewer machines.
    """
    machines = read_trace(path, COLUMNS).with_columns(
        number=pl.col("machine_id").str.extract(r"(\d+)$").cast(pl.Int64, strict=False)
    )
    machines = machines.sort("failure_domain_1", "number", "machine_id").drop("number")
    if hosts is None:
        return machines
    if not 1 <= hosts <= len(machines):
        raise UsageError(f"{hosts} hosts", f"the trace has {len(machines)} machines", f"Ask for 1 to {len(machines)}")
    return machines.head(hosts)


def host_frame(
    machines: pl.DataFrame, machine: MachineType = ALIBABA_2018, patch_level: str = "unpatched"
) -> pl.DataFrame:
    """Return ``hosts.parquet`` in the order of ``machines``, every host in service ``empty``.

    Cores and relative memory are the trace's; what a whole machine sells of memory, its migration bandwidth and its
    maintenance time are those of ``machine``.  A machine sells as many vCPUs as it has cores, and its share of
    ``machine.memory_mib``.
    """
    return machines.select(
        host_id="machine_id",
        rack_id=_domain("rack", "failure_domain_1", 3),
        machine_type=pl.lit(machine.name),
        vcpus=pl.col("cpu_num").cast(pl.Int32),
        memory_mib=(pl.col("mem_size") / 100 * machine.memory_mib).round().cast(pl.Int64),
        migration_mbit_s=pl.lit(machine.migration_mbit_s, dtype=pl.Int64),
        patch_level=pl.lit(patch_level),
        maintenance_s=pl.lit(machine.maintenance_s, dtype=pl.Int64),
        state=pl.when(pl.col("status") == IN_USE)
        .then(pl.lit("empty"))
        .otherwise(pl.lit("quarantined"))
        .cast(pl.Enum(HOST_STATES)),
    )


def domain_frame(machines: pl.DataFrame) -> pl.DataFrame:
    """Return ``domains.parquet``: the first kind of failure domain as racks, the second as power feeds.

    They are not a tree: a rack may be on two or three power feeds.
    """
    racks = machines.select("machine_id", kind=pl.lit("rack"), domain_id=_domain("rack", "failure_domain_1", 3))
    feeds = machines.select("machine_id", kind=pl.lit("power"), domain_id=_domain("power", "failure_domain_2", 2))
    return pl.concat([racks, feeds]).rename({"machine_id": "host_id"}).sort("host_id", "kind")


def link_frame(hosts: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """Return ``links.parquet``: the trace has no links, so a leaf-spine is laid over the racks."""
    return fabric_links(hosts["host_id"].to_list(), hosts["rack_id"].to_list(), "leaf_spine", rates)


def _domain(kind: str, column: str, digits: int) -> pl.Expr:
    return pl.format(kind + "-{}", pl.col(column).cast(pl.String).str.zfill(digits))
