"""Health as a file: YAML or JSON, read as strictly as policies are."""

import difflib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from slacktide.errors import InputError
from slacktide.executors.health.settings import Budgets, Health, Signal
from slacktide.findings import Finding
from slacktide.planner.policy_mending import line_of
from slacktide.planner.strict_files import MOST_FAULTS, FileKind, as_json, read_fields

KINDS: Final = ("prometheus", "http", "command", "tcp")
KIND: Final = FileKind(
    "health file",
    "health-file",
    "Write `budgets` and `signals`, such as `budgets: {blackout_p99_ms: 500, failed_migrations: 1%}`",
)


def read_health(path: Path) -> Health:
    """Return what pauses a campaign, from a YAML or JSON file.

    Raises
    ------
    UsageError
        If there is no such file, or its suffix is none of those of YAML and JSON.
    InputError
        If it is something else; the findings name each field and the remedy.
    """
    data, text = read_fields(path, KIND)
    try:
        return Health.model_validate_json(as_json(path, KIND, data), strict=True)
    except ValidationError as error:
        findings = tuple(
            _finding(path, text, fault["type"], fault["loc"], fault["msg"])
            for fault in error.errors(include_url=False, include_input=False)[:MOST_FAULTS]
        )
        count = f"{len(findings)} wrong field{'s' if len(findings) > 1 else ''}"
        raise InputError(str(path), count, "Correct what is listed here", findings) from error


def _finding(path: Path, text: str, kind: str, location: tuple[int | str, ...], message: str) -> Finding:
    place = tuple(
        part
        for number, part in enumerate(location)
        if not (number and location[number - 1] == "check" and part in KINDS)
    )
    line = line_of(text, place) if path.suffix != ".json" else None
    where = f"`{'.'.join(map(str, place))}`" if place else "the file"
    where += "" if line is None else f" in line {line}"
    if kind == "extra_forbidden":
        known = _fields_at(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        fields = f"Fields here: {', '.join(known)}" if known else "Leave it out"
        remedy = f"Did you mean `{near[0]}`?" if near else fields
        return Finding("health-field", f"{where} is not a field here", remedy, file=path.name)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        fact, remedy = f"{where} has no `kind` that there is", f"Write one of {', '.join(KINDS)}"
        return Finding("health-field", fact, remedy, file=path.name)
    fact, _, remedy = message.removeprefix("Value error, ").partition("; ")
    remedy = f"{remedy[0].upper()}{remedy[1:]}" if remedy else "Correct the value"
    return Finding("health-field", f"{where}: {fact}", remedy, file=path.name)


def _fields_at(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the fields that there may be at a place; of checks, which are of several kinds, none are named."""
    models: dict[tuple[str, ...], type[BaseModel]] = {(): Health, ("budgets",): Budgets, ("signals",): Signal}
    model = models.get(tuple(part for part in place if isinstance(part, str)))
    return () if model is None else tuple(model.model_fields)
