"""Fleets and plans that the server keeps, as they are read again: files that have rotted are no fault of who asks."""

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dataframely as dy
import polars as pl

from slacktide.datasets.columns import structure_findings
from slacktide.datasets.files import read_snapshot
from slacktide.datasets.schemas import OPTIONAL
from slacktide.datasets.schemas import TABLES as FLEET_TABLES
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, SlacktideError, UsageError
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import TABLES as PLAN_TABLES
from slacktide.planner.plan_files import read_plan

_PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps a sound file from being read for a moment."""
_FOLDER: Final = re.compile(r"/(fleet|plan)s/([0-9a-f]{16})\b")


class DamagedError(SlacktideError):
    """Files of a fleet or plan that the server keeps are gone or damaged."""

    def __init__(self, subject: str) -> None:
        remedy = "Have whoever runs the server find out what else is: `slacktide store check`; and restore a backup"
        super().__init__(subject, "has files that are gone or damaged", remedy)

    def __reduce__(self) -> tuple[type["DamagedError"], tuple[str]]:
        return type(self), (self.subject,)


def kept_fleet(folder: Path) -> FleetSnapshot:
    """Return the fleet in a folder of the server's.

    Raises
    ------
    DamagedError
        If it cannot be read as it was written.
    """
    with reading(folder):
        return read_snapshot(folder)


def kept_plan(folder: Path) -> Plan:
    """Return the plan in a folder of the server's; errors as :func:`kept_fleet`."""
    with reading(folder):
        return read_plan(folder)


def fleet_table(folder: Path, name: str, filters: Sequence[pl.Expr] = (), columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return the rows that filters leave of a table of a fleet; errors as :func:`kept_fleet`.

    Parameters
    ----------
    columns
        Those that are wanted; none: all.
    """
    return _table(folder, name, FLEET_TABLES[name], filters, columns)


def plan_table(folder: Path, name: str, filters: Sequence[pl.Expr] = (), columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return the same of a table of a plan."""
    return _table(folder, name, PLAN_TABLES[name], filters, columns)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Have whatever shows in the block that a fleet's or a plan's folder is not as it was written be said as that.

    A reader that panics on damaged pages raises what is no ``Exception``: here it becomes one.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _PASSING:
            raise
        raise DamagedError(_said(folder)) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DamagedError(_said(folder)) from error
    except (UsageError, InputError) as error:
        if not error.subject.startswith(str(folder)):
            raise
        raise DamagedError(_said(folder)) from error


def damage_in(error: BaseException, data: str) -> DamagedError | None:
    """Return the error of files in the data directory that are gone or damaged, read without :func:`reading`.

    None: it is another.
    """
    if isinstance(error, DamagedError):
        return error
    unread = isinstance(error, pl.exceptions.ComputeError) and str(error).startswith("parquet:")
    named = ""
    if isinstance(error, FileNotFoundError):
        named = str(error)  # Polars leaves out where a long path begins
    elif isinstance(error, (UsageError, InputError)) and data and error.subject.startswith(data):
        named = error.subject
    found = _FOLDER.search(named)
    if not unread and found is None:
        return None
    return DamagedError("what the server keeps" if found is None else f"{found[1]} {found[2]}")


def _table(
    folder: Path, name: str, schema: type[dy.Schema], filters: Sequence[pl.Expr], columns: Sequence[str]
) -> pl.DataFrame:
    with reading(folder):
        scanned = pl.scan_parquet(folder / f"{name}.parquet", glob=False)
        found, declared = scanned.collect_schema(), schema.columns()
        if not columns and next(structure_findings(name, schema, pl.DataFrame(schema=found)), None) is not None:
            raise DamagedError(_said(folder))
        absent = [pl.lit(None).alias(column) for column in OPTIONAL.get(name, ()) if column not in found]
        wanted = columns or list(declared)
        table = scanned.with_columns(absent).filter(*filters).select(wanted).collect()
        table = table.cast({column: declared[column].dtype for column in wanted})
    for column in table.get_columns():
        is_whole = declared[column.name].nullable or column.null_count() == 0
        if not is_whole or (column.dtype.is_float() and not column.is_finite().all()):
            raise DamagedError(_said(folder))
    return table


def _said(folder: Path) -> str:
    found = _FOLDER.search(str(folder))
    return str(folder.name) if found is None else f"{found[1]} {found[2]}"
