"""Plans on disk: a directory of Parquet tables and ``plan.json``."""

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any, Final

import dataframely as dy
import polars as pl
from pydantic import ValidationError

from slacktide import atomic
from slacktide.datasets.columns import cast_table, row_findings, structure_findings
from slacktide.datasets.digest import in_key_order
from slacktide.datasets.listing import ROW
from slacktide.errors import InputError, SlacktideError, UsageError
from slacktide.findings import Finding, errors_in
from slacktide.object_store import AnyPath, steady
from slacktide.planner.plan import (
    FORMAT_VERSION,
    BlackoutSummary,
    DeferredTable,
    Plan,
    PlanHeader,
    PlannedHostTable,
    PlannedMigrationTable,
    WaveTable,
)
from slacktide.planner.plan_references import reference_findings
from slacktide.planner.policy_files import meaning

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HEADER_FILE: Final = "plan.json"
TABLES: Final[dict[str, type[dy.Schema]]] = {
    "waves": WaveTable,
    "hosts": PlannedHostTable,
    "migrations": PlannedMigrationTable,
    "deferred": DeferredTable,
}
FILE_NAMES: Final = (HEADER_FILE, *(f"{name}.parquet" for name in TABLES))
"""What a plan directory holds."""

ID_DIGITS: Final = 16
"""Hex digits of a plan's id: 64 bits, so that two of a million plans collide with a chance below 10**-7."""


def write_plan(plan: Plan, path: AnyPath) -> None:
    """Write ``plan`` to a directory at ``path``, whole or not at all; a plan that is there is replaced.

    The same plan gives the same bytes.

    Raises
    ------
    OutputError
        If it cannot be written, or ``path`` holds something that is no plan.
    """
    contents = {HEADER_FILE: (json.dumps(plan.header.model_dump(mode="json"), indent=2) + "\n").encode()}
    for name in TABLES:
        buffer = io.BytesIO()
        getattr(plan, name).write_parquet(buffer)
        contents[f"{name}.parquet"] = buffer.getvalue()
    atomic.write_directory(path, contents, FILE_NAMES, HEADER_FILE)


def read_plan(path: AnyPath) -> Plan:
    """Return the plan in the directory ``path``.

    Raises
    ------
    UsageError
        If there is no such directory.
    InputError
        If it is not a plan that fits together and is unchanged since it was made; the findings say where.
    """
    if not path.is_dir():
        fact = "is not a directory" if path.exists() else "there is no such directory"
        raise UsageError(str(path), fact, "Give the path of a plan, as `slacktide plan -o` made it")
    findings: list[Finding] = []
    with steady(path / HEADER_FILE):
        header = _read_header(path / HEADER_FILE, findings)
        tables = {name: _read_table(path, name, findings) for name in TABLES}
    sound = {name: table for name, table in tables.items() if table is not None}
    if header is None or len(sound) < len(TABLES) or errors_in(findings):
        raise _refused(path, findings)
    plan = Plan(header, **sound)
    findings += reference_findings(plan)
    if not findings and plan_id(plan) != header.id:
        findings.append(
            Finding(
                "plan-id",
                f"the plan's content is not what its id {header.id} stands for; it was changed after it was made",
                "Make the plan again",
                file=HEADER_FILE,
            )
        )
    if findings:
        raise _refused(path, findings)
    return plan


def first_gate(path: AnyPath) -> str | None:
    """Return what opens the first wave of the plan in ``path``, from one small table; None: it cannot be read."""
    gates = gates_in(path)
    return gates[0] if gates else None


def gates_in(path: AnyPath) -> tuple[str, ...]:
    """Return what opens each wave of the plan in ``path``, in order; nothing where it cannot be read."""
    try:
        content = io.BytesIO((path / "waves.parquet").read_bytes())
        gates = pl.read_parquet(content, columns=["gate"])["gate"]
    except (OSError, SlacktideError, pl.exceptions.PolarsError):
        return ()
    return tuple(map(str, gates))


def plan_id(plan: Plan) -> str:
    """Return the id that belongs to the plan's content: everything but the id itself and ``planning_s``."""
    header = plan.header.model_dump(mode="json")
    summary = header["summary"]
    header["policy"] = meaning(header["policy"])
    summary["predicted_blackout_ms"] = _blackouts_of_all(plan)
    header["summary"] = {
        name: value for name, value in summary.items() if value is not None or not name.startswith("weighted_")
    }
    del header["id"], header["summary"]["planning_s"]
    if plan.header.revision is None:
        del header["revision"]
    state = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, schema in TABLES.items():
        table: pl.DataFrame = getattr(plan, name)
        state.update(f"\n{name} {table.height}\n".encode())
        table.select(schema.column_names()).write_ndjson(_Hashing(state))
    return state.hexdigest()[:ID_DIGITS]


def _blackouts_of_all(plan: Plan) -> dict[str, float | None]:
    """Return the blackouts as once stated, over all migrations, where those over the live ones are: ids stay true."""
    said, moves = plan.header.summary.predicted_blackout_ms, plan.migrations
    live = BlackoutSummary.over(moves.filter(pl.col("strategy") != "restart")["predicted_blackout_ms"])
    return (BlackoutSummary.over(moves["predicted_blackout_ms"]) if said == live else said).model_dump()


class _Hashing(io.BytesIO):
    """A file that keeps nothing of what is written to it but its hash: a large plan is long as text."""

    def __init__(self, state: "hashlib._Hash") -> None:
        super().__init__()
        self._state = state

    def write(self, part: "ReadableBuffer") -> int:
        self._state.update(part)
        return memoryview(part).nbytes


def _refused(path: AnyPath, findings: list[Finding]) -> InputError:
    count = f"the plan has {len(findings)} error{'s' if len(findings) > 1 else ''}"
    return InputError(str(path), count, "Correct what is listed, or make the plan again", findings)


def _read_header(path: AnyPath, findings: list[Finding]) -> PlanHeader | None:
    remedy = "Make the plan again"
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
        findings.append(Finding("file-unreadable", reason, remedy, file=path.name))
        return None
    except (ValueError, RecursionError) as error:
        findings.append(Finding("header-json", f"is not JSON: {error}", remedy, file=path.name))
        return None
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        message = f"the format version is {version!r}; this version of Slacktide reads {FORMAT_VERSION}"
        findings.append(Finding("format-version", message, remedy, file=path.name))
        return None
    try:
        return PlanHeader.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            field = ".".join(str(part) for part in fault["loc"])
            findings.append(Finding("header-field", f"`{field}`: {fault['msg']}", remedy, file=path.name))
        return None


def _read_table(folder: AnyPath, name: str, findings: list[Finding]) -> pl.DataFrame | None:
    """Return the table cast to its schema and sorted, or None if its columns are not the schema's."""
    file, schema = f"{name}.parquet", TABLES[name]
    try:
        content = (folder / file).read_bytes()
        table = pl.read_parquet(io.BytesIO(content))
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
        findings.append(Finding("file-unreadable", reason, "Make the plan again", file=file))
        return None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = f"is not a whole Parquet file: {error}"
        findings.append(Finding("file-unreadable", reason, "Make the plan again", file=file))
        return None
    wrong = list(structure_findings(name, schema, table))
    findings += wrong
    if wrong:
        return None
    numbered = table.with_row_index(ROW)
    findings += row_findings(name, schema, numbered)
    return in_key_order(cast_table(schema, numbered).drop(ROW), schema.primary_key())
