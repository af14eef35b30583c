"""Actions as files: YAML or JSON, read as strictly as policies are."""

import copy
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ValidationError

from slacktide.errors import InputError
from slacktide.executors.maintenance.action import ACTION, ACTIONS, CHECKS, AnsibleAction, MaintenanceAction
from slacktide.findings import Finding
from slacktide.planner.policy_mending import line_of, readings
from slacktide.planner.strict_files import MOST_FAULTS, FileKind, as_json, read_fields

KIND: Final = FileKind(
    "maintenance action",
    "maintenance-file",
    "Write fields and values, such as `kind: command` and `command: ssh {host} patch-and-reboot`; "
    f"kinds: {', '.join(ACTIONS)}",
)


def read_action(path: Path) -> MaintenanceAction:
    """Return the action in a YAML or JSON file; a playbook that it names is beside it, unless its path is absolute.

    Raises
    ------
    UsageError
        If there is no such file, or its suffix is none of those of YAML and JSON.
    InputError
        If it is not an action; the findings name each field and the remedy.
    """
    data, text = read_fields(path, KIND)
    try:
        action: MaintenanceAction = ACTION.validate_json(as_json(path, KIND, data), strict=True)
    except ValidationError as error:
        findings = _findings(path, error, data, text)
        count = f"{len(findings)} wrong field{'s' if len(findings) > 1 else ''}"
        raise InputError(str(path), count, "Correct what is listed here", findings) from error
    if isinstance(action, AnsibleAction):
        beside = path.resolve().parent
        inventory = action.inventory
        if inventory is not None and "," not in inventory:
            inventory = str(beside / inventory)
        return action.model_copy(update={"playbook": str(beside / action.playbook), "inventory": inventory})
    return action


def _action(data: dict[str, Any]) -> MaintenanceAction:
    return ACTION.validate_json(json.dumps(data, default=str), strict=True)  # type: ignore[no-any-return]


class _Place(NamedTuple):
    """Where in a file a fault is."""

    path: tuple[int | str, ...]
    """Names and numbers as they stand in the file."""
    siblings: tuple[str, ...]
    """Fields that there are beside the last of them."""

    @property
    def name(self) -> str:
        return ".".join(map(str, self.path))


def _findings(path: Path, error: ValidationError, data: dict[str, Any], text: str) -> tuple[Finding, ...]:
    """Return one finding for each wrong field."""
    found: dict[str, Finding] = {}
    for fault in error.errors(include_url=False, include_input=False)[:MOST_FAULTS]:
        place = _place(fault["loc"])
        message, remedy = _said(fault["type"], fault["msg"], place, data)
        line = line_of(text, place.path) if path.suffix != ".json" else None
        where = f"`{place.name}`" if line is None else f"`{place.name}` in line {line}"
        message = message.replace("{}", where if place.path else "the action", 1)
        found.setdefault(place.name, Finding("maintenance-field", message, remedy, file=path.name))
    return tuple(found.values())


def _said(kind: str, message: str, place: _Place, data: dict[str, Any]) -> tuple[str, str]:
    """Return what is wrong, ``{}`` standing for the place, and what to do."""
    kinds = CHECKS if "verify" in place.path else ACTIONS
    if kind == "union_tag_not_found":
        return "{}: `kind` is missing", f"Write one of {', '.join(kinds)}"
    if kind == "union_tag_invalid":
        written = str(_at(data, (*place.path, "kind")))
        near = difflib.get_close_matches(written, kinds, n=1, cutoff=0.5)
        hint = f"Did you mean `{near[0]}`? " if near else ""
        return f"{{}}: {written!r} is no kind that there is", f"{hint}Write one of {', '.join(kinds)}"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place.path[-1]), place.siblings, n=1, cutoff=0.5)
        return (
            "{} is not a field here",
            f"Did you mean `{near[0]}`?" if near else f"Fields: {', '.join(place.siblings)}",
        )
    if kind == "missing":
        return "{} is missing", "Write it"
    what, _, how = message.removeprefix("Value error, ").partition("; ")
    better = _better(data, place.path)
    return (
        f"{{}}: {what}",
        f"Write {better}" if better else f"{how[0].upper()}{how[1:]}" if how else "Correct the value",
    )


def _place(location: Sequence[int | str]) -> _Place:
    """Return a place without the kinds that pydantic puts into it."""
    path: list[int | str] = []
    model: type[BaseModel] | None = None
    kinds: dict[str, type[BaseModel]] | None = ACTIONS
    for part in location:
        if kinds is not None and part in kinds:
            model, kinds = kinds[str(part)], None
            continue
        path.append(part)
        if isinstance(part, int):
            continue
        field = None if model is None else _field(model, part)
        if part == "verify":
            kinds = CHECKS
        elif field is not None and isinstance(inner := _part(field.annotation), type):
            model = inner
    return _Place(
        tuple(path), () if model is None else tuple(f.alias or name for name, f in model.model_fields.items())
    )


def _field(model: type[BaseModel], name: str) -> Any:  # noqa: ANN401  (pydantic's description of a field, or None)
    return next((field for known, field in model.model_fields.items() if name == (field.alias or known)), None)


def _part(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  (whatever a field may be annotated with)
    parts = [annotation, *get_args(annotation)]
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _at(data: Any, path: Sequence[int | str]) -> Any:  # noqa: ANN401  (what a file holds)
    for part in path:
        data = data[part]
    return data


def _better(data: dict[str, Any], path: tuple[int | str, ...]) -> str | None:
    """Return what to write for a number or a time that was written as a text, None: nothing is sure to be right."""
    try:
        written = _at(data, path)
    except (KeyError, IndexError, TypeError):
        return None
    for candidate in readings(written, str(path[-1])) if path else ():
        changed = copy.deepcopy(data)
        _at(changed, path[:-1])[path[-1]] = candidate
        try:
            _action(changed)
        except ValidationError as error:
            if any(_place(fault["loc"]).path == path for fault in error.errors(include_url=False, include_input=False)):
                continue
        return yaml.safe_dump(candidate).removesuffix("...\n").strip()
    return None
