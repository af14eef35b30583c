"""Fleet snapshots on disk: a directory of Parquet tables and ``fleet.json``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import ValidationError

from slacktide.atomic import write_directory
from slacktide.datasets.digest import in_key_order
from slacktide.datasets.parquet import parquet_bytes, read_parquet
from slacktide.datasets.references import OVERFULL
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FORMAT_VERSION, FleetMeta, FleetSnapshot
from slacktide.datasets.validation import checked_tables, errors_first, refuse_errors
from slacktide.errors import UsageError
from slacktide.findings import Finding, errors_in
from slacktide.object_store import AnyPath, StoredPath, steady

META_FILE: Final = "fleet.json"
FILE_NAMES: Final = (*(f"{name}.parquet" for name in TABLES), META_FILE)
"""What a snapshot directory holds."""
PLAN_FILE: Final = "plan.json"
"""What a plan's directory holds in its stead; the two are easily given in the wrong order."""


def write_snapshot(snapshot: FleetSnapshot, path: AnyPath) -> None:
    """Write a snapshot as a directory, replacing a snapshot that is there as a whole.

    The same content gives the same bytes.

    Raises
    ------
    UsageError
        If ``path`` is a file, or a directory that is no snapshot.
    OutputError
        If it cannot be written (disk full, no permission); what was there is untouched, nothing else is left.
    """
    _refuse_other(path)
    contents = {f"{name}.parquet": _parquet(name, getattr(snapshot, name)) for name in TABLES}
    meta = snapshot.meta.model_dump(mode="json")
    contents[META_FILE] = (json.dumps(meta, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    write_directory(path, contents, FILE_NAMES, META_FILE)


def read_snapshot(path: AnyPath, *, overfull: bool = False) -> FleetSnapshot:
    """Read a snapshot and check everything about it.

    ``overfull``: hosts may hold more than they sell, as where others fill them while a campaign runs.

    Raises
    ------
    UsageError
        If there is no directory at ``path``.
    InputError
        With every finding, if one has severity ``error``.
    """
    snapshot, findings = check_snapshot(path, overfull=overfull)
    refuse_errors(findings, str(path))
    assert snapshot is not None
    return snapshot


def check_snapshot(path: AnyPath, *, overfull: bool = False) -> tuple[FleetSnapshot | None, tuple[Finding, ...]]:
    """Return the snapshot at ``path``, or None if a finding is an error, and every finding, errors first.

    ``overfull``: that hosts hold more than they sell is a warning.

    Raises
    ------
    UsageError
        If there is no directory at ``path``.
    """
    if not path.is_dir():
        fact = "is not a directory" if path.exists() else "does not exist"
        raise UsageError(str(path), fact, "Give the directory of a fleet snapshot")
    if not (path / META_FILE).exists() and (path / PLAN_FILE).exists():
        raise UsageError(str(path), f"holds {PLAN_FILE}: it is a plan, and no fleet", "Give the fleet's directory")
    findings: list[Finding] = []
    with steady(path / META_FILE):
        meta = _read_meta(path, findings)
        tables = {name: _read_table(path / f"{name}.parquet", findings) for name in TABLES}
    read = {name: table for name, table in tables.items() if table is not None}
    checked, wrong = checked_tables(read)
    findings += [replace(each, severity="warning") if overfull and each.rule in OVERFULL else each for each in wrong]
    if meta is None or errors_in(findings):
        return None, errors_first(tuple(findings))
    return FleetSnapshot(meta=meta, **checked), errors_first(tuple(findings))


def read_new_vms(path: Path) -> pl.DataFrame:
    """Read VMs that are to join a fleet: a Parquet file with the columns of a snapshot's ``vms``.

    Raises
    ------
    UsageError
        If there is no file at ``path``.
    InputError
        With every finding, if one has severity ``error``.
    """
    if not path.is_file():
        fact = "is not a file" if path.exists() else "does not exist"
        raise UsageError(str(path), fact, "Give a Parquet file with the columns of the fleet's vms.parquet")
    findings: list[Finding] = []
    checked: dict[str, pl.DataFrame] = {}
    table = _read_table(path, findings)
    if table is not None:
        checked, wrong = checked_tables({"vms": table})
        findings += [replace(each, file=path.name) for each in wrong]
    refuse_errors(tuple(findings), str(path))
    return checked["vms"]


def _refuse_other(path: AnyPath) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(str(path), "is a file", "Give the path of a new directory, or of a fleet snapshot to replace")
    there = path.names() if isinstance(path, StoredPath) else [entry.name for entry in path.iterdir()]
    others = sorted(name for name in there if name not in FILE_NAMES)
    if others:
        raise UsageError(
            str(path),
            f"is a directory that is no fleet snapshot: it holds {others[0]}",
            "Give the path of a new directory, or of a fleet snapshot to replace",
        )


def _parquet(name: str, table: pl.DataFrame) -> bytes:
    schema = TABLES[name]
    return parquet_bytes(in_key_order(table.select(schema.column_names()), schema.primary_key()))


def _read_table(file: AnyPath, findings: list[Finding]) -> pl.DataFrame | None:
    content = _read_bytes(file, findings)
    if content is None:
        return None
    try:
        return read_parquet(content)
    except ValueError as error:
        findings.append(_unreadable(file, "is no readable Parquet file", str(error)))
        return None


def _read_bytes(file: AnyPath, findings: list[Finding]) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        remedy = "Restore the file; a fleet snapshot has " + ", ".join(FILE_NAMES)
        findings.append(Finding("file-missing", f"{file.name} is missing", remedy, file=file.name))
    except OSError as error:
        findings.append(_unreadable(file, "cannot be read", error.strerror or str(error)))
    return None


def _unreadable(file: AnyPath, fact: str, reason: str) -> Finding:
    first_line = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    remedy = "Write the file again, or restore it from where it came; it may be truncated"
    return Finding("file-unreadable", f"{file.name} {fact}: {first_line}", remedy, file=file.name)


def _read_meta(path: AnyPath, findings: list[Finding]) -> FleetMeta | None:
    content = _read_bytes(path / META_FILE, findings)
    if content is None:
        return None
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        findings.append(_unreadable(path / META_FILE, "is no JSON", str(error)))
        return None
    version = data.get("format_version") if isinstance(data, dict) else FORMAT_VERSION
    if type(version) is not int or version != FORMAT_VERSION:
        fact = f"format_version is {json.dumps(version)}; this release reads version {FORMAT_VERSION}"
        remedy = "Generate or import the snapshot again, or use the release that wrote it"
        findings.append(Finding("format-version", fact, remedy, file=META_FILE))
        return None
    try:
        return FleetMeta.model_validate_json(content)
    except ValidationError as error:
        for wrong in error.errors():
            place = ".".join(str(part) for part in wrong["loc"]) or "the file"
            message = f"{place}: {wrong['msg'].lower()}"
            findings.append(Finding("fleet-field", message, "Correct the field", file=META_FILE))
        return None
