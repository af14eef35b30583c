"""A plan beside constants, as a table for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from slacktide.executors.readable import count, duration, host_hours, milliseconds
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.planner.streams.comparison import Figures

COLUMNS = (
    "migrations started",
    "makespan",
    "exposure",
    "drain, mean",
    "brownout, sum",
    "blackout, sum",
    "p50",
    "p99",
    "max",
    "over limit",
)


def comparison_table(rows: "Sequence[Figures]", hosts: int, migrations: int) -> Group:
    """Return the plan's row first, then one for each rule."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in _cells(row)), style="bold" if row.name == "plan" else None)
    title = f"{counted(hosts, 'host')}, {counted(migrations, 'migration')}, the same order and targets in every row"
    notes = [
        Text(f"{row.name}: {counted(row.let_out_against_limits, 'host')} drained against a limit", style="yellow")
        for row in rows
        if row.let_out_against_limits
    ]
    return Group(Text(title), table, *notes)


def _cells(row: "Figures") -> tuple[str, ...]:
    return (
        row.name,
        duration(row.makespan_s),
        host_hours(row.exposure_host_h),
        duration(row.drain_s),
        duration(row.brownout_s),
        duration(row.blackout_s),
        milliseconds(row.blackout_p50_ms),
        milliseconds(row.blackout_p99_ms),
        milliseconds(row.blackout_max_ms),
        count(row.over_limit),
    )
