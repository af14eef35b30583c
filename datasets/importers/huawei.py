"""VMs of the Huawei-East-1 trace that are alive at one moment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from slacktide.datasets.calibration import VmSize
from slacktide.datasets.importers.traces import TraceColumn, read_trace
from slacktide.errors import UsageError

COLUMNS: Final = {
    "vmid": TraceColumn(pl.String, unique=True),
    "cpu": TraceColumn(pl.Int64, least=1),
    "mem": TraceColumn(pl.Float64, least=2**-10),
    "at": TraceColumn(pl.Float64, least=0),
    "lt": TraceColumn(pl.Float64, least=0),
}
"""vCPUs, memory in GiB, arrival and lifetime in the trace's unit of time."""

SOURCE: Final = "Huawei-East-1 trace of VM requests"
LICENCE: Final = "CC BY-NC 4.0"


@dataclass(frozen=True, slots=True)
class AliveVms:
    """The VMs alive at ``at``: ``vm_id``, ``vcpus``, ``memory_mib``, sorted by ``vm_id``."""

    at: float
    vms: pl.DataFrame

    @property
    def sizes(self) -> tuple[VmSize, ...]:
        """Return their sizes with the share of each, smallest first."""
        counted = self.vms.group_by("vcpus", "memory_mib").len().sort("memory_mib", "vcpus")
        return tuple(
            VmSize(vcpus, memory_mib, count / len(self.vms)) for vcpus, memory_mib, count in counted.iter_rows()
        )


def read_huawei(path: Path) -> pl.DataFrame:
    """Return the requests: ``vm_id``, ``vcpus``, ``memory_mib``, ``arrives``, ``leaves``.

    Raises
    ------
    UsageError, InputError
        If the file is missing or wrong.
    """
    trace = read_trace(path, COLUMNS)
    return trace.select(
        vm_id=pl.format("vm-{}", pl.col("vmid").str.zfill(pl.col("vmid").str.len_bytes().max())),
        vcpus=pl.col("cpu").cast(pl.Int32),
        memory_mib=(pl.col("mem") * 1024).round().cast(pl.Int64),
        arrives="at",
        leaves=pl.col("at") + pl.col("lt"),
    ).sort("vm_id")


def alive(requests: pl.DataFrame, at: float | None = None) -> AliveVms:
    """Return the VMs alive at ``at``: arrived by then, not yet gone.

    Without ``at`` it is the first moment with the most alive; at equal times departures come before arrivals.

    Raises
    ------
    UsageError
        If none is alive at ``at``.
    """
    moment = busiest_moment(requests) if at is None else at
    vms = requests.filter((pl.col("arrives") <= moment) & (pl.col("leaves") > moment))
    if vms.is_empty():
        least, most = requests.select(pl.col("arrives").min(), pl.col("leaves").max()).row(0)
        raise UsageError(
            f"moment {moment:g}", "no VM of the trace is alive then", f"Choose one between {least:g} and {most:g}"
        )
    return AliveVms(moment, vms.select("vm_id", "vcpus", "memory_mib"))


def busiest_moment(requests: pl.DataFrame) -> float:
    """Return the first moment at which the most VMs are alive."""
    events = pl.concat(
        [
            requests.select(moment="arrives", change=pl.lit(1, pl.Int64)),
            requests.select(moment="leaves", change=pl.lit(-1, pl.Int64)),
        ]
    ).sort("moment", "change")
    return float(events["moment"][events["change"].cum_sum().arg_max() or 0])
