"""Fleets and plans that the server keeps, as they are read again: files that have rotted are no fault of who asks.

Their bytes are compared with what was noted of them before anything of them is read, and again once the files have
changed.  Of what was kept without such a note the content is compared with its name, which stands for it.
"""

import errno
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import dataframely as dy
import polars as pl

from slacktide.datasets.files import FILE_NAMES as FLEET_FILES
from slacktide.datasets.files import read_snapshot
from slacktide.datasets.schemas import OPTIONAL
from slacktide.datasets.schemas import TABLES as FLEET_TABLES
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, SlacktideError, UsageError
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.standing import Load, Loaded, revisions_in
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import FILE_NAMES as PLAN_FILES
from slacktide.planner.plan_files import TABLES as PLAN_TABLES
from slacktide.planner.plan_files import read_plan
from slacktide.service.fleet_intake import fleet_id_of
from slacktide.service.kept_sums import SUMS, changed_files, note_sums, sums_of

FAILURES: Final = (Exception, pl.exceptions.PanicException)
"""Whatever can go wrong: over some damaged files Polars raises what is no ``Exception``."""
MOST_KNOWN: Final = 10_000
"""Folders of which it is kept in mind what was found; then all are looked at anew."""
LOOKS: Final = 3
"""Times that a folder is read whose files change meanwhile."""
_PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps a sound file from being read for a moment."""
_OURS: Final = frozenset({*FLEET_FILES, *PLAN_FILES, SUMS})
_KINDS: Final = {"fleets": "fleet", "plans": "plan", "campaigns": "campaign"}
_Files = tuple[tuple[str, int, int, int, int], ...]
_found: Final[dict[Path, tuple[_Files, bool]]] = {}
"""Folders that were looked at, with the files that they had, and whether these were sound."""
_locks: Final[dict[Path, threading.Lock]] = {}
Read = TypeVar("Read")


class DamagedError(SlacktideError):
    """Files of a fleet or plan that the server keeps are gone or damaged."""

    def __init__(self, subject: str) -> None:
        remedy = "Have whoever runs the server find out what else is: `slacktide store check`; and restore a backup"
        again = ", or send the fleet again" if subject.startswith("fleet ") else ""
        super().__init__(subject, "has files that are gone or damaged", f"{remedy}{again}")

    def __reduce__(self) -> tuple[type["DamagedError"], tuple[str]]:
        return type(self), (self.subject,)


def kept_fleet(folder: Path) -> FleetSnapshot:
    """Return the fleet in a folder of the server's.

    Raises
    ------
    DamagedError
        If it cannot be read as it was written.
    """
    return _sound(folder, _compare_fleet, lambda: read_snapshot(folder))


def kept_plan(folder: Path) -> Plan:
    """Return the plan in a folder of the server's; errors as :func:`kept_fleet`."""
    return _sound(folder, _compare_plan, lambda: read_plan(folder))


def kept_revisions(directory: Path) -> Load:
    """Return what loads the revisions of the campaign in a directory of the server's; errors as :func:`kept_fleet`."""
    load = revisions_in(directory)

    def loaded(event: PlanRevised) -> Loaded:
        with reading(directory):
            return load(event)

    return loaded


def fleet_table(folder: Path, name: str, filters: Sequence[pl.Expr] = (), columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return the rows that filters leave of a table of a fleet; errors as :func:`kept_fleet`.

    Parameters
    ----------
    columns
        Those that are wanted; none: all.
    """
    return _sound(folder, _compare_fleet, lambda: _table(folder, name, FLEET_TABLES[name], filters, columns))


def plan_table(folder: Path, name: str, filters: Sequence[pl.Expr] = (), columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return the same of a table of a plan."""
    return _sound(folder, _compare_plan, lambda: _table(folder, name, PLAN_TABLES[name], filters, columns))


def refuse_damaged_fleet(folder: Path) -> None:
    """Refuse the fleet in a folder of the server's that is not as it was written; errors as :func:`kept_fleet`."""
    _refuse_damaged(folder, _compare_fleet)


def refuse_damaged_plan(folder: Path) -> None:
    """Refuse a plan likewise."""
    _refuse_damaged(folder, _compare_plan)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Have whatever shows in the block that a folder of the server's is not as it was written be said as that.

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


def _sound(folder: Path, compare: Callable[[Path], None], read: Callable[[], Read]) -> Read:
    """Return what is read of a folder that is sound before, and has the same files after."""
    for _ in range(LOOKS):
        files = _refuse_damaged(folder, compare)
        with reading(folder):
            found = read()
            if _files(folder) == files:
                return found
    raise DamagedError(_said(folder))


def _refuse_damaged(folder: Path, compare: Callable[[Path], None]) -> _Files:
    """Return the files of a sound folder; one whose files are those of before is not looked into again."""
    with reading(folder):
        files = _files(folder)
        known = _found.get(folder)
        if known is None or known[0] != files:
            with _locks.setdefault(folder, threading.Lock()):  # others want the same one, mostly: once is enough
                files = _files(folder)
                known = _found.get(folder)
                if known is None or known[0] != files:
                    known = files, _is_sound(folder, compare)
                    _note(folder, known)
    if not known[1]:
        raise DamagedError(_said(folder))
    return files


def _is_sound(folder: Path, compare: Callable[[Path], None]) -> bool:
    """Look into a folder: at its bytes where something is noted of them, else at what is read of them."""
    try:
        with reading(folder):
            changed = changed_files(folder)
            if changed is None:
                sums = sums_of(folder)
                compare(folder)
                note_sums(folder, sums)
    except DamagedError:
        return False
    return not changed


def _compare_fleet(folder: Path) -> None:
    _refuse_other(folder, fleet_id_of(read_snapshot(folder)))


def _compare_plan(folder: Path) -> None:
    _refuse_other(folder, read_plan(folder).header.id)


def _refuse_other(folder: Path, name: str) -> None:
    """Refuse content that is not what the folder's name stands for."""
    if name != folder.name:
        raise DamagedError(_said(folder))


def _table(
    folder: Path, name: str, schema: type[dy.Schema], filters: Sequence[pl.Expr], columns: Sequence[str]
) -> pl.DataFrame:
    # Not of a mapped file: whoever rewrites that in place ends the process that reads it.
    scanned = pl.scan_parquet(io.BytesIO((folder / f"{name}.parquet").read_bytes()))
    found, declared = scanned.collect_schema(), schema.columns()
    absent = [pl.lit(None).alias(column) for column in OPTIONAL.get(name, ()) if column not in found]
    wanted = columns or list(declared)
    table = scanned.with_columns(absent).filter(*filters).select(wanted).collect()
    return table.cast({column: declared[column].dtype for column in wanted})


def _files(folder: Path) -> _Files:
    """Return by what it is known whether the files of a folder are those of before."""
    with os.scandir(folder) as found:
        known = ((each.name, each.stat()) for each in found if each.name in _OURS)
        return tuple(sorted((name, of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino) for name, of in known))


def _note(folder: Path, found: tuple[_Files, bool]) -> None:
    if len(_found) >= MOST_KNOWN:
        _found.clear()
        _locks.clear()
    _found[folder] = found


def _said(folder: Path) -> str:
    return f"{_KINDS.get(folder.parent.name, 'folder')} {folder.name}"
