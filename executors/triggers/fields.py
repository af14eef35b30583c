"""Files of triggers, read as strictly as policies are."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from slacktide.errors import InputError
from slacktide.findings import Finding
from slacktide.planner.policy_mending import line_of
from slacktide.planner.strict_files import MOST_BYTES, MOST_FAULTS, FileKind, as_json, read_fields

Model = TypeVar("Model", bound=BaseModel)


def read_model(path: Path, kind: FileKind, model: type[Model], most_bytes: int = MOST_BYTES) -> Model:
    """Return what a YAML or JSON file says.

    Raises
    ------
    UsageError
        If there is no such file, its suffix is none of those of YAML and JSON, or it cannot be read.
    InputError
        If it is something else; the findings name each field, its line and the remedy.
    """
    data, text = read_fields(path, kind, most_bytes)
    try:
        return model.model_validate_json(as_json(path, kind, data, _plain), strict=True)
    except ValidationError as error:
        rule = kind.rule.removesuffix("-file") + "-field"
        findings = tuple(
            _finding(path, text, rule, fault["type"], fault["loc"], fault["msg"])
            for fault in error.errors(include_url=False, include_input=False)[:MOST_FAULTS]
        )
        count = f"{len(findings)} wrong field{'s' if len(findings) > 1 else ''}"
        raise InputError(str(path), count, "Correct what is listed here", findings) from error


def _plain(value: Any) -> str:  # noqa: ANN401  (dates and times, as YAML has them)
    """Return a moment as ISO text, as JSON would have it."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _finding(path: Path, text: str, rule: str, kind: str, place: tuple[int | str, ...], message: str) -> Finding:
    line = line_of(text, place) if path.suffix != ".json" else None
    where = f"`{'.'.join(map(str, place))}`" if place else "the file"
    where += "" if line is None else f" in line {line}"
    if kind == "extra_forbidden":
        return Finding(rule, f"{where} is not a field here", "Leave it out", file=path.name)
    if kind == "missing":
        return Finding(rule, f"{where} is missing", "Write it", file=path.name)
    fact, _, remedy = message.removeprefix("Value error, ").partition("; ")
    remedy = f"{remedy[0].upper()}{remedy[1:]}" if remedy else "Correct the value"
    return Finding(rule, f"{where}: {fact}", remedy, file=path.name)
