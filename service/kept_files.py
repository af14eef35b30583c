"""Fleets and plans that the server keeps, as they are read again: files that have rotted are no fault of who asks.

A fleet's or a plan's name stands for all of its content.  So one is read whole, and compared with its name, before any
table of it is; then only if its files have changed.
"""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dataframely as dy
import polars as pl

from slacktide.datasets.files import read_snapshot
from slacktide.datasets.schemas import OPTIONAL
from slacktide.datasets.schemas import TABLES as FLEET_TABLES
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, SlacktideError, UsageError
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import TABLES as PLAN_TABLES
from slacktide.planner.plan_files import read_plan
from slacktide.service.fleet_intake import fleet_id_of

FAILURES: Final = (Exception, pl.exceptions.PanicException)
"""Whatever can go wrong: over some damaged files Polars raises what is no ``Exception``."""
MOST_KNOWN: Final = 10_000
"""Folders of which it is kept in mind that they are whole; then all are looked at anew."""
_PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps a sound file from being read for a moment."""
_FOLDER: Final = re.compile(r"/(fleet|plan)s/([0-9a-f]{16})\b")
_Files = tuple[tuple[str, int, int, int], ...]
_whole: Final[dict[Path, _Files]] = {}
"""Folders that were read whole, with the files that they had."""
_looking: Final = threading.Lock()


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
        files = _files(folder)
        snapshot = read_snapshot(folder)
        if _whole.get(folder) != files:
            _refuse_other(folder, fleet_id_of(snapshot))
            _note_whole(folder, files)
        return snapshot


def kept_plan(folder: Path) -> Plan:
    """Return the plan in a folder of the server's; errors as :func:`kept_fleet`."""
    with reading(folder):
        files = _files(folder)
        plan = read_plan(folder)
        _refuse_other(folder, plan.header.id)
        _note_whole(folder, files)
        return plan


def fleet_table(folder: Path, name: str, filters: Sequence[pl.Expr] = (), columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return the rows that filters leave of a table of a fleet; errors as :func:`kept_fleet`.

    Parameters
    ----------
    columns
        Those that are wanted; none: all.
    """
    _see_whole(folder, kept_fleet)
    return _table(folder, name, FLEET_TABLES[name], filters, columns)


def plan_table(folder: Path, name: str, filters: Sequence[pl.Expr] = (), columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return the same of a table of a plan."""
    _see_whole(folder, kept_plan)
    return _table(folder, name, PLAN_TABLES[name], filters, columns)


def _see_whole(folder: Path, read: Callable[[Path], object]) -> None:
    """Read all of a folder whose files have changed since, or were not looked at by this process."""
    with reading(folder):
        if _whole.get(folder) == _files(folder):
            return
        with _looking:  # others want the same one, mostly: once is enough
            if _whole.get(folder) != _files(folder):
                read(folder)


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


def _table(
    folder: Path, name: str, schema: type[dy.Schema], filters: Sequence[pl.Expr], columns: Sequence[str]
) -> pl.DataFrame:
    with reading(folder):
        scanned = pl.scan_parquet(folder / f"{name}.parquet", glob=False)
        found, declared = scanned.collect_schema(), schema.columns()
        absent = [pl.lit(None).alias(column) for column in OPTIONAL.get(name, ()) if column not in found]
        wanted = columns or list(declared)
        table = scanned.with_columns(absent).filter(*filters).select(wanted).collect()
        return table.cast({column: declared[column].dtype for column in wanted})


def _files(folder: Path) -> _Files:
    """Return by what it is known whether the files of a folder are those of before."""
    with os.scandir(folder) as found:
        known = ((each.name, each.stat()) for each in found)
        return tuple(sorted((name, of.st_size, of.st_mtime_ns, of.st_ino) for name, of in known))


def _note_whole(folder: Path, files: _Files) -> None:
    if len(_whole) >= MOST_KNOWN:
        _whole.clear()
    _whole[folder] = files


def _said(folder: Path) -> str:
    found = _FOLDER.search(str(folder))
    return str(folder.name) if found is None else f"{found[1]} {found[2]}"


def _refuse_other(folder: Path, name: str) -> None:
    """Refuse content that is not what the folder's name stands for."""
    found = _FOLDER.search(str(folder))
    if found is not None and name != found[2]:
        raise DamagedError(_said(folder))
